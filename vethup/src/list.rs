//! What vethup has made, as a listing. The keys of the JSON are promised in the manual page.

use crate::address::Address;
use crate::facts::Facts;
use crate::rtnl::{ALIAS, Link};
use chain::json_string;
use std::net::Ipv4Addr;

/// A bridge and what is wired to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    pub name: String,
    pub addresses: Vec<Address>,
    /// None where this process may not ask.
    pub nat: Option<bool>,
    /// The outer end of each pair, with the address behind it.
    pub ports: Vec<(String, Option<Ipv4Addr>)>,
}

/// Whether a link is the outer end of a pair of ours: named after an address, in a bridge.
pub fn is_port(link: &Link, links: &[Link]) -> bool {
    let digits =
        link.name.strip_prefix("bx6").filter(|digits| digits.len() == 8).or(link.name.strip_prefix("bx"));
    let is_address =
        digits.is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_bridge = |master: &Link| master.index == link.master && master.kind == "bridge";
    link.kind == "veth" && is_address && links.iter().any(is_bridge)
}

fn ports_of<'a>(facts: &'a Facts, bridge: &'a Link) -> impl Iterator<Item = &'a Link> {
    facts.links.iter().filter(|link| link.master == bridge.index && is_port(link, &facts.links))
}

/// The bridges vethup made or wired something to.
pub fn bridges(facts: &Facts) -> Vec<Bridge> {
    let is_shown = |link: &&Link| {
        link.kind == "bridge" && (link.alias == ALIAS || ports_of(facts, link).next().is_some())
    };
    let of = |bridge: &Link| Bridge {
        name: bridge.name.clone(),
        addresses: facts
            .all_addresses
            .iter()
            .filter(|(index, address)| *index == bridge.index && !address.is_link_local())
            .map(|(_, address)| *address)
            .collect(),
        nat: facts.tables.as_ref().map(|tables| tables.iter().any(|table| table.bridge == bridge.name)),
        ports: ports_of(facts, bridge)
            .map(|port| (port.name.clone(), Address::of_link_name(&port.name)))
            .collect(),
    };
    facts.links.iter().filter(is_shown).map(of).collect()
}

/// The listing: a line for each bridge and each port, or an array of objects.
pub fn text(bridges: &[Bridge], json: bool) -> String {
    if json {
        let objects: Vec<String> = bridges.iter().map(object).collect();
        return format!("[{}]\n", objects.join(", "));
    }
    let lines = bridges.iter().map(|bridge| {
        let addresses: String = bridge.addresses.iter().map(|address| format!(" {address}")).collect();
        let nat = if bridge.nat == Some(true) { " nat" } else { "" };
        let ports = bridge.ports.iter().map(|(link, address)| {
            format!("  {link} {}\n", address.map_or("-".into(), |address| address.to_string()))
        });
        format!("{}{addresses}{nat}\n{}", bridge.name, ports.collect::<String>())
    });
    lines.collect()
}

fn object(bridge: &Bridge) -> String {
    let addresses: Vec<String> =
        bridge.addresses.iter().map(|address| json_string(address.to_string())).collect();
    let ports: Vec<String> = bridge
        .ports
        .iter()
        .map(|(link, address)| {
            let address = address.map_or("null".into(), |address| json_string(address.to_string()));
            format!("{{\"link\": {}, \"address\": {address}}}", json_string(link))
        })
        .collect();
    format!(
        "{{\"bridge\": {}, \"addresses\": [{}], \"nat\": {}, \"ports\": [{}]}}",
        json_string(&bridge.name),
        addresses.join(", "),
        bridge.nat.map_or("null".into(), |nat| nat.to_string()),
        ports.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_as_lines_and_as_json() {
        let bridge = Bridge {
            name: "boxbr0".into(),
            addresses: vec!["10.98.0.1/16".parse().unwrap()],
            nat: Some(true),
            ports: vec![
                ("bx0a620002".into(), Address::of_link_name("bx0a620002")),
                ("bx600000002".into(), None),
            ],
        };
        assert_eq!(text(&[], true), "[]\n");
        assert_eq!(text(&[], false), "");
        assert_eq!(
            text(std::slice::from_ref(&bridge), false),
            "boxbr0 10.98.0.1/16 nat\n  bx0a620002 10.98.0.2\n  bx600000002 -\n"
        );
        assert_eq!(
            text(&[bridge], true),
            "[{\"bridge\": \"boxbr0\", \"addresses\": [\"10.98.0.1/16\"], \"nat\": true, \"ports\": [{\"link\": \"bx0a620002\", \"address\": \"10.98.0.2\"}, {\"link\": \"bx600000002\", \"address\": null}]}]\n"
        );
    }
}
