//! The rule of NAT, and forwarding.

use super::*;

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
