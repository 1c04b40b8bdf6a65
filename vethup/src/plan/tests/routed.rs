//! Without a bridge: a way to each address. And the outer end's name, which says nothing where it was asked for.

use super::*;
use crate::firewall::Firewall;
use crate::rtnl::GROUP;

fn sent(text: &str) -> String {
    format!("sendto(NETLINK_ROUTE, {{{text}}})")
}

#[test]
fn without_a_bridge_each_end_is_the_way_to_the_other() {
    let calls = story("--no-bridge -- true", facts());
    assert_eq!(
        calls[..9],
        [
            "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)".into(),
            "unshare(CLONE_NEWNET)".into(),
            sent("RTM_NEWLINK, \"bx…\", \"veth\", IFF_UP, group 6451064, peer {\"eth0\", in the namespace}"),
            [
                sent("RTM_NEWADDR, \"bx…\", 10.97.0.1/32"),
                sent("RTM_NEWROUTE, the address it was named after dev \"bx…\""),
            ]
            .join("\n"),
            sent("RTM_NEWLINK, \"eth0\", IFF_UP"),
            sent("RTM_NEWLINK, \"lo\", IFF_UP"),
            sent("RTM_NEWADDR, \"eth0\", the address it was named after"),
            sent("RTM_NEWROUTE, 10.97.0.1 dev \"eth0\""),
            sent("RTM_NEWROUTE, default via 10.97.0.1 dev \"eth0\""),
        ]
    );
    let both = story(
        "--no-bridge --gateway 10.1.0.1/24 --gateway fd00::1/64 --address 10.1.0.7/32 --address fd00::7/64 -- true",
        facts(),
    );
    assert_eq!(
        both[3],
        [
            "RTM_NEWADDR, \"bx0a010007\", 10.1.0.1/32",
            "RTM_NEWADDR, \"bx0a010007\", fd00::1/128",
            "RTM_NEWROUTE, 10.1.0.7/32 dev \"bx0a010007\"",
            "RTM_NEWROUTE, fd00::7/128 dev \"bx0a010007\"",
        ]
        .map(sent)
        .join("\n")
    );
    for call in [
        "RTM_NEWADDR, \"eth0\", fd00::7/128",
        "RTM_NEWROUTE, fd00::1 dev \"eth0\"",
        "RTM_NEWROUTE, default via fd00::1 dev \"eth0\"",
    ] {
        assert!(both.contains(&sent(call)), "{call} in {both:?}");
    }
    assert!(!both.iter().any(|call| call.contains("boxbr0")), "{both:?}");
}

#[test]
fn its_nat_is_for_its_network_and_goes_with_it() {
    let calls = story("--no-bridge --nat -- true", facts());
    assert!(
        calls[1].starts_with("sendto(NETLINK_NETFILTER, {NFT_MSG_NEWTABLE, \"boxutils_routed/10.97.0.0/16\"")
            && calls[1].contains("ip saddr 10.97.0.0/16 ip daddr != 10.97.0.0/16 masquerade"),
        "{calls:?}"
    );
    let table = |bridge: &str| Table { bridge: bridge.into(), forwarding: "1".into() };
    let cable = |index, group| Link { group, ..link(index, &format!("bx0a61000{index}"), "veth", "", 0) };
    let there = || Facts {
        links: vec![
            link(7, "boxbr0", "bridge", ALIAS, 0),
            link(9, "bx0a620009", "veth", "", 7),
            cable(2, GROUP),
            cable(3, 0),
        ],
        tables: Some(vec![table("boxbr0"), table("routed/10.97.0.0/16")]),
        forwarding: "1".into(),
        ..Facts::default()
    };
    let gone = |name: &str| format!("sendto(NETLINK_NETFILTER, {{NFT_MSG_DELTABLE, \"boxutils_{name}\"}})");
    let unlinked = |name: &str| sent(&format!("RTM_DELLINK, \"{name}\""));
    // One outside our group is somebody else's, whatever it is called.
    assert_eq!(
        story("--down --no-bridge", there())[1..],
        [unlinked("bx0a610002"), gone("routed/10.97.0.0/16")]
    );
    assert_eq!(
        story("--down --bridge boxbr0", there())[1..],
        [unlinked("bx0a620009"), unlinked("boxbr0"), gone("boxbr0")]
    );
    assert_eq!(story("--down", there()).len(), 6);
}

#[test]
fn what_cannot_be_reached_without_a_bridge_is_refused() {
    for (words, what) in [
        ("--address 10.97.0.1/32", "--address 10.97.0.1/32: that is the gateway's own"),
        ("--address 10.98.0.2/16", "--address 10.98.0.2/16: the gateway is in 10.97.0.0/16"),
        ("--address auto --address fd00::2/64", "--address fd00::2/64: there is no gateway of its version"),
        ("--gateway 10.1.0.1/32", "10.1.0.1/32: no room for another address"),
    ] {
        let said = refusal(&format!("--no-bridge {words} -- true"), facts());
        assert!(said.starts_with(what), "{said}");
    }
    let taken = Facts { routes: vec![("wan0".into(), address("10.97.7.0/24"))], ..facts() };
    assert!(
        refusal("--no-bridge -- true", taken)
            .starts_with("10.97.0.0/16: packets for 10.97.7.0/24 go to wan0")
    );
    for other in ["--bridge br0", "--uplink wan0"] {
        let words = format!("vethup --no-bridge {other} -- true");
        assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{other}");
    }
}

#[test]
fn where_the_outer_end_has_a_name_of_its_own_a_second_one_reserves() {
    assert_eq!(
        story("--peer-name web -- true", with_bridge())[2],
        [
            sent("RTM_NEWLINK, \"web\", \"veth\", IFF_UP, master \"boxbr0\", group 6451064, peer {\"eth0\", in the namespace}"),
            sent("RTM_NEWLINKPROP, \"web\", altname \"bx…\""),
        ]
        .join("\n")
    );
    assert!(
        story("--no-bridge --peer-name web --address 10.97.0.7/16 -- true", facts())
            .iter()
            .any(|call| call.ends_with(&sent("RTM_NEWROUTE, 10.97.0.7/32 dev \"web\"")))
    );
    let web = Link { alt_names: vec!["bx0a620002".into()], group: GROUP, ..link(12, "web", "veth", "", 7) };
    let there = Facts { links: vec![link(7, "boxbr0", "bridge", ALIAS, 0), web], ..Facts::default() };
    let listed = list::bridges(&there);
    assert_eq!(
        (listed[0].ports[0].link.as_str(), listed[0].ports[0].address),
        ("web", Some("10.98.0.2".parse().unwrap()))
    );
    assert_eq!(story("--down", there)[1], sent("RTM_DELLINK, \"web\""));
}

#[test]
fn a_firewall_that_drops_is_named_where_something_is_to_pass() {
    let drops =
        |family| Firewall { family, table: "filter".into(), chain: "FORWARD".into(), rules: Vec::new() };
    let facts = || Facts { firewalls: vec![drops("ip"), drops("bridge")], ..with_bridge() };
    let said = |words: &str| warnings(&parsed(words), &facts());
    assert_eq!(said("--nat -- true").len(), 2);
    assert!(said("--nat --no-bridge -- true")[0].contains("iifname \"bx*\""));
    assert!(said("--nat --no-bridge --peer-name web -- true")[0].contains("iifname \"web\""));
    // Without NAT nothing leaves the bridge, but what passes through it.
    let inside = said("--uplink wan0 -- true");
    assert!(inside.len() == 1 && inside[0].contains("table bridge filter"), "{inside:?}");
    assert!(said("--no-bridge -- true").is_empty() && said("--down").is_empty());
}
