//! The one rtnetlink(7) request nsexec makes: set lo up.

use chain::Refusal;
use chain::netlink::{Message, Netlink};
use nix::sys::socket::SockProtocol;

/// lo is the first interface of every network namespace.
const LO: i32 = 1;

/// Sets lo up in the network namespace of this process, and waits for the kernel's answer.
///
/// # Errors
/// What the kernel answered, EPERM without CAP_NET_ADMIN over the namespace.
pub fn set_lo_up() -> Result<(), Refusal> {
    Netlink::open(SockProtocol::NetlinkRoute)?
        .request([Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK).fixed(&up(LO))])
}

/// `struct ifinfomsg`: family and type 0; then index, flags, and the mask of the flags to change.
fn up(index: i32) -> [u8; 16] {
    let flags = (libc::IFF_UP as u32).to_ne_bytes();
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags);
    bytes[12..16].copy_from_slice(&flags);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_struct_of_rtnetlink() {
        assert_eq!(up(LO), [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    }
}
