//! A read-only look at the machine: the bridge, what overlaps with its network, the namespace to wire, forwarding.

use crate::address::Address;
use crate::cli::{Cli, netns_path, why_no_netns};
use crate::nft::{Nft, Table};
use crate::rtnl::{self, Link};
use chain::netlink::Netlink;
use chain::{Failure, Mode, Program, Refusal, quoted};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use std::fs::File;
use std::path::PathBuf;

/// Where the kernel keeps whether it forwards packets of version 4.
pub const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const WHY: &str = "look at the network as it is";

/// What the plan is made on.
#[derive(Debug, Default)]
pub struct Facts {
    /// The bridge, if there is a link of its name.
    pub bridge: Option<Link>,
    /// The bridge's own addresses.
    pub addresses: Vec<Address>,
    /// Where packets for other networks go: the link's name and the network. Looked up where a bridge is to be made.
    pub routes: Vec<(String, Address)>,
    pub uplink: Option<Link>,
    /// Links of vethup's, and their ports. Looked up for --down and --list, and in a dry run to find a free address.
    pub links: Vec<Link>,
    /// Addresses of those bridges, by index.
    pub all_addresses: Vec<(i32, Address)>,
    /// Tables of vethup's; none where this process may not ask. Looked up where they matter.
    pub tables: Option<Vec<Table>>,
    /// What forwarding is set to.
    pub forwarding: String,
    /// The namespace to wire, held open, and where it was found.
    pub netns: Option<(PathBuf, File)>,
    pub program: Option<Program>,
    /// The first and the last group id that is mapped here, at most 2147483647.
    pub groups: (u32, u32),
    /// Spreads those who look for a free address at the same time.
    pub start: u32,
}

impl Facts {
    /// Looks; changes nothing.
    ///
    /// # Errors
    /// What was typed contradicts itself, or names something that is not there.
    pub fn read(cli: &Cli, mode: &Mode) -> Result<Facts, Failure> {
        cli.check()?;
        let program = match cli.program.is_empty() {
            true => None,
            false => Some(Program::find(cli.program.clone())?),
        };
        let refused = |refusal: Refusal| refusal.failure("sendto(NETLINK_ROUTE)").why(WHY);
        let socket = Netlink::open(SockProtocol::NetlinkRoute).map_err(|errno| {
            Failure::refused("socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)", errno).why(WHY)
        })?;
        let mut facts = Facts { program, start: std::process::id(), ..Facts::default() };
        let is_dry = matches!(mode, Mode::DryRun(_));
        if cli.down || cli.list || is_dry {
            facts.links = rtnl::links(&socket).map_err(refused)?;
            facts.all_addresses = rtnl::addresses(&socket).map_err(refused)?;
        }
        if cli.down || cli.list || cli.nat {
            // In this order: who switches it on has put down before what it was.
            facts.forwarding = std::fs::read_to_string(FORWARDING).unwrap_or_default().trim_end().to_owned();
            facts.tables = tables(!cli.list)?;
        }
        if cli.down || cli.list {
            return Ok(facts);
        }
        facts.groups =
            chain::first_extent(&std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default());
        facts.look_at_bridge(cli, &socket).map_err(refused)?;
        facts.netns = cli.netns.as_ref().map(open).transpose()?;
        Ok(facts)
    }

    fn look_at_bridge(&mut self, cli: &Cli, socket: &Netlink) -> Result<(), Refusal> {
        self.bridge = rtnl::link(socket, cli.bridge_name())?;
        if let Some(name) = &cli.uplink {
            self.uplink = rtnl::link(socket, name)?;
        }
        if let Some(bridge) = &self.bridge {
            let own = rtnl::addresses(socket)?.into_iter().filter(|(index, _)| *index == bridge.index);
            self.addresses = own.map(|(_, address)| address).collect();
        }
        // Where the bridge gets an address, nobody else may have its network.
        if self.addresses.is_empty() || cli.gateway.iter().any(|gateway| !self.addresses.contains(gateway)) {
            let links = rtnl::links(socket)?;
            let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
            let named = |(index, network)| (name(index).unwrap_or_default(), network);
            self.routes = rtnl::routes(socket)?.into_iter().map(named).collect();
        }
        Ok(())
    }
}

/// Without nf_tables there are none. Who may not ask can list the rest, and do nothing else.
fn tables(is_needed: bool) -> Result<Option<Vec<Table>>, Failure> {
    match Nft::open().and_then(|nft| nft.tables()) {
        Ok(tables) => Ok(Some(tables)),
        Err(Refusal { errno: Some(Errno::EPERM), .. }) if !is_needed => Ok(None),
        Err(refusal) if refusal.errno == Some(Errno::EPERM) => {
            Err(refusal.failure("sendto(NETLINK_NETFILTER, {NFT_MSG_GETTABLE})").why(WHY).hint(
                "the rules of a network are shown to its root: run it as root, or from a shell in a network of your own: nsexec -r --net -- sh",
            ))
        }
        Err(_) => Ok(Some(Vec::new())),
    }
}

fn open(value: &std::ffi::OsString) -> Result<(PathBuf, File), Failure> {
    let why = "a namespace is joined through its file";
    let path = netns_path(value);
    let file = File::open(&path).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        let failure = Failure::refused(format!("open({})", quoted(&path)), errno).why(why);
        match errno {
            Errno::ENOENT => failure.hint(why_no_netns(value)),
            Errno::EACCES => failure.hint("that process is not yours: run it as root"),
            _ => failure,
        }
    })?;
    if fstatfs(&file).map(|about| about.filesystem_type()) != Ok(NSFS_MAGIC) {
        return Err(Failure::new(format!("{}: not a namespace", quoted(&path)))
            .why(why)
            .hint("its PID 1 may be gone, or nothing was ever bound there: ip netns list"));
    }
    Ok((path, file))
}
