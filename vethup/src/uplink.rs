//! A port that leads outside: what can be one, what it loses by that, and how it gets back what it was. Whether it was down
//! stands in a second name of the link itself, so it goes where the link goes.

use crate::call::Call;
use crate::facts::Facts;
use crate::link::LinkCall;
use crate::rtnl::{ALIAS, Link};
use chain::{Failure, Step, quoted};

/// Before the name of a link that was down, in its second name.
const RECORD: &str = "boxutils-down-";

/// The second name that tells of a link that it was down.
pub fn record(link: &Link) -> Option<&String> {
    link.alt_names.iter().find(|name| name.starts_with(RECORD))
}

/// Makes the uplink a port; nothing where it is one.
///
/// # Errors
/// It is not there, cannot be a port, or is somebody else's.
pub fn steps(uplink: &str, bridge: &str, facts: &Facts) -> Result<Vec<Step<Call>>, Failure> {
    let Some(link) = &facts.uplink else {
        return Err(Failure::new(format!("{}: there is no such interface", quoted(uplink)))
            .hint("ip link lists them"));
    };
    refuse(uplink, link, facts)?;
    let own = facts.bridge.as_ref().map_or(0, |bridge| bridge.index);
    if link.master != 0 && link.master == own {
        return Ok(Vec::new());
    }
    let (name, index) = (link.name.clone(), link.index);
    let mut steps = Vec::new();
    let was_down = !link.is_up() || record(link).is_some();
    if was_down && record(link).is_none() {
        let alt_name = format!("{RECORD}{name}");
        let remember =
            Call::Link(LinkCall::AddAltName { name: name.clone(), index, alt_name: alt_name.clone() });
        steps.push(
            Step::new(
                "it is down, and a port is up: a second name of its own tells --down how it was",
                remember,
            )
            .undo(Call::Link(LinkCall::RemoveAltName { name: name.clone(), index, alt_name })),
        );
    }
    let enslave = Call::Link(LinkCall::Enslave { name: name.clone(), index, bridge: bridge.into() });
    let free = match was_down {
        true => Call::Link(LinkCall::FreeAndSetDown { name, index }),
        false => Call::Link(LinkCall::Free { name, index }),
    };
    steps.push(
        Step::new(
            "with a port that leads outside, those behind the bridge are on that network themselves",
            enslave,
        )
        .undo(free),
    );
    Ok(steps)
}

fn refuse(uplink: &str, link: &Link, facts: &Facts) -> Result<(), Failure> {
    let refused = |what: &str| Failure::new(format!("{}: {what}", quoted(uplink)));
    let leads_out = "--uplink names an interface that leads outside: hardware, a vlan, one end of a veth";
    let own = facts.bridge.as_ref().map_or(0, |bridge| bridge.index);
    if link.index == own {
        return Err(refused("it is the bridge itself").hint(leads_out));
    }
    if link.kind == "bridge" {
        return Err(refused("a bridge cannot be a port of another").hint(leads_out));
    }
    if link.flags & libc::IFF_LOOPBACK != 0 {
        return Err(refused("it leads back to this machine and nowhere else").hint(leads_out));
    }
    if link.master != 0 && link.master != own {
        let master = facts.links.iter().find(|master| master.index == link.master);
        let name = master.map_or("another link", |master| &master.name);
        return Err(refused(&format!("it is a port of {name} already"))
            .hint(format!("ip link set {uplink} nomaster sets it free")));
    }
    match &facts.bridge {
        Some(bridge) if bridge.alias != ALIAS && link.master != own => {
            Err(refused("the bridge is somebody else's, and --down would leave it there")
                .hint(format!("ip link set {uplink} master {} does it for good", bridge.name)))
        }
        _ => Ok(()),
    }
}

/// What stops working when the uplink becomes a port, in a line each.
pub fn warnings(facts: &Facts) -> Vec<String> {
    let Some(link) = facts.uplink.as_ref().filter(|link| link.master == 0) else { return Vec::new() };
    let own = facts
        .all_addresses
        .iter()
        .filter(|(index, address)| *index == link.index && !address.is_link_local());
    let addresses: Vec<String> = own.map(|(_, address)| address.to_string()).collect();
    let name = &link.name;
    let mut lines = Vec::new();
    if let Some(first) = addresses.first() {
        lines.push(format!(
            "warning: {name} has {}, where nobody is reached while it is a port: ip address delete {first} dev {name}, and --gateway {first} gives it to the bridge",
            addresses.join(", ")
        ));
    }
    if facts.is_way_out {
        lines.push(format!(
            "warning: this machine's default route leads through {name}, and to nowhere while that is a port: give the route to the bridge, or take another uplink"
        ));
    }
    lines
}

/// Puts the uplinks down that were, those of bridges of ours that are meant.
pub fn down(facts: &Facts, is_meant: impl Fn(&str) -> bool) -> Vec<Step<Call>> {
    let mut steps = Vec::new();
    for link in &facts.links {
        let Some(alt_name) = record(link) else { continue };
        let master = facts.links.iter().find(|master| master.index == link.master);
        if !is_meant(master.map_or("", |master| &master.name)) {
            continue;
        }
        let (name, index) = (link.name.clone(), link.index);
        // Whoever has made it a port of something else since has a use for it.
        if master.is_none_or(|master| master.alias == ALIAS) {
            let down = Call::Link(LinkCall::SetDown { name: name.clone(), index });
            steps.push(Step::new("its second name says that it was down before it became a port", down));
        }
        let forget = Call::Link(LinkCall::RemoveAltName { name, index, alt_name: alt_name.clone() });
        steps.push(Step::new("it is as it was, so there is nothing to remember", forget));
    }
    steps
}
