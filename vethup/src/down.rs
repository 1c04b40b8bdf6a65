//! What --down takes away: cables, bridges, rules; and what it puts back: uplinks and forwarding. Whom that cuts off is
//! said, and done all the same: who calls it wants nothing to be left, and a script could not go on.

use crate::call::Call;
use crate::cli::Cli;
use crate::facts::Facts;
use crate::link::LinkCall;
use crate::nft::{Table, is_routed};
use crate::pair::is_ours;
use crate::rtnl::{ALIAS, Link};
use crate::uplink;
use chain::Step;

/// Whether what belongs to this bridge is to go. A network without a bridge has its cables in none, and a table that no
/// bridge can have.
fn is_meant(cli: &Cli, bridge: &str) -> bool {
    match &cli.bridge {
        Some(one) => one == bridge,
        None => !cli.no_bridge || bridge.is_empty() || is_routed(bridge),
    }
}

/// The outer ends of the cables that are to go.
fn cables<'a>(cli: &'a Cli, facts: &'a Facts) -> impl Iterator<Item = &'a Link> {
    let bridge_of = move |cable: &Link| {
        facts.links.iter().find(|link| link.index == cable.master).map_or("", |link| link.name.as_str())
    };
    let ours = facts.links.iter().filter(move |link| is_ours(link, &facts.links));
    ours.filter(move |cable| is_meant(cli, bridge_of(cable)))
}

/// Whom it cuts off, in a line each; those it cannot see, and a namespace that nobody is in, are not named.
pub fn warnings(cli: &Cli, facts: &Facts) -> Vec<String> {
    let line = |cable: &Link| {
        let holder = facts.holders.get(&cable.peer_ns?)?;
        let (pid, program) = holder.process.as_ref()?;
        let netns = holder.netns.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
        Some(format!("warning: process {pid} ({program}){netns} loses its network with {}", cable.name))
    };
    cables(cli, facts).filter_map(line).collect()
}

/// Everything vethup made, or what belongs to one bridge.
pub fn steps(cli: &Cli, facts: &Facts) -> Vec<Step<Call>> {
    let is_meant = |name: &str| is_meant(cli, name);
    let remove = |why, link: &Link| {
        Step::new(why, Call::Link(LinkCall::Remove { name: link.name.clone(), unless_in_use: false }))
    };
    let mut steps: Vec<Step<Call>> = Vec::new();
    steps.extend(cables(cli, facts).map(|cable| remove("a cable goes with both its ends", cable)));
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
