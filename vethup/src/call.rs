//! Every call vethup makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what
//! to do when the kernel says no.

use crate::address::Address;
use crate::cli::{Hardware, Wish};
use crate::facts::FORWARDING;
use crate::list::Bridge;
use crate::nft::{self, Nft};
use crate::rtnl::{self, ALIAS, End};
use chain::netlink::{Message, Netlink};
use chain::{Answer, Refusal, Shell, print_data, quoted};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::SockProtocol;
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

/// In which namespace a link is: the one vethup was started in, or the one that is wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Outside,
    Inside,
}

/// A pair of links to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub wish: Wish,
    /// The bridge with its own address, which lies in the network where a free one is looked for.
    pub bridge: String,
    pub gateway: Option<Address>,
    pub ifname: String,
    pub hardware: Option<Hardware>,
    pub mtu: Option<u32>,
    pub start: u32,
    /// The address a script takes.
    pub in_shell: Option<Address>,
}

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
    /// RTM_DELLINK
    RemoveLink { name: String, unless_in_use: bool },
    /// RTM_NEWADDR; without an address the one that was found
    AddAddress { link: String, address: Option<Address>, side: Side, in_shell: Option<Address> },
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
    AddRoute { gateway: IpAddr, link: String },
    /// A file below `/proc/sys`
    WriteSysctl { name: &'static str, value: String },
    /// What was found
    Print { bridges: Vec<Bridge>, json: bool },
}

/// What one call makes for another.
#[derive(Default)]
pub struct State {
    outside: Option<Netlink>,
    inside: Option<Netlink>,
    nft: Option<Nft>,
    /// The setting of the namespace vethup was started in, wherever this process is.
    forwarding: Option<File>,
    /// The outer end, and the address it was named after.
    veth: Option<(String, Address)>,
    indices: Vec<(Side, String, i32)>,
}

impl State {
    fn socket(&self, side: Side) -> Result<&Netlink, Refusal> {
        let socket = if side == Side::Outside { &self.outside } else { &self.inside };
        socket.as_ref().ok_or_else(|| Errno::EBADF.into())
    }

    fn outside(&self) -> Result<&Netlink, Refusal> {
        self.socket(Side::Outside)
    }

    fn nft(&mut self) -> Result<&Nft, Refusal> {
        match &mut self.nft {
            Some(nft) => Ok(nft),
            none => Ok(none.insert(Nft::open()?)),
        }
    }

    /// The index of a link: asked for once, because the kernel answers with all it knows of it.
    fn index_of(&mut self, link: &str, side: Side) -> Result<i32, Refusal> {
        let known = self.indices.iter().find(|(place, name, _)| *place == side && name == link);
        if let Some((_, _, index)) = known {
            return Ok(*index);
        }
        let found = rtnl::link(self.socket(side)?, link)?.ok_or(Errno::ENODEV)?;
        self.indices.push((side, link.to_owned(), found.index));
        Ok(found.index)
    }
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
            Call::RemoveLink { name, .. } => sent(f, format!("RTM_DELLINK, \"{name}\"")),
            Call::AddAddress { link, address, .. } => {
                let address =
                    address.map_or("the address it was named after".into(), |address| address.to_string());
                sent(f, format!("RTM_NEWADDR, \"{link}\", {address}"))
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
            Call::AddVeth(pair) => sent(
                f,
                format!(
                    "RTM_NEWLINK, \"{}\", \"veth\", IFF_UP, master \"{}\", peer {{\"{}\", in the namespace}}",
                    pair.name(),
                    pair.bridge,
                    pair.ifname
                ),
            ),
            Call::RemoveVeth => sent(f, "RTM_DELLINK, the pair".into()),
            Call::SetUp { link } => sent(f, format!("RTM_NEWLINK, \"{link}\", IFF_UP")),
            Call::AddRoute { gateway, link } => {
                sent(f, format!("RTM_NEWROUTE, default via {gateway} dev \"{link}\""))
            }
            Call::WriteSysctl { name, value } => write!(f, "write(\"/proc/sys/{name}\", \"{value}\")"),
            Call::Print { .. } => f.write_str("write(1)"),
        }
    }
}

impl Pair {
    /// The outer end's name, as far as it is known before.
    fn name(&self) -> String {
        match self.wish {
            Wish::Address(address) => address.link_name(),
            Wish::Auto => "bx…".into(),
        }
    }

    /// The addresses to try, in order; the one that was asked for again and again for a moment.
    pub fn candidates(&self) -> Box<dyn Iterator<Item = Address> + '_> {
        match (self.wish, self.gateway) {
            (Wish::Address(address), _) => Box::new(std::iter::repeat_n(address, ATTEMPTS)),
            (Wish::Auto, Some(gateway)) => Box::new(gateway.neighbours(self.start)),
            (Wish::Auto, None) => Box::new(std::iter::empty()),
        }
    }
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        crate::shell::of(self)
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
            Call::RemoveLink { name, unless_in_use } => {
                return remove_link(state.outside()?, name, *unless_in_use);
            }
            Call::AddAddress { link, address, side, .. } => {
                let found = state.veth.as_ref().map(|(_, address)| *address);
                let address = address.or(found).ok_or(Errno::EADDRNOTAVAIL)?;
                let index = state.index_of(link, *side)?;
                return unless_there(state.socket(*side)?.request([rtnl::add_address(index, address)]));
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
            Call::AddVeth(pair) => return add_veth(pair, state),
            Call::RemoveVeth => {
                let Some((name, _)) = state.veth.take() else { return Ok(Answer::AlreadyThere) };
                return remove_link(state.outside()?, &name, false);
            }
            Call::SetUp { link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::up(index)])?;
            }
            Call::AddRoute { gateway, link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::add_route(index, *gateway)])?;
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

/// The kernel takes a network apart some time after its last process has ended, and the cables that led there with it.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Makes the pair under the name of the first address that nobody has: two of one name the kernel never makes.
fn add_veth(pair: &Pair, state: &mut State) -> Result<Answer, Refusal> {
    let master = state.index_of(&pair.bridge, Side::Outside)?;
    let inside = File::open("/proc/self/ns/net")?;
    for address in pair.candidates() {
        let name = address.link_name();
        let here = End { name: &name, mtu: pair.mtu };
        let there = End { name: &pair.ifname, mtu: pair.mtu };
        let message: Message = rtnl::veth(&here, master, &there, pair.hardware, inside.as_fd());
        match state.outside()?.request([message]) {
            Ok(()) => {
                state.veth = Some((name.clone(), address));
                return Ok(Answer::Made(format!("0: {name}, for {address}")));
            }
            Err(refusal) if refusal.errno != Some(Errno::EEXIST) => return Err(refusal),
            // The name may be that of the inner end, which is there as well.
            Err(refusal) if rtnl::link(state.socket(Side::Inside)?, &pair.ifname)?.is_some() => {
                return Err(refusal);
            }
            Err(_) => {}
        }
        if pair.wish != Wish::Auto {
            std::thread::sleep(PAUSE);
        }
    }
    // What is missing is an address, whatever the kernel said of names.
    Err(if pair.wish == Wish::Auto { Errno::EADDRNOTAVAIL } else { Errno::EADDRINUSE }.into())
}
