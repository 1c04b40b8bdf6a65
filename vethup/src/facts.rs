//! A read-only look at the machine: the bridge, what overlaps with its network, the namespace to wire, forwarding.

use crate::address::Address;
use crate::cli::{Cli, netns_path, why_no_netns};
use crate::firewall::{self, Firewall};
use crate::holder::{self, Holder};
use crate::nft::{Nft, Table};
use crate::pair;
use crate::rtnl::{self, GROUP, Link};
use chain::netlink::Netlink;
use chain::{Failure, Kind, Mode, Program, Refusal, be_root, quoted};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where the kernel keeps whether it forwards packets of version 4.
pub const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const WHY: &str = "look at the network as it is";
/// How long a bridge may stand there without an address while another vethup makes it: milliseconds, on a busy machine.
const PATIENCE: Duration = Duration::from_millis(500);

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
    /// Whether the way to everywhere else leads through the uplink.
    pub is_way_out: bool,
    /// Every link. Looked up for --down, --list and --uplink, and in a dry run to find a free address.
    pub links: Vec<Link>,
    /// Their addresses, by index.
    pub all_addresses: Vec<(i32, Address)>,
    /// Who is behind the cables, by the number of their namespace. Looked up for --list and --down.
    pub holders: HashMap<i32, Holder>,
    /// Chains of others that drop what is passed on. Looked up where something is.
    pub firewalls: Vec<Firewall>,
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
        cli.check(std::env::args_os())?;
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
        if cli.down || cli.list || cli.uplink.is_some() || is_dry {
            facts.links = rtnl::links(&socket).map_err(refused)?;
            facts.all_addresses = rtnl::addresses(&socket).map_err(refused)?;
        }
        if cli.down || cli.list || cli.nat {
            // In this order: who switches it on has put down before what it was.
            facts.forwarding = std::fs::read_to_string(FORWARDING).unwrap_or_default().trim_end().to_owned();
            facts.tables = tables(!cli.list)?;
        }
        if cli.list || cli.nat || cli.uplink.is_some() {
            // Who may not ask is not warned either.
            facts.firewalls = Nft::open().and_then(|nft| firewall::droppers(&nft)).unwrap_or_default();
        }
        if (cli.list || cli.down) && facts.links.iter().any(|link| pair::is_ours(link, &facts.links)) {
            facts.holders = holder::holders(&socket);
        }
        if cli.down || cli.list {
            return Ok(facts);
        }
        facts.groups =
            chain::first_extent(&std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default());
        facts.look_at_bridge(cli, &socket).map_err(refused)?;
        facts.netns = cli.netns.as_ref().map(open).transpose()?;
        // In a dry run of a chain the network around us may be one that is not made.
        if !mode.made().has(Kind::Net) {
            facts.netns.iter().try_for_each(|(path, file)| refuse_own(path, file))?;
        }
        Ok(facts)
    }

    /// Whether another vethup may be about to give the bridge its alias and its address, by which all behind it go.
    fn is_half_made(&self, cli: &Cli) -> bool {
        let is_bare =
            |link: &Link| link.kind == "bridge" && (link.alias.is_empty() || link.alias == rtnl::ALIAS);
        cli.gateway.is_empty()
            && self.bridge.as_ref().is_some_and(is_bare)
            && self.addresses.iter().all(|address| address.is_link_local())
    }

    fn look_at_bridge(&mut self, cli: &Cli, socket: &Netlink) -> Result<(), Refusal> {
        let end = Instant::now() + PATIENCE;
        loop {
            if !cli.no_bridge {
                self.bridge = rtnl::link(socket, cli.bridge_name())?;
            }
            if let Some(bridge) = &self.bridge {
                let own = rtnl::addresses(socket)?.into_iter().filter(|(index, _)| *index == bridge.index);
                self.addresses = own.map(|(_, address)| address).collect();
            }
            if !self.is_half_made(cli) || Instant::now() >= end {
                break;
            }
            sleep(PATIENCE / 50);
        }
        // Where the bridge gets an address, nobody else may have its network.
        let is_new = self.addresses.is_empty() || cli.gateway.iter().any(|one| !self.addresses.contains(one));
        let routes = if is_new || cli.uplink.is_some() { rtnl::routes(socket)? } else { Vec::new() };
        if let Some(name) = &cli.uplink {
            self.uplink = rtnl::link(socket, name)?;
            let is_uplink = |index| self.uplink.as_ref().is_some_and(|link| link.index == index);
            self.is_way_out = routes.iter().any(|(index, to)| to.is_none() && is_uplink(*index));
        }
        if is_new {
            let links = rtnl::links(socket)?;
            // Ways to single addresses may lie beside each other.
            let is_other =
                |link: &&Link| !(cli.no_bridge && link.group == GROUP && pair::is_ours(link, &links));
            let name = |index| {
                links.iter().filter(is_other).find(|link| link.index == index).map(|link| link.name.clone())
            };
            self.routes = routes.into_iter().filter_map(|(index, to)| Some((name(index)?, to?))).collect();
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
            Err(refusal.failure("sendto(NETLINK_NETFILTER, {NFT_MSG_GETTABLE})").why(WHY).hint(format!(
                "the rules of a network are shown to its root: {}, or from a shell in a network of your own: nsexec -r --net -- sh",
                be_root("CAP_NET_ADMIN")
            )))
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
            Errno::EACCES => {
                failure.hint(format!("that process is not yours: {}", be_root("CAP_SYS_PTRACE")))
            }
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

/// # Errors
/// It is the network this process is in itself, where both ends of the cable would be.
fn refuse_own(path: &Path, file: &File) -> Result<(), Failure> {
    let identity = |about: std::fs::Metadata| (about.dev(), about.ino());
    let own = std::fs::metadata("/proc/self/ns/net").map(identity);
    match (file.metadata().map(identity), own) {
        (Ok(its), Ok(own)) if its == own => {
            Err(Failure::new(format!("{}: this process is in that network itself", quoted(path)))
                .why("a cable leads from this network into another one")
                .hint("name a process that has a network of its own, or a name of ip netns list; vethup -- PROG makes one for PROG"))
        }
        _ => Ok(()),
    }
}
