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
    assert!(
        !calls
            .iter()
            .any(|call| call.contains("boxbr0\", \"bridge") || call.contains("RTM_NEWADDR, \"boxbr0\""))
    );
    assert!(calls.contains(&ROUTE.to_string()));
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
    let cable = Facts { bridge: Some(link(7, "wan0", "veth", "", 0)), ..facts() };
    assert!(refusal("--bridge wan0 -- true", cable).starts_with("\"wan0\": not a bridge: veth\nhint: "));
}

#[test]
fn a_network_that_is_taken_is_refused() {
    let taken = || Facts { routes: vec![("wan0".into(), address("10.98.4.0/24"))], ..facts() };
    assert_eq!(
        refusal("-- true", taken()),
        "10.98.0.0/16: packets for 10.98.4.0/24 go to wan0\nwhile: an address makes this machine a part of that network\nhint: --gateway ADDR/LEN names a network nobody here uses, as in --gateway 10.99.0.1/16"
    );
    assert!(plan(&parsed("--gateway 10.99.0.1/16 -- true"), taken()).is_ok());
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
    let second =
        story("--nat -- true", Facts { forwarding: "1".into(), tables: vec![table("other")], ..facts() });
    assert!(second.iter().any(|call| call.starts_with(rule)));
    let again = story(
        "--nat -- true",
        Facts { forwarding: "1".into(), tables: vec![table("boxbr0")], ..with_bridge() },
    );
    assert!(!again.iter().any(|call| call.contains("NETFILTER")));
    assert!(
        !story("-- true", facts())
            .iter()
            .any(|call| call.contains("NETFILTER") || call.contains("ip_forward"))
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
    // Without an address of version 6 there is no use for its route.
    assert!(
        !story("--gateway 10.98.0.1/16 --gateway fd00::1/64 -- true", facts())
            .iter()
            .any(|call| call.contains("via fd00::1"))
    );
}

#[test]
fn addresses_that_cannot_be_meant_are_refused() {
    for (words, start) in [
        ("--address 10.98.0.1/16 -- true", "--address 10.98.0.1/16: that is the bridge's own"),
        ("--address 10.98.0.0/16 -- true", "--address 10.98.0.0/16: that is the network, not a host in it"),
        ("--address 10.1.0.7/16 -- true", "--address 10.1.0.7/16: the bridge is in 10.98.0.0/16"),
    ] {
        assert!(refusal(words, with_bridge()).starts_with(start), "{words}");
    }
}

#[test]
fn an_uplink_becomes_a_port() {
    let there = Facts { uplink: Some(link(3, "wan0", "", "", 0)), ..facts() };
    assert!(
        story("--uplink wan0 -- true", there).contains(
            &"sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"wan0\", IFF_UP, master \"boxbr0\"})".to_string()
        )
    );
    assert!(refusal("--uplink wan0 -- true", facts()).starts_with("\"wan0\": there is no such interface"));
}

#[test]
fn a_namespace_that_is_there_is_joined_and_its_settings_are_its_own() {
    let file = std::fs::File::open("/proc/self/ns/net").unwrap();
    let joined = Facts { netns: Some(("/run/netns/blue".into(), file)), program: None, ..with_bridge() };
    let calls = story("--netns blue", joined);
    assert_eq!(calls[1], "setns(\"/run/netns/blue\", CLONE_NEWNET)");
    assert!(!calls.iter().any(|call| call.contains("unshare") || call.contains("/proc/sys")));
}

#[test]
fn the_next_tool_finds_a_network_made() {
    assert_eq!(plan(&parsed("-- true"), facts()).unwrap().made.namespaces, [Kind::Net]);
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
    let last = Facts { tables: vec![wired().tables.remove(0)], ..wired() };
    assert_eq!(
        story("--down --bridge boxbr0", last).last().unwrap(),
        "write(\"/proc/sys/net/ipv4/ip_forward\", \"0\")"
    );
    assert!(story("--down", Facts::default()).is_empty());
    assert!(story("--down --bridge theirs", wired()).is_empty());
}
