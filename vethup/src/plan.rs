//! The story: a bridge, a cable with one end in the namespace, an address, a way out.

use crate::address::Address;
use crate::call::{Call, Pair, Side};
use crate::cli::{Cli, Wish};
use crate::facts::Facts;
use crate::list::{self, is_port};
use crate::nft::Table;
use crate::rtnl::{ALIAS, Link};
use chain::{Failure, Kind, Made, Plan, Step, quoted};

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
        return Ok(Plan::of(down(cli, &facts)));
    }
    let gateways = gateways(cli, &facts)?;
    let mut steps = vec![Step::new(
        "a socket stays in the network it was opened in, wherever this process goes: through it the outer side is asked",
        Call::OpenSocket,
    )];
    steps.extend(bridge_steps(cli, &facts, &gateways)?);
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

/// The bridge's own addresses, as they are to be.
fn gateways(cli: &Cli, facts: &Facts) -> Result<Vec<Address>, Failure> {
    if let Some(link) = facts.bridge.as_ref().filter(|link| link.kind != "bridge") {
        let kind = if link.kind.is_empty() { "an interface of hardware, or lo" } else { &link.kind };
        return Err(Failure::new(format!("{}: not a bridge: {kind}", quoted(cli.bridge_name()))).hint(
            "--bridge names a bridge, or one that is not there yet; --uplink makes an interface a port of it",
        ));
    }
    let mut gateways: Vec<Address> =
        facts.addresses.iter().copied().filter(|address| !address.is_link_local()).collect();
    gateways.extend(cli.gateway.iter().filter(|gateway| !facts.addresses.contains(gateway)));
    if gateways.iter().any(|gateway| gateway.ip.is_ipv4()) {
        return Ok(gateways);
    }
    match &facts.bridge {
        Some(bridge) if bridge.alias != ALIAS && cli.gateway.is_empty() => {
            Err(Failure::new(format!("{}: this bridge has no address", quoted(cli.bridge_name())))
                .hint("--gateway ADDR/LEN gives it one, which is the way out for those behind it"))
        }
        _ if !cli.gateway.is_empty() => Ok(gateways),
        _ => Ok(gateways.into_iter().chain(DEFAULT_GATEWAY.parse()).collect()),
    }
}

const DEFAULT_GATEWAY: &str = "10.98.0.1/16";

fn bridge_steps(cli: &Cli, facts: &Facts, gateways: &[Address]) -> Result<Vec<Step<Call>>, Failure> {
    let name = cli.bridge_name().to_owned();
    let mut steps = Vec::new();
    if facts.bridge.is_none() {
        let hardware = gateways.first().map_or([2, 0x62, 0, 0, 0, 1], |gateway| gateway.hardware());
        steps.push(
            Step::new(
                "a switch without a box: what is plugged into it is one network; it waits for nobody before it forwards",
                Call::AddBridge { name: name.clone(), hardware },
            )
            .undo(Call::RemoveLink { name: name.clone(), unless_in_use: true }),
        );
    }
    for gateway in gateways.iter().filter(|gateway| !facts.addresses.contains(gateway)) {
        let is_taken = |(_, network): &&(String, Address)| network.overlaps(*gateway);
        if let Some((link, network)) = facts.routes.iter().find(is_taken) {
            return Err(Failure::new(format!("{}: packets for {network} go to {link}", gateway.network()))
                .why("an address makes this machine a part of that network")
                .hint("--gateway ADDR/LEN names a network nobody here uses, as in --gateway 10.99.0.1/16"));
        }
        steps.push(Step::new(
            "an address makes this machine a part of that network",
            Call::AddAddress {
                link: name.clone(),
                address: Some(*gateway),
                side: Side::Outside,
                in_shell: None,
            },
        ));
    }
    if let Some(uplink) = &cli.uplink {
        let Some(link) = &facts.uplink else {
            return Err(Failure::new(format!("{}: there is no such interface", quoted(uplink)))
                .hint("ip link lists them"));
        };
        steps.push(
            Step::new(
                "with a port that leads outside, those behind the bridge are on that network themselves",
                Call::Enslave { name: link.name.clone(), index: link.index, bridge: name },
            )
            .undo(Call::Free { name: link.name.clone(), index: link.index }),
        );
    }
    Ok(steps)
}

fn nat_steps(cli: &Cli, facts: &Facts, gateways: &[Address]) -> Result<Vec<Step<Call>>, Failure> {
    let bridge = cli.bridge_name().to_owned();
    let Some(network) = gateways.iter().copied().find(|gateway| gateway.ip.is_ipv4()) else {
        return Err(Failure::new("--nat needs a network of version 4")
            .hint("give the bridge an address of version 4: --gateway 10.98.0.1/16"));
    };
    let mut steps = Vec::new();
    let recorded = facts.tables.first().map(|table| &table.forwarding);
    if !facts.tables.iter().any(|table| table.bridge == bridge) {
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
        refuse_address(*wish, gateways)?;
    }
    // What is found for auto names the pair; without auto the first address does.
    let main = wishes.iter().copied().find(|wish| *wish == Wish::Auto).unwrap_or(wishes[0]);
    let mut pair = Pair {
        wish: main,
        bridge: cli.bridge_name().to_owned(),
        gateway: gateways.iter().copied().find(|gateway| gateway.ip.is_ipv4()),
        ifname: cli.ifname.clone(),
        hardware: cli.mac,
        mtu: cli.mtu,
        start: facts.start,
        in_shell: None,
    };
    let is_taken = |address: &Address| facts.links.iter().any(|link| link.name == address.link_name());
    let in_shell = pair.candidates().find(|address| !is_taken(address));
    pair.in_shell = in_shell;
    let mut steps = vec![
        Step::new(
            "a cable: one end in the bridge, the other in there; the outer end's name reserves the address it is made from",
            Call::AddVeth(pair),
        )
        .undo(Call::RemoveVeth),
        Step::new("both ends are to be up", Call::SetUp { link: cli.ifname.clone() }),
        Step::new("lo is born down, and programs expect 127.0.0.1 to answer", Call::SetUp { link: "lo".into() }).optional(),
    ];
    for wish in wishes {
        let address = match wish {
            Wish::Auto => None,
            Wish::Address(address) => Some(*address),
        };
        steps.push(Step::new(
            "the address others reach it under",
            Call::AddAddress { link: cli.ifname.clone(), address, side: Side::Inside, in_shell },
        ));
    }
    let is_version_4 =
        |wish: &Wish| matches!(wish, Wish::Auto) || matches!(wish, Wish::Address(one) if one.ip.is_ipv4());
    for gateway in gateways {
        if wishes.iter().any(|wish| is_version_4(wish) == gateway.ip.is_ipv4()) {
            steps.push(Step::new(
                "everything else is reached through the bridge's own address",
                Call::AddRoute { gateway: gateway.ip, link: cli.ifname.clone() },
            ));
        }
    }
    Ok(steps)
}

fn refuse_address(wish: Wish, gateways: &[Address]) -> Result<(), Failure> {
    let Wish::Address(address) = wish else { return Ok(()) };
    let beside: Vec<&Address> =
        gateways.iter().filter(|gateway| gateway.is_of_the_kind_of(address)).collect();
    if beside.iter().any(|gateway| gateway.ip == address.ip) {
        return Err(Failure::new(format!("--address {address}: that is the bridge's own"))
            .hint("--address auto finds a free one beside it"));
    }
    if address.ip.is_ipv4() && address.network().ip == address.ip && address.length < 31 {
        return Err(Failure::new(format!("--address {address}: that is the network, not a host in it"))
            .hint("--address auto finds a free one"));
    }
    match beside.first() {
        Some(gateway) if !gateway.overlaps(address) => {
            Err(Failure::new(format!("--address {address}: the bridge is in {}", gateway.network()))
                .hint("give an address of that network, or another --bridge with a --gateway in this one"))
        }
        _ => Ok(()),
    }
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

/// Everything vethup made, or what belongs to one bridge.
fn down(cli: &Cli, facts: &Facts) -> Vec<Step<Call>> {
    let is_meant = |name: &str| cli.bridge.as_deref().is_none_or(|bridge| bridge == name);
    let master_of = |port: &Link| {
        facts.links.iter().find(|link| link.index == port.master).map(|link| link.name.as_str())
    };
    let remove =
        |why, link: &Link| Step::new(why, Call::RemoveLink { name: link.name.clone(), unless_in_use: false });
    let mut steps: Vec<Step<Call>> = Vec::new();
    let ports = facts.links.iter().filter(|link| is_port(link));
    steps.extend(
        ports
            .filter(|port| is_meant(master_of(port).unwrap_or_default()))
            .map(|port| remove("a cable goes with both its ends", port)),
    );
    let bridges = facts
        .links
        .iter()
        .filter(|link| link.kind == "bridge" && link.alias == ALIAS && is_meant(&link.name));
    steps.extend(bridges.map(|bridge| remove("the alias says that vethup made it", bridge)));
    let (gone, left): (Vec<&Table>, Vec<&Table>) =
        facts.tables.iter().partition(|table| is_meant(&table.bridge));
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

#[cfg(test)]
mod tests;
