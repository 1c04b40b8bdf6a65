//! What vethup does for what was typed, as text, on machines that are literals.

use super::*;
use crate::nft::Table;
use crate::rtnl::{ALIAS, Link};
use clap::Parser;

mod down;
mod nat;
mod routed;
mod uplink;

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
    let (name, kind, alias) = (name.into(), kind.into(), alias.into());
    Link { index, name, kind, alias, master, flags: libc::IFF_UP, ..Link::default() }
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
