//! The cable: a pair of links, whose outer end reserves the address it is for. No name of a link is ever given twice, so a
//! name made from the address is the reservation: the link's own, or one more of a link that is called as was asked.

use crate::address::Address;
use crate::cli::{Hardware, Wish};
use crate::rtnl::{self, End, GROUP, Link};
use crate::state::{Side, State};
use chain::{Answer, Refusal};
use nix::errno::Errno;
use std::fmt::{self, Display};
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

/// A pair of links to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub wish: Wish,
    /// The bridge its outer end is a port of.
    pub bridge: Option<String>,
    /// What the outer end is called, where that was asked for.
    pub peer_name: Option<String>,
    /// The way out, which lies in the network where a free address is looked for.
    pub gateway: Option<Address>,
    pub ifname: String,
    pub hardware: Option<Hardware>,
    pub mtu: Option<u32>,
    pub start: u32,
    /// The address a script takes.
    pub in_shell: Option<Address>,
}

/// An address to be given: the one that was asked for, or the one that will have been found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meant {
    pub wish: Wish,
    /// Whether there is no network around it.
    pub alone: bool,
    /// What a script takes for the one that is found.
    pub in_shell: Option<Address>,
}

impl Meant {
    fn of(self, address: Address) -> Address {
        if self.alone { Address::alone(address.ip) } else { address }
    }

    /// The address, once one has been found.
    ///
    /// # Errors
    /// EADDRNOTAVAIL: none was found.
    pub fn known(self, state: &State) -> Result<Address, Refusal> {
        let found = state.veth.as_ref().map(|(_, address)| *address);
        self.wish
            .address()
            .or(found)
            .map(|address| self.of(address))
            .ok_or_else(|| Errno::EADDRNOTAVAIL.into())
    }

    /// The address in a script.
    pub fn shown(self) -> Option<Address> {
        self.wish.address().or(self.in_shell).map(|address| self.of(address))
    }
}

impl Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.wish.address() {
            Some(address) => self.of(address).fmt(f),
            None => f.write_str("the address it was named after"),
        }
    }
}

impl Pair {
    /// The name that reserves, as far as it is known before.
    pub fn reserving(&self) -> String {
        match self.wish {
            Wish::Address(address) => address.link_name(),
            Wish::Auto => "bx…".into(),
        }
    }

    /// The outer end's name, likewise.
    pub fn outer(&self) -> String {
        self.peer_name.clone().unwrap_or_else(|| self.reserving())
    }

    /// Both in a script, which knows the address.
    pub fn in_shell(&self) -> Option<(String, String)> {
        let address = match self.wish {
            Wish::Address(address) => self.in_shell.and(Some(address)),
            Wish::Auto => self.in_shell,
        };
        let reserving = address?.link_name();
        Some((self.peer_name.clone().unwrap_or_else(|| reserving.clone()), reserving))
    }

    /// Whether a group has to tell that the outer end is ours: no bridge of ours does, or no name.
    pub fn is_grouped(&self) -> bool {
        self.bridge.is_none() || self.peer_name.is_some()
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

/// The name of a link that reserves an address, if one of its names does.
pub fn reserving_name(link: &Link) -> Option<&str> {
    let is_one = |name: &&str| {
        let digits = name.strip_prefix("bx6").filter(|digits| digits.len() == 8).or(name.strip_prefix("bx"));
        digits.is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    std::iter::once(&link.name).chain(&link.alt_names).map(String::as_str).find(is_one)
}

/// Whether a link is the outer end of a pair of ours: it reserves an address, and is a port of a bridge or in our group.
pub fn is_ours(link: &Link, links: &[Link]) -> bool {
    let is_bridge = |master: &Link| master.index == link.master && master.kind == "bridge";
    link.kind == "veth"
        && reserving_name(link).is_some()
        && (link.group == GROUP || links.iter().any(is_bridge))
}

/// The kernel takes a network apart some time after its last process has ended, and the cables that led there with it.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Makes the pair for the first address that nobody has.
///
/// # Errors
/// What the kernel answered; EADDRNOTAVAIL, EADDRINUSE where what is missing is an address, whatever it said of names.
pub fn add(pair: &Pair, state: &mut State) -> Result<Answer, Refusal> {
    let Some(name) = &pair.peer_name else { return add_named_after_address(pair, state) };
    for attempt in 1.. {
        match make(pair, name, state) {
            Ok(()) => break,
            // Of the last one that was called so, the kernel may not be done taking it apart.
            Err(Refusal { errno: Some(Errno::EEXIST), .. })
                if attempt < ATTEMPTS && !is_inside(pair, state)? =>
            {
                std::thread::sleep(PAUSE);
            }
            Err(refusal) => return Err(refusal),
        }
    }
    let reserved = reserve(pair, name, state);
    if reserved.is_err() {
        // The step failed, so nobody else takes back what it made.
        state.outside()?.request([rtnl::remove(name)])?;
    }
    let address = reserved?;
    state.veth = Some((name.clone(), address));
    Ok(Answer::Made(format!("0: for {address}")))
}

fn add_named_after_address(pair: &Pair, state: &mut State) -> Result<Answer, Refusal> {
    for address in pair.candidates() {
        let name = address.link_name();
        match make(pair, &name, state) {
            Ok(()) => {
                state.veth = Some((name.clone(), address));
                return Ok(Answer::Made(format!("0: {name}, for {address}")));
            }
            Err(refusal) if refusal.errno != Some(Errno::EEXIST) => return Err(refusal),
            // The name may be that of the inner end, which is there as well.
            Err(refusal) if is_inside(pair, state)? => return Err(refusal),
            Err(_) => {}
        }
        wait_for(pair);
    }
    Err(none_left(pair))
}

/// Makes the pair under this name: two of one name the kernel never makes.
fn make(pair: &Pair, name: &str, state: &mut State) -> Result<(), Refusal> {
    let master = match &pair.bridge {
        Some(bridge) => Some(state.index_of(bridge, Side::Outside)?),
        None => None,
    };
    let inside = File::open("/proc/self/ns/net")?;
    let here = End { name, mtu: pair.mtu };
    let there = End { name: &pair.ifname, mtu: pair.mtu };
    let message = rtnl::veth(&here, (master, pair.is_grouped()), &there, pair.hardware, inside.as_fd());
    state.outside()?.request([message])
}

/// Gives the link one more name, the first that nobody has.
fn reserve(pair: &Pair, link: &str, state: &mut State) -> Result<Address, Refusal> {
    let index = state.index_of(link, Side::Outside)?;
    for address in pair.candidates() {
        match state.outside()?.request([rtnl::alt_name(index, &address.link_name(), true)]) {
            Ok(()) => return Ok(address),
            Err(refusal) if refusal.errno != Some(Errno::EEXIST) => return Err(refusal),
            Err(_) => wait_for(pair),
        }
    }
    Err(none_left(pair))
}

/// Whether the name of the inner end is taken.
fn is_inside(pair: &Pair, state: &State) -> Result<bool, Refusal> {
    Ok(rtnl::link(state.socket(Side::Inside)?, &pair.ifname)?.is_some())
}

fn wait_for(pair: &Pair) {
    if pair.wish != Wish::Auto {
        std::thread::sleep(PAUSE);
    }
}

fn none_left(pair: &Pair) -> Refusal {
    if pair.wish == Wish::Auto { Errno::EADDRNOTAVAIL } else { Errno::EADDRINUSE }.into()
}
