//! Every call vethup makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what
//! to do when the kernel says no.

use crate::address::Address;
use crate::cli::Hardware;
use crate::facts::FORWARDING;
use crate::list::Bridge;
use crate::nft;
use crate::pair::{self, Meant, Pair};
use crate::rtnl::{self, ALIAS};
use crate::state::{Side, State};
use chain::netlink::Netlink;
use chain::{Answer, Refusal, Shell, print_data, quoted};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::SockProtocol;
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A call; each variant is named after the message or the system call.
#[derive(Debug)]
pub enum Call {
    /// socket(2)
    OpenSocket,
    /// RTM_NEWLINK, twice
    AddBridge { name: String, hardware: Hardware },
    /// RTM_NEWLINK
    Enslave { name: String, index: i32, bridge: String },
    /// RTM_NEWLINK
    Free { name: String, index: i32 },
    /// RTM_NEWLINK, twice
    FreeAndSetDown { name: String, index: i32 },
    /// RTM_NEWLINK
    SetDown { name: String, index: i32 },
    /// RTM_NEWLINKPROP
    AddAltName { name: String, index: i32, alt_name: String },
    /// RTM_DELLINKPROP
    RemoveAltName { name: String, index: i32, alt_name: String },
    /// RTM_DELLINK
    RemoveLink { name: String, unless_in_use: bool },
    /// RTM_NEWADDR; without an address the one that was found
    AddAddress { link: String, address: Meant, side: Side },
    /// RTM_NEWADDR and RTM_NEWROUTE on the outer end: the gateways, and the way to each address inside
    AddHostEnd { pair: Pair, gateways: Vec<IpAddr>, addresses: Vec<Meant> },
    /// RTM_DELADDR
    RemoveAddress { link: String, address: Address },
    /// A transaction of nf_tables
    AddNat { bridge: String, network: Address, forwarding: String },
    /// A transaction of nf_tables
    RemoveNat { bridge: String },
    /// `/proc/sys/net/ipv4/ip_forward`
    WriteForwarding { value: String },
    /// unshare(2)
    UnshareNet,
    /// setns(2)
    JoinNs { path: PathBuf, file: File },
    /// RTM_NEWLINK
    AddVeth(Pair),
    /// RTM_DELLINK
    RemoveVeth,
    /// RTM_NEWLINK
    SetUp { link: String },
    /// RTM_NEWROUTE
    AddLinkRoute { to: IpAddr, link: String },
    /// RTM_NEWROUTE
    AddRoute { gateway: IpAddr, link: String },
    /// A file below `/proc/sys`
    WriteSysctl { name: &'static str, value: String },
    /// What was found
    Print { bridges: Vec<Bridge>, json: bool },
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sent = |f: &mut fmt::Formatter, text: String| write!(f, "sendto(NETLINK_ROUTE, {{{text}}})");
        match self {
            Call::OpenSocket => f.write_str("socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)"),
            Call::AddBridge { name, .. } => {
                sent(f, format!("RTM_NEWLINK, \"{name}\", \"bridge\", IFF_UP, alias \"{ALIAS}\""))
            }
            Call::Enslave { name, bridge, .. } => {
                sent(f, format!("RTM_NEWLINK, \"{name}\", IFF_UP, master \"{bridge}\""))
            }
            Call::Free { name, .. } => sent(f, format!("RTM_NEWLINK, \"{name}\", no master")),
            Call::FreeAndSetDown { name, .. } => {
                sent(f, format!("RTM_NEWLINK, \"{name}\", no master, not IFF_UP"))
            }
            Call::SetDown { name, .. } => sent(f, format!("RTM_NEWLINK, \"{name}\", not IFF_UP")),
            Call::AddAltName { name, alt_name, .. } => {
                sent(f, format!("RTM_NEWLINKPROP, \"{name}\", altname \"{alt_name}\""))
            }
            Call::RemoveAltName { name, alt_name, .. } => {
                sent(f, format!("RTM_DELLINKPROP, \"{name}\", altname \"{alt_name}\""))
            }
            Call::RemoveLink { name, .. } => sent(f, format!("RTM_DELLINK, \"{name}\"")),
            Call::AddAddress { link, address, .. } => sent(f, format!("RTM_NEWADDR, \"{link}\", {address}")),
            Call::AddHostEnd { pair, gateways, addresses } => {
                let outer = pair.outer();
                let gateways =
                    gateways.iter().map(|ip| format!("RTM_NEWADDR, \"{outer}\", {}", Address::alone(*ip)));
                let routes =
                    addresses.iter().map(|address| format!("RTM_NEWROUTE, {address} dev \"{outer}\""));
                let lines = gateways.chain(routes).map(|text| format!("sendto(NETLINK_ROUTE, {{{text}}})"));
                f.write_str(&lines.collect::<Vec<_>>().join("\n"))
            }
            Call::RemoveAddress { link, address } => sent(f, format!("RTM_DELADDR, \"{link}\", {address}")),
            Call::AddNat { bridge, network, forwarding } => write!(
                f,
                "sendto(NETLINK_NETFILTER, {{NFT_MSG_NEWTABLE, \"{}\", comment \"{}\"}})\nsendto(NETLINK_NETFILTER, {{NFT_MSG_NEWCHAIN, \"postrouting\"}})\nsendto(NETLINK_NETFILTER, {{NFT_MSG_NEWRULE, ip saddr {2} ip daddr != {2} masquerade}})",
                nft::name_of(bridge),
                nft::comment(forwarding),
                network.network()
            ),
            Call::RemoveNat { bridge } => {
                write!(f, "sendto(NETLINK_NETFILTER, {{NFT_MSG_DELTABLE, \"{}\"}})", nft::name_of(bridge))
            }
            Call::WriteForwarding { value } => write!(f, "write(\"{FORWARDING}\", \"{value}\")"),
            Call::UnshareNet => f.write_str("unshare(CLONE_NEWNET)"),
            Call::JoinNs { path, .. } => write!(f, "setns({}, CLONE_NEWNET)", quoted(path)),
            Call::AddVeth(pair) => {
                let master = pair.bridge.iter().map(|bridge| format!(", master \"{bridge}\""));
                let group = pair.is_grouped().then(|| format!(", group {}", rtnl::GROUP));
                let kept: String = master.chain(group).collect();
                let (outer, ifname) = (pair.outer(), &pair.ifname);
                sent(
                    f,
                    format!(
                        "RTM_NEWLINK, \"{outer}\", \"veth\", IFF_UP{kept}, peer {{\"{ifname}\", in the namespace}}"
                    ),
                )?;
                match &pair.peer_name {
                    Some(name) => write!(
                        f,
                        "\nsendto(NETLINK_ROUTE, {{RTM_NEWLINKPROP, \"{name}\", altname \"{}\"}})",
                        pair.reserving()
                    ),
                    None => Ok(()),
                }
            }
            Call::RemoveVeth => sent(f, "RTM_DELLINK, the pair".into()),
            Call::SetUp { link } => sent(f, format!("RTM_NEWLINK, \"{link}\", IFF_UP")),
            Call::AddLinkRoute { to, link } => sent(f, format!("RTM_NEWROUTE, {to} dev \"{link}\"")),
            Call::AddRoute { gateway, link } => {
                sent(f, format!("RTM_NEWROUTE, default via {gateway} dev \"{link}\""))
            }
            Call::WriteSysctl { name, value } => write!(f, "write(\"/proc/sys/{name}\", \"{value}\")"),
            Call::Print { .. } => f.write_str("write(1)"),
        }
    }
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        crate::shell::of(self)
    }

    fn is_quick(&self) -> bool {
        !matches!(self, Call::Print { .. })
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::OpenSocket => state.outside = Some(Netlink::open(SockProtocol::NetlinkRoute)?),
            Call::AddBridge { name, hardware } => {
                return unless_there(state.outside()?.request(rtnl::bridge(name, *hardware)));
            }
            Call::Enslave { index, bridge, .. } => {
                let bridge = state.index_of(bridge, Side::Outside)?;
                state.outside()?.request([rtnl::enslave(*index, bridge)])?;
            }
            Call::Free { index, .. } => state.outside()?.request([rtnl::enslave(*index, 0)])?,
            Call::FreeAndSetDown { index, .. } => {
                state.outside()?.request([rtnl::enslave(*index, 0), rtnl::down(*index)])?;
            }
            Call::SetDown { index, .. } => {
                return unless_gone(state.outside()?.request([rtnl::down(*index)]));
            }
            Call::AddAltName { index, alt_name, .. } => {
                return unless_there(state.outside()?.request([rtnl::alt_name(*index, alt_name, true)]));
            }
            Call::RemoveAltName { index, alt_name, .. } => {
                return unless_gone(state.outside()?.request([rtnl::alt_name(*index, alt_name, false)]));
            }
            Call::RemoveLink { name, unless_in_use } => {
                return remove_link(state.outside()?, name, *unless_in_use);
            }
            Call::AddAddress { link, address, side } => {
                let address = address.known(state)?;
                let index = state.index_of(link, *side)?;
                return unless_there(state.socket(*side)?.request([rtnl::add_address(index, address)]));
            }
            Call::AddHostEnd { gateways, addresses, .. } => {
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
            Call::RemoveAddress { link, address } => {
                let index = state.index_of(link, Side::Outside)?;
                return unless_gone(state.outside()?.request([rtnl::remove_address(index, *address)]));
            }
            Call::AddNat { bridge, network, forwarding } => {
                return unless_there(state.nft()?.add(bridge, *network, forwarding));
            }
            Call::RemoveNat { bridge } => return unless_gone(state.nft()?.remove(bridge)),
            Call::WriteForwarding { value } => {
                let file = match &mut state.forwarding {
                    Some(file) => file,
                    none => none.insert(OpenOptions::new().write(true).open(FORWARDING)?),
                };
                file.write_at(value.as_bytes(), 0)?;
                return Ok(Answer::Made(value.len().to_string()));
            }
            Call::UnshareNet => {
                unshare(CloneFlags::CLONE_NEWNET)?;
                state.inside = Some(Netlink::open(SockProtocol::NetlinkRoute)?);
            }
            Call::JoinNs { file, .. } => {
                setns(file, CloneFlags::CLONE_NEWNET)?;
                state.inside = Some(Netlink::open(SockProtocol::NetlinkRoute)?);
            }
            Call::AddVeth(pair) => return pair::add(pair, state),
            Call::RemoveVeth => {
                let Some((name, _)) = state.veth.take() else { return Ok(Answer::AlreadyThere) };
                return remove_link(state.outside()?, &name, false);
            }
            Call::SetUp { link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::up(index)])?;
            }
            Call::AddLinkRoute { to, link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::add_route(index, Some(*to), None)])?;
            }
            Call::AddRoute { gateway, link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::add_route(index, None, Some(*gateway))])?;
            }
            Call::WriteSysctl { name, value } => {
                let mut file = OpenOptions::new().write(true).open(format!("/proc/sys/{name}"))?;
                return Ok(Answer::Made(file.write(value.as_bytes())?.to_string()));
            }
            Call::Print { bridges, json } => print_data(crate::list::text(bridges, *json).as_bytes())?,
        }
        Ok(Answer::zero())
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        crate::hint::of(self, refusal)
    }
}

/// Somebody else was a moment faster, which is as good.
fn unless_there(outcome: Result<(), Refusal>) -> Result<Answer, Refusal> {
    match outcome {
        Err(Refusal { errno: Some(Errno::EEXIST), .. }) => Ok(Answer::AlreadyThere),
        answer => answer.map(|()| Answer::zero()),
    }
}

fn unless_gone(outcome: Result<(), Refusal>) -> Result<Answer, Refusal> {
    match outcome {
        Err(Refusal { errno: Some(Errno::ENOENT | Errno::ENODEV | Errno::EADDRNOTAVAIL), .. }) => {
            Ok(Answer::AlreadyThere)
        }
        answer => answer.map(|()| Answer::zero()),
    }
}

fn remove_link(socket: &Netlink, name: &str, unless_in_use: bool) -> Result<Answer, Refusal> {
    let Some(link) = rtnl::link(socket, name)? else { return Ok(Answer::AlreadyThere) };
    if unless_in_use && rtnl::links(socket)?.iter().any(|port| port.master == link.index) {
        return Ok(Answer::AlreadyThere);
    }
    unless_gone(socket.request([rtnl::remove(name)]))
}
