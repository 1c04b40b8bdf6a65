//! What one call makes for another: the sockets of both sides, the cable, and what was asked once.

use crate::address::Address;
use crate::nft::Nft;
use crate::rtnl;
use chain::Refusal;
use chain::netlink::Netlink;
use nix::errno::Errno;
use std::fs::File;

/// In which namespace a link is: the one vethup was started in, or the one that is wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Outside,
    Inside,
}

/// What one call makes for another.
#[derive(Default)]
pub struct State {
    pub outside: Option<Netlink>,
    pub inside: Option<Netlink>,
    nft: Option<Nft>,
    /// The setting of the namespace vethup was started in, wherever this process is.
    pub forwarding: Option<File>,
    /// The outer end, and the address it was named after.
    pub veth: Option<(String, Address)>,
    indices: Vec<(Side, String, i32)>,
}

impl State {
    /// The socket that asks about that side.
    ///
    /// # Errors
    /// EBADF: it was not opened yet.
    pub fn socket(&self, side: Side) -> Result<&Netlink, Refusal> {
        let socket = if side == Side::Outside { &self.outside } else { &self.inside };
        socket.as_ref().ok_or_else(|| Errno::EBADF.into())
    }

    /// The same for the outer side.
    ///
    /// # Errors
    /// EBADF, as above.
    pub fn outside(&self) -> Result<&Netlink, Refusal> {
        self.socket(Side::Outside)
    }

    /// The socket that asks about rules, of the namespace this process is in when it first asks.
    ///
    /// # Errors
    /// The kernel has no netfilter.
    pub fn nft(&mut self) -> Result<&Nft, Refusal> {
        match &mut self.nft {
            Some(nft) => Ok(nft),
            none => Ok(none.insert(Nft::open()?)),
        }
    }

    /// The index of a link: asked for once, because the kernel answers with all it knows of it.
    ///
    /// # Errors
    /// ENODEV: there is none. What else the kernel answered.
    pub fn index_of(&mut self, link: &str, side: Side) -> Result<i32, Refusal> {
        let known = self.indices.iter().find(|(place, name, _)| *place == side && name == link);
        if let Some((_, _, index)) = known {
            return Ok(*index);
        }
        let found = rtnl::link(self.socket(side)?, link)?.ok_or(Errno::ENODEV)?;
        self.indices.push((side, link.to_owned(), found.index));
        Ok(found.index)
    }
}
