//! What vethup does for what was typed, as text, on machines that are literals.

use super::*;
use crate::nft::Table;
use clap::Parser;

fn parsed(words: &str) -> Cli {
    Cli::try_parse_from(["vethup"].into_iter().chain(words.split_whitespace())).unwrap()
}

/// A machine without a bridge that forwards nothing.
fn facts() -> Facts {
    Facts {
        forwarding: "0".into(),
        groups: (0, 2_147_483_647),
        program: Some(chain::Program::later(vec!["true".into()])),
        ..Facts::default()
    }
}

fn link(index: i32, name: &str, kind: &str, alias: &str, master: i32) -> Link {
    Link { index, name: name.into(), kind: kind.into(), alias: alias.into(), master }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// The same with the default bridge, made by vethup.
fn with_bridge() -> Facts {
    Facts {
        bridge: Some(link(7, "boxbr0", "bridge", ALIAS, 0)),
        addresses: vec![address("10.98.0.1/16")],
        ..facts()
    }
}

fn story(words: &str, facts: Facts) -> Vec<String> {
    plan(&parsed(words), facts).unwrap().story()
}

fn refusal(words: &str, facts: Facts) -> String {
    plan(&parsed(words), facts).unwrap_err().to_string()
}

const CABLE: &str = "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"bx…\", \"veth\", IFF_UP, master \"boxbr0\", peer {\"eth0\", in the namespace}})";
const BRIDGE_CALL: &str =
    "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"boxbr0\", \"bridge\", IFF_UP, alias \"boxutils\"})";
const ROUTE: &str = "sendto(NETLINK_ROUTE, {RTM_NEWROUTE, default via 10.98.0.1 dev \"eth0\"})";
const DELETED: &str = "sendto(NETLINK_NETFILTER, {NFT_MSG_DELTABLE, \"boxutils_boxbr0\"})";

#[test]
fn the_whole_story_on_a_machine_without_a_bridge() {
    assert_eq!(
        story("-- true", facts()),
        [
            "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)",
            BRIDGE_CALL,
            "sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"boxbr0\", 10.98.0.1/16})",
            "unshare(CLONE_NEWNET)",
            CABLE,
            "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"eth0\", IFF_UP})",
            "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"lo\", IFF_UP})",
            "sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"eth0\", the address it was named after})",
            ROUTE,
            "write(\"/proc/sys/net/ipv4/ping_group_range\", \"0 2147483647\")",
            "write(\"/proc/sys/net/ipv4/ip_unprivileged_port_start\", \"0\")",
        ]
    );
}

#[test]
fn a_bridge_that_is_there_is_used_as_it_is() {
    let calls = story("-- true", with_bridge());
    assert_eq!(calls[..3], ["socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)", "unshare(CLONE_NEWNET)", CABLE]);
    assert!(calls.contains(&ROUTE.to_string()));
    // An address it has already, and those the kernel gave it, change nothing.
    let local = || Facts { addresses: vec![address("fe80::1/64"), address("10.98.0.1/16")], ..with_bridge() };
    assert_eq!(story("--gateway 10.98.0.1/16 -- true", local()), calls);
    let six = story("--address auto --address fd00::9/64 -- true", local());
    assert!(
        six.contains(&"sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"eth0\", fd00::9/64})".to_string()),
        "{six:?}"
    );
    assert!(!six.iter().any(|call| call.contains("via fe80::1")), "{six:?}");
    let theirs = || Facts { bridge: Some(link(7, "br0", "bridge", "", 0)), ..facts() };
    assert!(
        refusal("--bridge br0 -- true", theirs())
            .starts_with("\"br0\": this bridge has no address\nhint: --gateway")
    );
    assert!(
        story("--bridge br0 --gateway 10.7.0.1/24 -- true", theirs())
            .iter()
            .any(|call| call.contains("RTM_NEWADDR, \"br0\", 10.7.0.1/24"))
    );
    // Ours, but somebody took its address: it is given the usual one again.
    let bare = Facts { bridge: Some(link(7, "boxbr0", "bridge", ALIAS, 0)), ..facts() };
    assert_eq!(story("-- true", bare)[1], "sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"boxbr0\", 10.98.0.1/16})");
}

/// One of somebody else's, with an address of its own, keeps it: nothing of the default is mixed in.
#[test]
fn a_bridge_of_somebody_else_is_used_with_the_address_it_has() {
    let theirs = Facts {
        bridge: Some(link(7, "br0", "bridge", "", 0)),
        addresses: vec![address("10.7.0.1/24")],
        ..facts()
    };
    let calls = story("--bridge br0 -- true", theirs);
    assert_eq!(calls[1..3], ["unshare(CLONE_NEWNET)".to_string(), CABLE.replace("boxbr0", "br0")]);
    assert!(calls.contains(&ROUTE.replace("10.98.0.1", "10.7.0.1")), "{calls:?}");
    assert!(!calls.iter().any(|call| call.contains("10.98")), "{calls:?}");
}

#[test]
fn what_is_no_bridge_is_refused() {
    let cable = Facts { bridge: Some(link(7, "wan0", "veth", "", 0)), ..facts() };
    assert!(refusal("--bridge wan0 -- true", cable).starts_with("\"wan0\": not a bridge: veth\nhint: "));
    let hardware = Facts { bridge: Some(link(2, "eth0", "", "", 0)), ..facts() };
    assert_eq!(
        refusal("--bridge eth0 -- true", hardware),
        "\"eth0\": not a bridge: an interface of hardware, or lo\nhint: --bridge names a bridge, or one that is not there yet; --uplink makes an interface a port of it"
    );
}

#[test]
fn a_network_that_is_taken_is_refused() {
    let taken = || Facts { routes: vec![("wan0".into(), address("10.98.4.0/24"))], ..facts() };
    assert_eq!(
        refusal("-- true", taken()),
        "10.98.0.0/16: packets for 10.98.4.0/24 go to wan0\nwhile: an address makes this machine a part of that network\nhint: --gateway ADDR/LEN names a network nobody here uses, as in --gateway 10.99.0.1/16"
    );
    assert!(
        story("--gateway 10.99.0.1/16 -- true", taken())
            .contains(&"sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"boxbr0\", 10.99.0.1/16})".to_string())
    );
    // One that holds it is as bad as one that lies in it; its neighbour and one of the other version are none of ours.
    let wider = || Facts { routes: vec![("tun0".into(), address("10.0.0.0/8"))], ..facts() };
    assert!(refusal("-- true", wider()).starts_with("10.98.0.0/16: packets for 10.0.0.0/8 go to tun0\n"));
    let beside = vec![("a".into(), address("10.97.0.0/16")), ("b".into(), address("fd00::/8"))];
    assert!(plan(&parsed("-- true"), Facts { routes: beside, ..facts() }).is_ok());
    assert!(
        refusal(
            "--gateway 10.98.0.1/16 --gateway fd00::1/64 -- true",
            Facts { routes: vec![("b".into(), address("fd00::/8"))], ..facts() }
        )
        .starts_with("fd00::/64: packets for fd00::/8 go to b\n")
    );
}

#[test]
fn nat_is_a_rule_and_forwarding_and_the_rule_remembers() {
    let rule = "sendto(NETLINK_NETFILTER, {NFT_MSG_NEWTABLE, \"boxutils_boxbr0\", comment \"ip_forward=0\"})";
    let switch = "write(\"/proc/sys/net/ipv4/ip_forward\", \"1\")".to_string();
    let calls = story("--nat -- true", facts());
    assert!(calls.iter().any(|call| call.starts_with(rule)) && calls.contains(&switch));
    // The switch is thrown while this is still the network that is switched.
    let at = |text: &str| calls.iter().position(|call| call.starts_with(text)).unwrap();
    assert!(at(rule) < at(&switch) && at(&switch) < at("unshare"));
    let on = story("--nat -- true", Facts { forwarding: "1".into(), ..facts() });
    assert!(on.iter().any(|call| call.contains("comment \"ip_forward=1\"")) && !on.contains(&switch));
    // Another bridge's table has put it down already.
    let table = |bridge: &str| Table { bridge: bridge.into(), forwarding: "0".into() };
    let second = story(
        "--nat -- true",
        Facts { forwarding: "1".into(), tables: Some(vec![table("other")]), ..facts() },
    );
    assert!(second.iter().any(|call| call.starts_with(rule)));
    let again = story(
        "--nat -- true",
        Facts { forwarding: "1".into(), tables: Some(vec![table("boxbr0")]), ..with_bridge() },
    );
    assert!(!again.iter().any(|call| call.contains("NETFILTER")) && !again.contains(&switch));
    // Somebody switched it off since: it is switched on again, and the record stays.
    let off = story("--nat -- true", Facts { tables: Some(vec![table("boxbr0")]), ..with_bridge() });
    assert!(!off.iter().any(|call| call.contains("NETFILTER")) && off.contains(&switch));
    assert!(
        !story("-- true", facts())
            .iter()
            .any(|call| call.contains("NETFILTER") || call.contains("ip_forward"))
    );
}

#[test]
fn the_rule_is_for_the_network_of_version_4_and_there_has_to_be_one() {
    let calls = story("--nat --gateway fd00::1/64 --gateway 10.7.1.1/24 -- true", facts());
    assert_eq!(
        calls.iter().find(|call| call.contains("NETFILTER")).unwrap(),
        "sendto(NETLINK_NETFILTER, {NFT_MSG_NEWTABLE, \"boxutils_boxbr0\", comment \"ip_forward=0\"})\n\
         sendto(NETLINK_NETFILTER, {NFT_MSG_NEWCHAIN, \"postrouting\"})\n\
         sendto(NETLINK_NETFILTER, {NFT_MSG_NEWRULE, ip saddr 10.7.1.0/24 ip daddr != 10.7.1.0/24 masquerade})"
    );
    assert_eq!(
        refusal("--nat --gateway fd00::1/64 --address fd00::2/64 -- true", facts()),
        "--nat needs a network of version 4\nhint: give the bridge an address of version 4: --gateway 10.98.0.1/16"
    );
}

#[test]
fn addresses_of_both_versions_each_with_its_route() {
    let calls = story(
        "--gateway 10.98.0.1/16 --gateway fd00::1/64 --address 10.98.0.9/16 --address fd00::9/64 -- true",
        facts(),
    );
    for call in [
        "sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"boxbr0\", fd00::1/64})",
        "sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"eth0\", 10.98.0.9/16})",
        "sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"eth0\", fd00::9/64})",
        "sendto(NETLINK_ROUTE, {RTM_NEWROUTE, default via fd00::1 dev \"eth0\"})",
        ROUTE,
    ] {
        assert!(calls.contains(&call.to_string()), "{call} in {calls:?}");
    }
    assert!(calls.iter().any(|call| call.contains("\"bx0a620009\", \"veth\"")));
    // The cable is named after what is found for auto, wherever it stands among the others.
    let found = story("--address 10.98.0.9/16 --address auto -- true", with_bridge());
    assert_eq!(found[2], CABLE);
    let given = |link| format!("sendto(NETLINK_ROUTE, {{RTM_NEWADDR, \"eth0\", {link}}})");
    let order: Vec<_> = found.iter().filter(|call| call.contains("RTM_NEWADDR")).collect();
    assert_eq!(order, [&given("10.98.0.9/16"), &given("the address it was named after")]);
    // Of version 6 alone: no address and no route of version 4, on either side.
    let six = story("--gateway fd00::1/64 --address fd00::1:2/64 -- true", facts());
    assert!(six[4].contains("RTM_NEWLINK, \"bx600010002\", \"veth\""), "{}", six[4]);
    assert!(!six.iter().any(|call| call.contains("10.98")), "{six:?}");
    // Without an address of version 6 there is no use for its route.
    assert!(
        !story("--gateway 10.98.0.1/16 --gateway fd00::1/64 -- true", facts())
            .iter()
            .any(|call| call.contains("via fd00::1"))
    );
}

#[test]
fn addresses_that_cannot_be_meant_are_refused() {
    let free = "--address auto finds a free one";
    for (given, what, hint) in [
        ("10.98.0.1/16", "that is the bridge's own", format!("{free} beside it")),
        ("10.98.0.1/24", "that is the bridge's own", format!("{free} beside it")),
        ("10.98.0.0/16", "that is the network, not a host in it", free.into()),
        (
            "10.1.0.7/16",
            "the bridge is in 10.98.0.0/16",
            "give an address of that network, or another --bridge with a --gateway in this one".into(),
        ),
    ] {
        // It is refused wherever it stands among others.
        for words in
            [format!("--address {given} -- true"), format!("--address auto --address {given} -- true")]
        {
            assert_eq!(
                refusal(&words, with_bridge()),
                format!("--address {given}: {what}\nhint: {hint}"),
                "{words}"
            );
        }
    }
    let six = || Facts { addresses: vec![address("10.98.0.1/16"), address("fd00::1/64")], ..with_bridge() };
    assert!(
        refusal("--address fd00::1/64 -- true", six())
            .starts_with("--address fd00::1/64: that is the bridge's own")
    );
    assert!(
        refusal("--address fd01::2/64 -- true", six())
            .starts_with("--address fd01::2/64: the bridge is in fd00::/64")
    );
    // Two hosts are all there is in such a network, and its lower address is one of them.
    assert!(plan(&parsed("--gateway 10.7.0.1/31 --address 10.7.0.0/31 -- true"), facts()).is_ok());
    assert!(plan(&parsed("--gateway 10.7.0.1/30 --address 10.7.0.0/30 -- true"), facts()).is_err());
}

#[test]
fn an_uplink_becomes_a_port() {
    let there = Facts { uplink: Some(link(3, "wan0", "", "", 0)), ..facts() };
    assert!(
        story("--uplink wan0 -- true", there).contains(
            &"sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"wan0\", IFF_UP, master \"boxbr0\"})".to_string()
        )
    );
    assert_eq!(
        refusal("--uplink wan0 -- true", facts()),
        "\"wan0\": there is no such interface\nhint: ip link lists them"
    );
}

fn joined() -> Facts {
    let file = std::fs::File::open("/proc/self/ns/net").unwrap();
    Facts { netns: Some(("/run/netns/blue".into(), file)), program: None, ..with_bridge() }
}

#[test]
fn a_namespace_that_is_there_is_joined_and_its_settings_are_its_own() {
    assert_eq!(
        story("--netns blue --ifname wan", joined()),
        [
            "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)".into(),
            "setns(\"/run/netns/blue\", CLONE_NEWNET)".into(),
            CABLE.replace("eth0", "wan"),
            "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"wan\", IFF_UP})".into(),
            "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"lo\", IFF_UP})".into(),
            "sendto(NETLINK_ROUTE, {RTM_NEWADDR, \"wan\", the address it was named after})".into(),
            ROUTE.replace("eth0", "wan"),
        ]
    );
}

#[test]
fn only_a_program_s_own_network_is_opened_and_to_the_groups_that_are_mapped() {
    let calls = story("-- true", Facts { groups: (5, 5), ..with_bridge() });
    assert_eq!(
        calls[calls.len() - 2..],
        [
            "write(\"/proc/sys/net/ipv4/ping_group_range\", \"5 5\")",
            "write(\"/proc/sys/net/ipv4/ip_unprivileged_port_start\", \"0\")",
        ]
    );
    assert!(!story("--netns blue", joined()).iter().any(|call| call.contains("/proc/sys")));
}

#[test]
fn the_next_tool_finds_a_network_made_and_none_where_one_was_joined() {
    let made = |words, facts| plan(&parsed(words), facts).unwrap().made.namespaces;
    assert_eq!(made("-- true", facts()), [Kind::Net]);
    assert_eq!(made("--netns blue", joined()), []);
}

#[test]
fn a_listing_is_one_step() {
    assert_eq!(story("--list", wired()), ["write(1)"]);
    assert_eq!(story("--list --json", Facts::default()), ["write(1)"]);
}

fn wired() -> Facts {
    Facts {
        links: vec![
            link(1, "lo", "", "", 0),
            link(7, "boxbr0", "bridge", ALIAS, 0),
            link(8, "other", "bridge", ALIAS, 0),
            link(9, "theirs", "bridge", "", 0),
            link(10, "bx0a620002", "veth", "", 7),
            link(11, "bx0a630002", "veth", "", 8),
            link(12, "veth0", "veth", "", 7),
        ],
        tables: ["boxbr0", "other"]
            .map(|bridge| Table { bridge: bridge.into(), forwarding: "0".into() })
            .to_vec()
            .into(),
        forwarding: "1".into(),
        ..Facts::default()
    }
}

fn removed(name: &str) -> String {
    format!("sendto(NETLINK_ROUTE, {{RTM_DELLINK, \"{name}\"}})")
}

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

const BACK: &str = "write(\"/proc/sys/net/ipv4/ip_forward\", \"0\")";

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
fn a_bridge_is_in_one_network_of_each_version() {
    assert!(refusal("--gateway 10.99.0.1/16 -- true", with_bridge()).starts_with(
        "--gateway 10.99.0.1/16: \"boxbr0\" is 10.98.0.1/16 already\nhint: leave out --gateway, or name another --bridge"
    ));
    let two = Facts { addresses: vec![address("10.7.0.1/24"), address("10.8.0.1/24")], ..with_bridge() };
    let routes = |calls: Vec<String>| calls.iter().filter(|call| call.contains("NEWROUTE")).count();
    assert_eq!(routes(story("-- true", two)), 1);
    // What is taken is taken, also where the bridge is there.
    let taken = Facts {
        addresses: Vec::new(),
        routes: vec![("br9".into(), address("10.98.4.0/24"))],
        ..with_bridge()
    };
    assert!(refusal("-- true", taken).starts_with("10.98.0.0/16: packets for 10.98.4.0/24 go to br9"));
}

#[test]
fn addresses_that_no_host_has_and_networks_without_room_are_refused() {
    for (words, start) in [
        ("--address 10.98.255.255/16 -- true", "--address 10.98.255.255/16: that is the broadcast address"),
        ("--gateway 10.5.0.0/16 -- true", "--gateway 10.5.0.0/16: that is the network"),
        ("--gateway 127.0.0.1/8 -- true", "--gateway 127.0.0.1/8: that is this machine's loopback"),
        ("--gateway 10.5.0.1/32 -- true", "10.5.0.1/32: no room for another address"),
        ("--gateway fd00::1/64 -- true", "no network of version 4 to find an address in"),
    ] {
        assert!(refusal(words, facts()).starts_with(start), "{words}: {}", refusal(words, facts()));
    }
    assert!(plan(&parsed("--gateway fd00::1/64 --address fd00::2/64 -- true"), facts()).is_ok());
}

#[test]
fn an_uplink_that_is_anothers_or_goes_to_anothers_bridge_is_refused_and_one_that_is_there_stays() {
    let up = |master| Some(link(3, "wan0", "", "", master));
    let there = Facts { uplink: up(7), ..with_bridge() };
    assert!(!story("--uplink wan0 -- true", there).iter().any(|call| call.contains("wan0")));
    assert!(
        refusal("--uplink wan0 -- true", Facts { uplink: up(9), ..with_bridge() })
            .contains("a port of another bridge")
    );
    let theirs = Facts {
        bridge: Some(link(7, "br0", "bridge", "", 0)),
        addresses: vec![address("10.7.0.1/24")],
        uplink: up(0),
        ..facts()
    };
    assert!(refusal("--bridge br0 --uplink wan0 -- true", theirs).contains("the bridge is somebody else's"));
}

#[test]
fn a_cable_of_somebody_elses_is_known_by_its_name_or_by_where_it_ends() {
    let mut facts = wired();
    facts.links.push(link(13, "bxdeadbeef", "veth", "", 0));
    facts.links.push(link(14, "bx6-mine", "veth", "", 7));
    let calls = story("--down", facts);
    assert!(!calls.iter().any(|call| call.contains("deadbeef") || call.contains("mine")), "{calls:?}");
}
