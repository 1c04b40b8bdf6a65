//! What --down takes away: cables, bridges, rules; and what it puts back: uplinks and forwarding.

use crate::call::Call;
use crate::cli::Cli;
use crate::facts::Facts;
use crate::nft::{Table, is_routed};
use crate::pair::is_ours;
use crate::rtnl::{ALIAS, Link};
use crate::uplink;
use chain::Step;

/// Everything vethup made, or what belongs to one bridge.
pub fn steps(cli: &Cli, facts: &Facts) -> Vec<Step<Call>> {
    // A network without a bridge has its cables in none, and a table that no bridge can have.
    let is_meant = |name: &str| match &cli.bridge {
        Some(bridge) => bridge == name,
        None => !cli.no_bridge || name.is_empty() || is_routed(name),
    };
    let master_of = |port: &Link| {
        facts.links.iter().find(|link| link.index == port.master).map(|link| link.name.as_str())
    };
    let remove =
        |why, link: &Link| Step::new(why, Call::RemoveLink { name: link.name.clone(), unless_in_use: false });
    let mut steps: Vec<Step<Call>> = Vec::new();
    let ports = facts.links.iter().filter(|link| is_ours(link, &facts.links));
    steps.extend(
        ports
            .filter(|port| is_meant(master_of(port).unwrap_or_default()))
            .map(|port| remove("a cable goes with both its ends", port)),
    );
    if !cli.no_bridge {
        steps.extend(uplink::down(facts, is_meant));
    }
    let bridges = facts
        .links
        .iter()
        .filter(|link| link.kind == "bridge" && link.alias == ALIAS && is_meant(&link.name));
    steps.extend(bridges.map(|bridge| remove("the alias says that vethup made it", bridge)));
    let tables = facts.tables.as_deref().unwrap_or_default();
    let (gone, left): (Vec<&Table>, Vec<&Table>) = tables.iter().partition(|table| is_meant(&table.bridge));
    steps.extend(gone.iter().map(|table| {
        Step::new(
            "its rules go with the network they were for",
            Call::RemoveNat { bridge: table.bridge.clone() },
        )
    }));
    if let Some(table) = gone.first().filter(|table| left.is_empty() && table.forwarding != facts.forwarding)
    {
        steps.push(Step::new(
            "the last of them is gone: forwarding is as it was before the first",
            Call::WriteForwarding { value: table.forwarding.clone() },
        ));
    }
    if !steps.is_empty() {
        steps.insert(0, Step::new("links are removed through this socket", Call::OpenSocket));
    }
    steps
}
