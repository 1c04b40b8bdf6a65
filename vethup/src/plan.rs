//! The story: a bridge, a cable with one end in the namespace, an address, a way out.

use crate::address::Address;
use crate::call::Call;
use crate::cli::{Cli, Wish};
use crate::facts::Facts;
use crate::firewall::{CABLES, Links};
use crate::link::LinkCall;
use crate::network::{gateways, refuse_address, refuse_taken};
use crate::nft::routed;
use crate::pair::{Meant, Pair, reserving_name};
use crate::route::RouteCall;
use crate::state::Side;
use crate::{down, list, uplink};
use chain::{Failure, Kind, Made, Plan, Step};
use std::net::IpAddr;

/// Decides everything; does nothing.
///
/// # Errors
/// The bridge is none, its network is another's, an address cannot be meant.
pub fn plan(cli: &Cli, mut facts: Facts) -> Result<Plan<Call>, Failure> {
    if cli.list {
        let bridges = list::bridges(&facts);
        return Ok(Plan::of(vec![Step::new(
            "what was found, as it is now",
            Call::Print { bridges, json: cli.json },
        )]));
    }
    if cli.down {
        return Ok(Plan::of(down::steps(cli, &facts)));
    }
    let gateways = gateways(cli, &facts)?;
    let mut steps = vec![Step::new(
        "a socket stays in the network it was opened in, wherever this process goes: through it the outer side is asked",
        Call::OpenSocket,
    )];
    for gateway in gateways.iter().filter(|gateway| !facts.addresses.contains(gateway)) {
        refuse_taken(*gateway, cli, &facts)?;
    }
    if !cli.no_bridge {
        steps.extend(bridge_steps(cli, &facts, &gateways)?);
    }
    if cli.nat {
        steps.extend(nat_steps(cli, &facts, &gateways)?);
    }
    let made = match facts.netns.take() {
        Some((path, file)) => {
            steps.push(Step::new("go where the other end of the cable belongs", Call::JoinNs { path, file }));
            Made::default()
        }
        None => {
            steps.push(Step::new(
                "a network of its own: no interface but lo, no route, no rule, none of the host's sockets",
                Call::UnshareNet,
            ));
            Made { namespaces: vec![Kind::Net], ..Made::default() }
        }
    };
    steps.extend(wire_steps(cli, &facts, &gateways)?);
    if facts.program.is_some() {
        steps.extend(openness_steps(facts.groups));
    }
    Ok(Plan { steps, fork: None, program: facts.program, made })
}

fn bridge_steps(cli: &Cli, facts: &Facts, gateways: &[Address]) -> Result<Vec<Step<Call>>, Failure> {
    let name = cli.bridge_name().to_owned();
    let mut steps = Vec::new();
    if facts.bridge.is_none() {
        let hardware = gateways.first().map_or([2, 0x62, 0, 0, 0, 1], |gateway| gateway.hardware());
        steps.push(
            Step::new(
                "a switch without a box: what is plugged into it is one network; it waits for nobody before it forwards",
                Call::Link(LinkCall::AddBridge { name: name.clone(), hardware }),
            )
            .undo(Call::Link(LinkCall::Remove { name: name.clone(), unless_in_use: true })),
        );
    }
    for gateway in gateways.iter().filter(|gateway| !facts.addresses.contains(gateway)) {
        let address = Meant { wish: Wish::Address(*gateway), alone: false, in_shell: None };
        let add = Call::Route(RouteCall::AddAddress { link: name.clone(), address, side: Side::Outside });
        steps.push(
            Step::new("an address makes this machine a part of that network", add)
                .undo(Call::Route(RouteCall::RemoveAddress { link: name.clone(), address: *gateway })),
        );
    }
    if let Some(uplink) = &cli.uplink {
        steps.extend(uplink::steps(uplink, &name, facts)?);
    }
    Ok(steps)
}

fn nat_steps(cli: &Cli, facts: &Facts, gateways: &[Address]) -> Result<Vec<Step<Call>>, Failure> {
    let Some(network) = gateways.iter().copied().find(|gateway| gateway.ip.is_ipv4()) else {
        return Err(Failure::new("--nat needs a network of version 4")
            .hint("give the bridge an address of version 4: --gateway 10.98.0.1/16"));
    };
    let bridge = if cli.no_bridge { routed(network) } else { cli.bridge_name().to_owned() };
    let mut steps = Vec::new();
    let tables = facts.tables.as_deref().unwrap_or_default();
    let recorded = tables.first().map(|table| &table.forwarding);
    if !tables.iter().any(|table| table.bridge == bridge) {
        let forwarding = recorded.unwrap_or(&facts.forwarding).clone();
        steps.push(
            Step::new(
                "nobody outside knows the way to this network: what leaves it takes this machine's address, and the answer finds back",
                Call::AddNat { bridge: bridge.clone(), network, forwarding },
            )
            .undo(Call::RemoveNat { bridge }),
        );
    }
    if facts.forwarding == "0" {
        steps.push(
            Step::new(
                "a machine passes on what is not for itself only when told to; what it was told before stands in the table",
                Call::WriteForwarding { value: "1".into() },
            )
            .undo(Call::WriteForwarding { value: "0".into() }),
        );
    }
    Ok(steps)
}

/// The cable, and what makes it of use inside.
fn wire_steps(cli: &Cli, facts: &Facts, gateways: &[Address]) -> Result<Vec<Step<Call>>, Failure> {
    let wishes: &[Wish] = if cli.address.is_empty() { &[Wish::Auto] } else { &cli.address };
    for wish in wishes {
        refuse_address(*wish, gateways, !cli.no_bridge)?;
    }
    // What is found for auto names the pair; without auto the first address does.
    let main = wishes.iter().copied().find(|wish| *wish == Wish::Auto).unwrap_or(wishes[0]);
    let mut pair = Pair {
        wish: main,
        bridge: (!cli.no_bridge).then(|| cli.bridge_name().to_owned()),
        peer_name: cli.peer_name.clone(),
        gateway: gateways.iter().copied().find(|gateway| gateway.ip.is_ipv4()),
        ifname: cli.ifname.clone(),
        hardware: cli.mac,
        mtu: cli.mtu,
        start: facts.start,
        in_shell: None,
    };
    let taken: Vec<&str> = facts.links.iter().filter_map(reserving_name).collect();
    let in_shell = pair.candidates().find(|address| !taken.contains(&address.link_name().as_str()));
    pair.in_shell = in_shell;
    let ifname = &cli.ifname;
    let meant = |wish: &Wish| Meant { wish: *wish, alone: cli.no_bridge, in_shell };
    let is_used = |gateway: &&Address| wishes.iter().any(|wish| wish.is_version_4() == gateway.ip.is_ipv4());
    let ways_out: Vec<_> = gateways.iter().filter(is_used).map(|gateway| gateway.ip).collect();
    let mut steps = vec![Step::new(why_cable(cli), Call::AddVeth(pair.clone())).undo(Call::RemoveVeth)];
    if cli.no_bridge {
        let addresses = wishes.iter().map(meant).collect();
        steps.push(Step::new(
            "this end is the gateway, and the way to that one address: nobody else is on the cable",
            Call::Route(RouteCall::AddHostEnd { pair, gateways: ways_out.clone(), addresses }),
        ));
    }
    steps.push(Step::new("both ends are to be up", Call::SetUp { link: ifname.clone() }));
    let lo = Call::SetUp { link: "lo".into() };
    steps.push(Step::new("lo is born down, and programs expect 127.0.0.1 to answer", lo).optional());
    steps.extend(wishes.iter().map(|wish| {
        let (link, address) = (ifname.clone(), meant(wish));
        Step::new(
            "the address others reach it under",
            Call::Route(RouteCall::AddAddress { link, address, side: Side::Inside }),
        )
    }));
    for gateway in ways_out {
        steps.extend(way_out_steps(cli, gateway));
    }
    Ok(steps)
}

fn way_out_steps(cli: &Cli, gateway: IpAddr) -> Vec<Step<Call>> {
    let link = || cli.ifname.clone();
    let default = Call::Route(RouteCall::AddRoute { gateway, link: link() });
    if !cli.no_bridge {
        return vec![Step::new("everything else is reached through the bridge's own address", default)];
    }
    vec![
        Step::new(
            "an address alone has no neighbours: the gateway is said to be one",
            Call::Route(RouteCall::AddLinkRoute { to: gateway, link: link() }),
        ),
        Step::new("everything else is reached through the other end of the cable", default),
    ]
}

fn why_cable(cli: &Cli) -> &'static str {
    match (cli.no_bridge, &cli.peer_name) {
        (false, None) => {
            "a cable: one end in the bridge, the other in there; the outer end's name reserves the address it is made from"
        }
        (false, Some(_)) => {
            "a cable: one end in the bridge, the other in there; a second name of the outer end reserves the address it is made from"
        }
        (true, None) => {
            "a cable: one end here, the other in there; the outer end's name reserves the address it is made from"
        }
        (true, Some(_)) => {
            "a cable: one end here, the other in there; a second name of the outer end reserves the address it is made from"
        }
    }
}

/// What will not work, in a line each: what the uplink loses, and what others drop; or whom --down cuts off.
pub fn warnings(cli: &Cli, facts: &Facts) -> Vec<String> {
    if cli.down {
        return down::warnings(cli, facts);
    }
    let mut lines = uplink::warnings(facts);
    let passing = match cli.list {
        true => list::passing(facts),
        false => {
            let bridge = (!cli.no_bridge).then(|| cli.bridge_name().to_owned());
            let cable = cli.peer_name.clone().unwrap_or_else(|| CABLES.into());
            vec![(Links { bridge, cable }, cli.nat)]
        }
    };
    for (links, is_routed) in &passing {
        // Between the ports of a bridge only its own chains stand.
        let concerns = facts.firewalls.iter().filter(|firewall| *is_routed || firewall.family == "bridge");
        lines.extend(concerns.filter_map(|firewall| firewall.warning(links)));
    }
    lines
}

/// A network of its own is its own affair.
fn openness_steps((first, last): (u32, u32)) -> Vec<Step<Call>> {
    let sysctl = |why, name, value| Step::new(why, Call::WriteSysctl { name, value }).optional();
    vec![
        sysctl(
            "this network is its own affair: let every group in here ping without a raw socket",
            "net/ipv4/ping_group_range",
            format!("{first} {last}"),
        ),
        sysctl(
            "and let every user in here listen on ports below 1024",
            "net/ipv4/ip_unprivileged_port_start",
            "0".into(),
        ),
    ]
}

#[cfg(test)]
mod tests;
