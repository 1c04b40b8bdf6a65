//! The bridge's port that leads outside.

use super::*;

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

#[test]
fn an_uplink_that_is_anothers_or_goes_to_anothers_bridge_is_refused_and_one_that_is_there_stays() {
    let up = |master| Some(link(3, "wan0", "", "", master));
    let there = Facts { uplink: up(7), ..with_bridge() };
    assert!(!story("--uplink wan0 -- true", there).iter().any(|call| call.contains("wan0")));
    let links = vec![link(9, "br9", "bridge", "", 0)];
    assert_eq!(
        refusal("--uplink wan0 -- true", Facts { uplink: up(9), links, ..with_bridge() }),
        "\"wan0\": it is a port of br9 already\nhint: ip link set wan0 nomaster sets it free"
    );
    let theirs = Facts {
        bridge: Some(link(7, "br0", "bridge", "", 0)),
        addresses: vec![address("10.7.0.1/24")],
        uplink: up(0),
        ..facts()
    };
    assert!(refusal("--bridge br0 --uplink wan0 -- true", theirs).contains("the bridge is somebody else's"));
}

const REMEMBER: &str = "sendto(NETLINK_ROUTE, {RTM_NEWLINKPROP, \"wan0\", altname \"boxutils-down-wan0\"})";

#[test]
fn one_that_is_down_gets_a_second_name_that_says_so_first_and_only_once() {
    let down = || Link { flags: 0, ..link(3, "wan0", "", "", 0) };
    let about = |uplink| -> Vec<String> {
        let calls = story("--uplink wan0 -- true", Facts { uplink: Some(uplink), ..with_bridge() });
        calls.into_iter().filter(|call| call.contains("wan0")).collect()
    };
    let port = "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"wan0\", IFF_UP, master \"boxbr0\"})";
    assert_eq!(about(down()), [REMEMBER, port]);
    assert_eq!(about(Link { alt_names: vec!["boxutils-down-wan0".into()], ..down() }), [port]);
    assert_eq!(about(link(3, "wan0", "", "", 0)), [port]);
}

#[test]
fn what_leads_nowhere_is_no_uplink() {
    let with = |uplink| Facts { uplink: Some(uplink), ..with_bridge() };
    assert!(
        refusal("--uplink boxbr0 -- true", with(link(7, "boxbr0", "bridge", ALIAS, 0)))
            .starts_with("\"boxbr0\": it is the bridge itself\nhint: ")
    );
    assert!(
        refusal("--uplink br9 -- true", with(link(9, "br9", "bridge", "", 0)))
            .starts_with("\"br9\": a bridge cannot be a port of another\nhint: ")
    );
    let lo = Link { flags: libc::IFF_LOOPBACK, ..link(1, "lo", "", "", 0) };
    assert!(refusal("--uplink lo -- true", with(lo)).starts_with("\"lo\": it leads back to this machine"));
}

#[test]
fn what_an_uplink_loses_is_said_and_an_address_of_the_bridges_network_is_to_move() {
    let facts = || Facts {
        uplink: Some(link(3, "wan0", "", "", 0)),
        all_addresses: vec![
            (3, address("192.0.2.1/24")),
            (3, address("fe80::1/64")),
            (4, address("10.0.0.1/8")),
        ],
        is_way_out: true,
        ..with_bridge()
    };
    let words = parsed("--uplink wan0 -- true");
    let lines = warnings(&words, &facts());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("warning: wan0 has 192.0.2.1/24, where nobody is reached"), "{lines:?}");
    assert!(lines[1].starts_with("warning: this machine's default route leads through wan0"), "{lines:?}");
    // One that is a port already has lost it.
    let port = Facts { uplink: Some(link(3, "wan0", "", "", 7)), ..facts() };
    assert!(warnings(&words, &port).is_empty());
    let bare = Facts { all_addresses: vec![(3, address("fe80::1/64"))], is_way_out: false, ..facts() };
    assert!(warnings(&words, &bare).is_empty());
    let own = Facts {
        bridge: None,
        addresses: Vec::new(),
        routes: vec![("wan0".into(), address("10.98.0.0/16"))],
        ..facts()
    };
    assert!(
        refusal("--uplink wan0 -- true", own)
            .ends_with("hint: a port has no use for an address: ip address flush dev wan0, and --gateway gives it to the bridge")
    );
}
