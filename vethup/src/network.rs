//! Which network a bridge is in, and which addresses can be meant in it. It decides, and does nothing.

use crate::address::Address;
use crate::cli::{Cli, Wish};
use crate::facts::Facts;
use crate::rtnl::ALIAS;
use chain::{Failure, quoted};

/// Where nothing else was said: of the bridge, and where there is none.
const DEFAULT_GATEWAYS: [&str; 2] = ["10.98.0.1/16", "10.97.0.1/16"];

/// The bridge's own addresses as they are to be, at most one of each version: those behind it are in one network.
///
/// # Errors
/// The bridge is none, or is in another network than the one that was asked for.
pub fn gateways(cli: &Cli, facts: &Facts) -> Result<Vec<Address>, Failure> {
    let name = quoted(cli.bridge_name());
    if let Some(link) = facts.bridge.as_ref().filter(|link| link.kind != "bridge") {
        let kind = if link.kind.is_empty() { "an interface of hardware, or lo" } else { &link.kind };
        return Err(Failure::new(format!("{name}: not a bridge: {kind}")).hint(
            "--bridge names a bridge, or one that is not there yet; --uplink makes an interface a port of it",
        ));
    }
    let mut chosen = Vec::new();
    for is_version_4 in [true, false] {
        let is_it = |address: &&Address| address.ip.is_ipv4() == is_version_4 && !address.is_link_local();
        let wanted = cli.gateway.iter().copied().find(|address| is_it(&address));
        let present = facts.addresses.iter().copied().find(|address| is_it(&address));
        chosen.extend(match (wanted, present) {
            (Some(wanted), Some(present)) if !facts.addresses.contains(&wanted) => {
                return Err(Failure::new(format!("--gateway {wanted}: {name} is {present} already"))
                    .hint("leave out --gateway, or name another --bridge for another network"));
            }
            (Some(wanted), _) => Some(refuse_no_host("--gateway", wanted).map(|()| wanted)?),
            (None, present) => present,
        });
    }
    let is_somebodys = facts.bridge.as_ref().is_some_and(|bridge| bridge.alias != ALIAS);
    match chosen.is_empty() {
        true if is_somebodys => Err(Failure::new(format!("{name}: this bridge has no address"))
            .hint("--gateway ADDR/LEN gives it one, which is the way out for those behind it")),
        true => Ok(DEFAULT_GATEWAYS[usize::from(cli.no_bridge)].parse().into_iter().collect()),
        false => Ok(chosen),
    }
}

/// A network that packets go to another way already.
///
/// # Errors
/// It is one.
pub fn refuse_taken(gateway: Address, cli: &Cli, facts: &Facts) -> Result<(), Failure> {
    let is_taken = |(_, network): &&(String, Address)| network.overlaps(gateway);
    let Some((link, network)) = facts.routes.iter().find(is_taken) else { return Ok(()) };
    let failure = Failure::new(format!("{}: packets for {network} go to {link}", gateway.network()))
        .why("an address makes this machine a part of that network");
    Err(match cli.uplink.as_ref() == Some(link) {
        true => failure.hint(format!(
            "a port has no use for an address: ip address flush dev {link}, and --gateway gives it to the bridge"
        )),
        false => failure.hint(
            "--gateway ADDR/LEN names a network nobody here uses, as in --gateway 10.99.0.1/16",
        ),
    })
}

/// An address that no host can have.
fn refuse_no_host(option: &str, address: Address) -> Result<(), Failure> {
    let refused = |what: &str| Err(Failure::new(format!("{option} {address}: that is {what}")));
    let has_ends = address.ip.is_ipv4() && address.length < 31;
    if address.ip.is_loopback() {
        return refused("this machine's loopback, which leads nowhere else");
    }
    if has_ends && address.network().ip == address.ip {
        return refused("the network, not a host in it");
    }
    if has_ends && address.broadcast() == Some(address.ip) {
        return refused("the broadcast address, not a host's");
    }
    Ok(())
}

/// An address that cannot be given to what is wired to a bridge with these addresses, or to them without one.
///
/// # Errors
/// It is no host's, or the bridge's own, or of another network; or there is none to be found.
pub fn refuse_address(wish: Wish, gateways: &[Address], has_bridge: bool) -> Result<(), Failure> {
    let way_out = if has_bridge { "bridge" } else { "gateway" };
    let Wish::Address(address) = wish else { return refuse_auto(gateways) };
    refuse_no_host("--address", address)
        .map_err(|failure| failure.hint("--address auto finds a free one"))?;
    match gateways.iter().find(|gateway| gateway.is_of_the_kind_of(address)) {
        Some(gateway) if gateway.ip == address.ip => {
            Err(Failure::new(format!("--address {address}: that is the {way_out}'s own"))
                .hint("--address auto finds a free one beside it"))
        }
        Some(gateway) if !gateway.overlaps(address) => {
            let failure =
                Failure::new(format!("--address {address}: the {way_out} is in {}", gateway.network()));
            Err(failure.hint(match has_bridge {
                true => "give an address of that network, or another --bridge with a --gateway in this one",
                false => "give an address of that network, or a --gateway in this one",
            }))
        }
        None if !has_bridge => {
            Err(Failure::new(format!("--address {address}: there is no gateway of its version"))
                .hint("without a bridge the gateway is all it reaches: name another --gateway"))
        }
        _ => Ok(()),
    }
}

fn refuse_auto(gateways: &[Address]) -> Result<(), Failure> {
    match gateways.iter().find(|gateway| gateway.ip.is_ipv4()) {
        Some(gateway) if gateway.length > 30 => {
            Err(Failure::new(format!("{}: no room for another address", gateway.network()))
                .hint("give the network a length of 30 or less, or name an --address"))
        }
        Some(_) => Ok(()),
        None => Err(Failure::new("no network of version 4 to find an address in")
            .hint("name an --address of version 6, or a --gateway of version 4 as well")),
    }
}
