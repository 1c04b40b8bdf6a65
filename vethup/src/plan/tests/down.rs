//! What --down takes away, and what it puts back.

use super::*;
use crate::holder::Holder;

fn removed(name: &str) -> String {
    format!("sendto(NETLINK_ROUTE, {{RTM_DELLINK, \"{name}\"}})")
}

const BACK: &str = "write(\"/proc/sys/net/ipv4/ip_forward\", \"0\")";

#[test]
fn down_removes_what_is_ours_and_puts_forwarding_back_with_the_last() {
    let all = story("--down", wired());
    assert_eq!(
        all[1..],
        [
            removed("bx0a620002"),
            removed("bx0a630002"),
            removed("boxbr0"),
            removed("other"),
            DELETED.into(),
            DELETED.replace("boxbr0", "other"),
            "write(\"/proc/sys/net/ipv4/ip_forward\", \"0\")".into(),
        ]
    );
    assert_eq!(
        story("--down --bridge boxbr0", wired())[1..],
        [removed("bx0a620002"), removed("boxbr0"), DELETED.into()]
    );
}

/// Two bridges have a table each; here one of them is left.
#[test]
fn forwarding_goes_back_with_the_last_table_only() {
    let last = || Facts { tables: Some(vec![wired().tables.unwrap().remove(0)]), ..wired() };
    assert_eq!(
        story("--down --bridge boxbr0", last())[1..],
        [removed("bx0a620002"), removed("boxbr0"), DELETED.into(), BACK.into()]
    );
    // The other one has no table of its own, so it has nothing to put back.
    assert_eq!(story("--down --bridge other", last())[1..], [removed("bx0a630002"), removed("other")]);
    // What is as it was is not written.
    let as_it_was = Facts { forwarding: "0".into(), ..last() };
    assert_eq!(story("--down --bridge boxbr0", as_it_was).last().unwrap(), DELETED);
    // The record counts, not a habit of writing 0.
    let on = Table { bridge: "boxbr0".into(), forwarding: "1".into() };
    let off_since = Facts { tables: Some(vec![on]), forwarding: "0".into(), ..wired() };
    assert_eq!(story("--down --bridge boxbr0", off_since).last().unwrap(), &BACK.replace("\"0\"", "\"1\""));
}

#[test]
fn down_takes_our_cable_from_somebody_else_s_bridge_and_a_table_whose_bridge_is_gone() {
    let links = vec![link(9, "theirs", "bridge", "", 0), link(10, "bx0a070002", "veth", "", 9)];
    let facts = || Facts { links: links.clone(), ..Facts::default() };
    for words in ["--down", "--down --bridge theirs"] {
        assert_eq!(story(words, facts())[1..], [removed("bx0a070002")], "{words}");
    }
    let table = Table { bridge: "boxbr0".into(), forwarding: "0".into() };
    let alone = Facts { tables: Some(vec![table]), forwarding: "1".into(), ..Facts::default() };
    assert_eq!(story("--down", alone)[1..], [DELETED, BACK]);
}

#[test]
fn where_nothing_is_ours_down_has_no_steps() {
    let theirs =
        [link(1, "lo", "", "", 0), link(9, "theirs", "bridge", "", 0), link(12, "veth0", "veth", "", 9)];
    let foreign = Facts { links: theirs.into(), forwarding: "1".into(), ..Facts::default() };
    assert!(story("--down", foreign).is_empty());
    assert!(story("--down", Facts::default()).is_empty());
    assert!(story("--down --bridge theirs", wired()).is_empty());
    assert!(story("--down --bridge nosuch", wired()).is_empty());
}

#[test]
fn who_is_cut_off_is_named_and_nobody_else() {
    let sleeper = |pid| Some((pid, "sleep".to_owned()));
    let named = Holder { netns: Some("blue".into()), process: sleeper(48) };
    let holders = [(1, Holder { netns: None, process: sleeper(47) }), (2, named)];
    let mut facts = Facts { holders: holders.into(), ..wired() };
    for (cable, number) in [(4, 1), (5, 2)] {
        facts.links[cable].peer_ns = Some(number);
    }
    let first = "warning: process 47 (sleep) loses its network with bx0a620002";
    let second = "warning: process 48 (sleep) in blue loses its network with bx0a630002";
    let said = |words, facts: &Facts| warnings(&parsed(words), facts);
    assert_eq!(said("--down", &facts), [first, second]);
    assert_eq!(said("--down --bridge boxbr0", &facts), [first]);
    assert_eq!(said("--down --bridge other", &facts), [second]);
    for words in ["--down --bridge theirs", "--down --no-bridge", "-- true"] {
        assert!(said(words, &facts).is_empty(), "{words}");
    }
    // In a namespace that is only kept is nobody to be cut off, and some cannot be seen.
    facts.holders = [(1, Holder { netns: Some("blue".into()), process: None })].into();
    assert!(said("--down", &facts).is_empty());
}

#[test]
fn a_cable_of_somebody_elses_is_known_by_its_name_or_by_where_it_ends() {
    let mut facts = wired();
    facts.links.push(link(13, "bxdeadbeef", "veth", "", 0));
    facts.links.push(link(14, "bx6-mine", "veth", "", 7));
    let calls = story("--down", facts);
    assert!(!calls.iter().any(|call| call.contains("deadbeef") || call.contains("mine")), "{calls:?}");
}

#[test]
fn an_uplink_that_was_down_goes_down_and_its_record_goes() {
    let mut facts = wired();
    let recorded = |index, name: &str, master| Link {
        alt_names: vec!["other".into(), format!("boxutils-down-{name}")],
        ..link(index, name, "", "", master)
    };
    facts.links.push(recorded(20, "wan0", 7));
    // Somebody else uses it by now; and one whose bridge is gone.
    facts.links.push(recorded(21, "wan1", 9));
    facts.links.push(recorded(22, "wan2", 0));
    let set_down = |name| format!("sendto(NETLINK_ROUTE, {{RTM_NEWLINK, \"{name}\", not IFF_UP}})");
    let forget = |name| {
        format!("sendto(NETLINK_ROUTE, {{RTM_DELLINKPROP, \"{name}\", altname \"boxutils-down-{name}\"}})")
    };
    let about = |words, facts: &Facts| -> Vec<String> {
        let facts = Facts { links: facts.links.clone(), ..Facts::default() };
        story(words, facts).into_iter().filter(|call| call.contains("wan")).collect()
    };
    let (zero, one, two) = ("wan0", "wan1", "wan2");
    assert_eq!(
        about("--down", &facts),
        [set_down(zero), forget(zero), forget(one), set_down(two), forget(two)]
    );
    assert_eq!(about("--down --bridge boxbr0", &facts), [set_down(zero), forget(zero)]);
    assert!(about("--down --no-bridge", &facts).is_empty());
    // It is set down while it still is a port of ours: a second --down finds it again where the first was killed.
    let calls = story("--down --bridge boxbr0", facts);
    let at = |text: &str| calls.iter().position(|call| call == text).unwrap();
    assert!(at(&forget(zero)) < at(&removed("boxbr0")), "{calls:?}");
}
