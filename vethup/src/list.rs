//! What vethup has made, as a listing. The keys of the JSON are promised in the manual page.

use crate::address::Address;
use crate::facts::Facts;
use crate::firewall::{CABLES, Links};
use crate::holder::Holder;
use crate::nft::is_routed;
use crate::pair::{is_ours, reserving_name};
use crate::rtnl::{ALIAS, Link};
use chain::json_string;
use std::net::Ipv4Addr;

/// A bridge and what is wired to it; or a gateway without a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    pub name: Option<String>,
    pub addresses: Vec<Address>,
    /// None where this process may not ask.
    pub nat: Option<bool>,
    /// Its ports that lead outside.
    pub uplinks: Vec<String>,
    pub ports: Vec<Port>,
}

/// The outer end of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    pub link: String,
    /// The address that it reserves, where that can be told.
    pub address: Option<Ipv4Addr>,
    /// Who has the other end, where that can be seen.
    pub holder: Holder,
}

/// The bridges vethup made or wired something to, then what it wired without one.
pub fn bridges(facts: &Facts) -> Vec<Bridge> {
    let cables = |master: &Link| -> Vec<&Link> {
        facts.links.iter().filter(|link| link.master == master.index && is_ours(link, &facts.links)).collect()
    };
    let is_shown = |link: &&Link| link.kind == "bridge" && (link.alias == ALIAS || !cables(link).is_empty());
    let of = |bridge: &Link| Bridge {
        name: Some(bridge.name.clone()),
        addresses: addresses_of(bridge, facts),
        nat: facts.tables.as_ref().map(|tables| tables.iter().any(|table| table.bridge == bridge.name)),
        uplinks: facts
            .links
            .iter()
            .filter(|link| bridge.alias == ALIAS && link.master == bridge.index)
            .filter(|link| !is_ours(link, &facts.links))
            .map(|link| link.name.clone())
            .collect(),
        ports: cables(bridge).into_iter().map(|link| port(link, facts)).collect(),
    };
    let mut found: Vec<Bridge> = facts.links.iter().filter(is_shown).map(of).collect();
    let first = found.len();
    for link in facts.links.iter().filter(|link| link.master == 0 && is_ours(link, &facts.links)) {
        let addresses = addresses_of(link, facts);
        let port = port(link, facts);
        match found[first..].iter_mut().find(|gateway| gateway.addresses == addresses) {
            Some(gateway) => gateway.ports.push(port),
            None => {
                let nat = has_routed_nat(&addresses, facts);
                found.push(Bridge { name: None, addresses, nat, uplinks: Vec::new(), ports: vec![port] });
            }
        }
    }
    found
}

fn port(link: &Link, facts: &Facts) -> Port {
    let address = reserving_name(link).and_then(Address::of_link_name);
    let holder = link.peer_ns.and_then(|number| facts.holders.get(&number)).cloned().unwrap_or_default();
    Port { link: link.name.clone(), address, holder }
}

/// A link's addresses, each once: towards every peer it may have the same.
fn addresses_of(link: &Link, facts: &Facts) -> Vec<Address> {
    let mut found = Vec::new();
    for (index, address) in &facts.all_addresses {
        if *index == link.index && !address.is_link_local() && !found.contains(address) {
            found.push(*address);
        }
    }
    found
}

fn has_routed_nat(addresses: &[Address], facts: &Facts) -> Option<bool> {
    let is_for = |network: Address| addresses.iter().any(|address| network.overlaps(*address));
    let network = |name: &str| name.split_once('/').and_then(|(_, network)| network.parse().ok());
    let tables = facts.tables.as_ref()?.iter().filter(|table| is_routed(&table.bridge));
    Some(tables.filter_map(|table| network(&table.bridge)).any(is_for))
}

/// Whose packets are passed on, and whether beyond this machine: for the warnings.
pub fn passing(facts: &Facts) -> Vec<(Links, bool)> {
    let mut found = Vec::new();
    for one in bridges(facts) {
        let mut cables: Vec<&str> = one.ports.iter().map(|port| port.link.as_str()).collect();
        cables.retain(|cable| !cable.starts_with("bx"));
        // Where rules see the bridge, its cables are all one to them.
        if one.name.is_some() || cables.len() < one.ports.len() {
            cables = vec![CABLES];
        }
        found.extend(cables.iter().map(|cable| {
            (Links { bridge: one.name.clone(), cable: (*cable).to_owned() }, one.nat == Some(true))
        }));
    }
    found
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
        let uplinks: String = bridge.uplinks.iter().map(|link| format!("  {link} uplink\n")).collect();
        let ports: String = bridge.ports.iter().map(line).collect();
        format!("{}{addresses}{nat}\n{uplinks}{ports}", bridge.name.as_deref().unwrap_or("-"))
    });
    lines.collect()
}

fn line(port: &Port) -> String {
    let address = port.address.map_or("-".into(), |address| address.to_string());
    let netns = port.holder.netns.iter().map(|name| format!(" {name}"));
    let process = port.holder.process.iter().map(|(pid, program)| format!(" {pid} {program}"));
    format!("  {} {address}{}\n", port.link, netns.chain(process).collect::<String>())
}

fn object(bridge: &Bridge) -> String {
    let addresses: Vec<String> =
        bridge.addresses.iter().map(|address| json_string(address.to_string())).collect();
    let uplinks: Vec<String> = bridge.uplinks.iter().map(json_string).collect();
    let or_null = |value: Option<String>| value.unwrap_or_else(|| "null".into());
    let ports = bridge.ports.iter().map(|port| {
        let (pid, program) = port.holder.process.clone().unzip();
        format!(
            "{{\"link\": {}, \"address\": {}, \"netns\": {}, \"pid\": {}, \"program\": {}}}",
            json_string(&port.link),
            or_null(port.address.map(|address| json_string(address.to_string()))),
            or_null(port.holder.netns.as_ref().map(json_string)),
            or_null(pid.map(|pid| pid.to_string())),
            or_null(program.map(json_string))
        )
    });
    format!(
        "{{\"bridge\": {}, \"addresses\": [{}], \"nat\": {}, \"uplinks\": [{}], \"ports\": [{}]}}",
        or_null(bridge.name.as_ref().map(json_string)),
        addresses.join(", "),
        or_null(bridge.nat.map(|nat| nat.to_string())),
        uplinks.join(", "),
        ports.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_as_lines_and_as_json() {
        let port =
            |link: &str, holder| Port { link: link.into(), address: Address::of_link_name(link), holder };
        let sleeper = Holder { netns: Some("blue".into()), process: Some((47, "sleep".into())) };
        let bridge = Bridge {
            name: Some("boxbr0".into()),
            addresses: vec!["10.98.0.1/16".parse().unwrap()],
            nat: Some(true),
            uplinks: vec!["wan0".into()],
            ports: vec![port("bx0a620002", sleeper), port("bx600000002", Holder::default())],
        };
        assert_eq!(text(&[], true), "[]\n");
        assert_eq!(text(&[], false), "");
        assert_eq!(
            text(std::slice::from_ref(&bridge), false),
            "boxbr0 10.98.0.1/16 nat\n  wan0 uplink\n  bx0a620002 10.98.0.2 blue 47 sleep\n  bx600000002 -\n"
        );
        assert_eq!(
            text(&[bridge], true),
            "[{\"bridge\": \"boxbr0\", \"addresses\": [\"10.98.0.1/16\"], \"nat\": true, \"uplinks\": [\"wan0\"], \"ports\": [{\"link\": \"bx0a620002\", \"address\": \"10.98.0.2\", \"netns\": \"blue\", \"pid\": 47, \"program\": \"sleep\"}, {\"link\": \"bx600000002\", \"address\": null, \"netns\": null, \"pid\": null, \"program\": null}]}]\n"
        );
    }
}
