//! Every call vethup makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what
//! to do when the kernel says no. Those about links of this machine are in link.rs, those about addresses and routes in
//! route.rs.

use crate::address::Address;
use crate::facts::FORWARDING;
use crate::link::{self, LinkCall};
use crate::list::Bridge;
use crate::nft;
use crate::pair::{self, Pair};
use crate::route::RouteCall;
use crate::rtnl;
use crate::state::{Side, State};
use chain::netlink::Netlink;
use chain::{Answer, Refusal, Shell, print_data, quoted};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::SockProtocol;
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A call; each variant is named after the message or the system call.
#[derive(Debug)]
pub enum Call {
    /// socket(2)
    OpenSocket,
    /// A link of this machine: the bridge and its ports
    Link(LinkCall),
    /// An address or a route
    Route(RouteCall),
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
    /// A file below `/proc/sys`
    WriteSysctl { name: &'static str, value: String },
    /// What was found
    Print { bridges: Vec<Bridge>, json: bool },
}

/// A message to rtnetlink(7), as it is told.
pub fn sent(f: &mut fmt::Formatter, text: &str) -> fmt::Result {
    write!(f, "sendto(NETLINK_ROUTE, {{{text}}})")
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::OpenSocket => f.write_str("socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)"),
            Call::Link(call) => call.fmt(f),
            Call::Route(call) => call.fmt(f),
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
                    &format!(
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
            Call::RemoveVeth => sent(f, "RTM_DELLINK, the pair"),
            Call::SetUp { link } => sent(f, &format!("RTM_NEWLINK, \"{link}\", IFF_UP")),
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
            Call::Link(call) => return call.run(state),
            Call::Route(call) => return call.run(state),
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
                return link::remove(state.outside()?, &name, false);
            }
            Call::SetUp { link } => {
                let index = state.index_of(link, Side::Inside)?;
                state.socket(Side::Inside)?.request([rtnl::up(index)])?;
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
///
/// # Errors
/// Any but EEXIST.
pub fn unless_there(outcome: Result<(), Refusal>) -> Result<Answer, Refusal> {
    match outcome {
        Err(Refusal { errno: Some(Errno::EEXIST), .. }) => Ok(Answer::AlreadyThere),
        answer => answer.map(|()| Answer::zero()),
    }
}

/// The same of what was to be removed.
///
/// # Errors
/// Any but that it is not there.
pub fn unless_gone(outcome: Result<(), Refusal>) -> Result<Answer, Refusal> {
    match outcome {
        Err(Refusal { errno: Some(Errno::ENOENT | Errno::ENODEV | Errno::EADDRNOTAVAIL), .. }) => {
            Ok(Answer::AlreadyThere)
        }
        answer => answer.map(|()| Answer::zero()),
    }
}
