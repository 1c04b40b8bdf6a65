//! The story: a bridge, a cable with one end in the namespace, an address, a way out.

use crate::address::Address;
use crate::call::{Call, Pair, Side};
use crate::cli::{Cli, Wish};
use crate::facts::Facts;
use crate::list::{self, is_port};
use crate::network::{gateways, refuse_address};
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
        let add = Call::AddAddress {
            link: name.clone(),
            address: Some(*gateway),
            side: Side::Outside,
            in_shell: None,
        };
        steps.push(
            Step::new("an address makes this machine a part of that network", add)
                .undo(Call::RemoveAddress { link: name.clone(), address: *gateway }),
        );
    }
    if let Some(uplink) = &cli.uplink {
        steps.extend(uplink_step(uplink, name, facts)?);
    }
    Ok(steps)
}

fn uplink_step(uplink: &str, bridge: String, facts: &Facts) -> Result<Option<Step<Call>>, Failure> {
    let refused = |what: &str| Failure::new(format!("{}: {what}", quoted(uplink)));
    let Some(link) = &facts.uplink else {
        return Err(refused("there is no such interface").hint("ip link lists them"));
    };
    let own = facts.bridge.as_ref().map_or(0, |bridge| bridge.index);
    if link.master != 0 {
        return match link.master == own {
            true => Ok(None),
            false => Err(refused("it is a port of another bridge, or part of something else")
                .hint(format!("ip link set {uplink} nomaster sets it free"))),
        };
    }
    if facts.bridge.as_ref().is_some_and(|bridge| bridge.alias != ALIAS) {
        return Err(refused("the bridge is somebody else's, and --down would leave it there")
            .hint(format!("ip link set {uplink} master {bridge} does it for good")));
    }
    let step = Step::new(
        "with a port that leads outside, those behind the bridge are on that network themselves",
        Call::Enslave { name: link.name.clone(), index: link.index, bridge },
    );
    Ok(Some(step.undo(Call::Free { name: link.name.clone(), index: link.index })))
}

fn nat_steps(cli: &Cli, facts: &Facts, gateways: &[Address]) -> Result<Vec<Step<Call>>, Failure> {
    let bridge = cli.bridge_name().to_owned();
    let Some(network) = gateways.iter().copied().find(|gateway| gateway.ip.is_ipv4()) else {
        return Err(Failure::new("--nat needs a network of version 4")
            .hint("give the bridge an address of version 4: --gateway 10.98.0.1/16"));
    };
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
    let ports = facts.links.iter().filter(|link| is_port(link, &facts.links));
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

#[cfg(test)]
mod tests;
