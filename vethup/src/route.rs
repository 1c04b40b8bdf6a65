//! Addresses and routes, of either end of the cable and of the bridge: each call with its faces, as in call.rs.

use crate::address::Address;
use crate::call::{sent, unless_gone, unless_there};
use crate::pair::{Meant, Pair};
use crate::rtnl;
use crate::shell::{CLOSE, OUTSIDE, line, lines};
use crate::state::{Side, State};
use chain::{Answer, Refusal, Shell};
use nix::errno::Errno;
use std::fmt::{self, Display};
use std::net::IpAddr;

/// A call about addresses and routes.
#[derive(Debug)]
pub enum RouteCall {
    /// RTM_NEWADDR; without an address the one that was found
    AddAddress { link: String, address: Meant, side: Side },
    /// RTM_NEWADDR and RTM_NEWROUTE on the outer end: the gateways, and the way to each address inside
    AddHostEnd { pair: Pair, gateways: Vec<IpAddr>, addresses: Vec<Meant> },
    /// RTM_DELADDR
    RemoveAddress { link: String, address: Address },
    /// RTM_NEWROUTE
    AddLinkRoute { to: IpAddr, link: String },
    /// RTM_NEWROUTE
    AddRoute { gateway: IpAddr, link: String },
}

impl Display for RouteCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RouteCall::AddAddress { link, address, .. } => {
                sent(f, &format!("RTM_NEWADDR, \"{link}\", {address}"))
            }
            RouteCall::AddHostEnd { pair, gateways, addresses } => {
                let outer = pair.outer();
                let gateways =
                    gateways.iter().map(|ip| format!("RTM_NEWADDR, \"{outer}\", {}", Address::alone(*ip)));
                let routes =
                    addresses.iter().map(|address| format!("RTM_NEWROUTE, {address} dev \"{outer}\""));
                let lines = gateways.chain(routes).map(|text| format!("sendto(NETLINK_ROUTE, {{{text}}})"));
                f.write_str(&lines.collect::<Vec<_>>().join("\n"))
            }
            RouteCall::RemoveAddress { link, address } => {
                sent(f, &format!("RTM_DELADDR, \"{link}\", {address}"))
            }
            RouteCall::AddLinkRoute { to, link } => sent(f, &format!("RTM_NEWROUTE, {to} dev \"{link}\"")),
            RouteCall::AddRoute { gateway, link } => {
                sent(f, &format!("RTM_NEWROUTE, default via {gateway} dev \"{link}\""))
            }
        }
    }
}

impl RouteCall {
    /// As a shell types it.
    pub fn shell(&self) -> Shell {
        match self {
            RouteCall::AddAddress { link, address, .. } => match address.shown() {
                Some(address) => line(&add_address(address, link)),
                None => Shell::Nothing,
            },
            RouteCall::AddHostEnd { pair, gateways, addresses } => add_host_end(pair, gateways, addresses),
            RouteCall::RemoveAddress { link, address } => {
                line(&format!("ip address delete {address} dev {link}"))
            }
            RouteCall::AddLinkRoute { to, link } => line(&add_link_route(*to, link)),
            RouteCall::AddRoute { gateway, link } => {
                line(&format!("{} add default via {gateway} dev {link} proto static", ip_route(*gateway)))
            }
        }
    }

    /// As the kernel gets it.
    ///
    /// # Errors
    /// What it answered; ENODEV, EBADF where an earlier call is missing.
    pub fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            RouteCall::AddAddress { link, address, side } => {
                let address = address.known(state)?;
                let index = state.index_of(link, *side)?;
                return unless_there(state.socket(*side)?.request([rtnl::add_address(index, address)]));
            }
            RouteCall::AddHostEnd { gateways, addresses, .. } => {
                let (outer, _) = state.veth.clone().ok_or(Errno::ENODEV)?;
                let index = state.index_of(&outer, Side::Outside)?;
                for gateway in gateways {
                    let message = rtnl::add_address(index, Address::alone(*gateway));
                    state.outside()?.request([message])?;
                }
                for address in addresses {
                    let message = rtnl::add_route(index, Some(address.known(state)?.ip), None);
                    state.outside()?.request([message])?;
                }
            }
            RouteCall::RemoveAddress { link, address } => {
                let index = state.index_of(link, Side::Outside)?;
                return unless_gone(state.outside()?.request([rtnl::remove_address(index, *address)]));
            }
            RouteCall::AddLinkRoute { to, link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::add_route(index, Some(*to), None)])?;
            }
            RouteCall::AddRoute { gateway, link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::add_route(index, None, Some(*gateway))])?;
            }
        }
        Ok(Answer::zero())
    }
}

/// Addresses of version 6 are used at once.
fn add_address(address: Address, link: &str) -> String {
    let no_wait = if address.ip.is_ipv6() { " nodad" } else { "" };
    format!("ip address add {address} dev {link}{no_wait}")
}

fn ip_route(to: IpAddr) -> &'static str {
    if to.is_ipv6() { "ip -6 route" } else { "ip route" }
}

fn add_link_route(to: IpAddr, link: &str) -> String {
    format!("{} add {to} dev {link} proto static", ip_route(to))
}

fn add_host_end(pair: &Pair, gateways: &[IpAddr], addresses: &[Meant]) -> Shell {
    let Some((outer, _)) = pair.in_shell() else { return Shell::Refuse };
    let gateways = gateways.iter().map(|ip| add_address(Address::alone(*ip), &outer));
    let known = addresses.iter().filter_map(|address| address.shown());
    let routes = known.map(|address| add_link_route(address.ip, &outer));
    let all = gateways.chain(routes).map(|command| format!("{OUTSIDE}{command}"));
    lines(&all.chain([CLOSE.to_owned()]).collect::<Vec<_>>())
}
