//! The one rtnetlink(7) request nsexec makes: set lo up.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::os::fd::AsRawFd;

/// A request is a `struct nlmsghdr` and a `struct ifinfomsg`, 16 bytes each.
const LENGTH: usize = 32;
/// lo is the first interface of every network namespace.
const LO: i32 = 1;

/// Sets lo up in the network namespace of this process, and waits for the kernel's answer.
///
/// # Errors
/// What the kernel answered, EPERM without CAP_NET_ADMIN over the namespace.
pub fn set_lo_up() -> Result<(), Errno> {
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    send(socket.as_raw_fd(), &request(), MsgFlags::empty())?;
    let mut answer = [0; 128];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    acknowledged(&answer[..length])
}

fn request() -> [u8; LENGTH] {
    let up = libc::IFF_UP as u32;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut bytes = [0; LENGTH];
    bytes[0..4].copy_from_slice(&(LENGTH as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    // ifinfomsg: family and type stay 0; then index, flags, and the mask of the flags to change.
    bytes[20..24].copy_from_slice(&LO.to_ne_bytes());
    bytes[24..28].copy_from_slice(&up.to_ne_bytes());
    bytes[28..32].copy_from_slice(&up.to_ne_bytes());
    bytes
}

/// Reads the errno of an NLMSG_ERROR, which is 0 for an acknowledgement.
fn acknowledged(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
    let number = answer.get(16..20).map(|four| i32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
    match (kind.map(i32::from), number) {
        (Some(libc::NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(libc::NLMSG_ERROR), Some(number)) => Err(Errno::from_raw(-number)),
        _ => Err(Errno::EBADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_headers_of_rtnetlink() {
        let bytes = request();
        assert_eq!(bytes[..8], [32, 0, 0, 0, 16, 0, 5, 0]);
        assert_eq!(bytes[16..], [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn an_answer_is_an_errno_and_nothing_else_is_taken_for_one() {
        let mut answer = [0; 36];
        answer[4] = 2;
        assert_eq!(acknowledged(&answer), Ok(()));
        answer[16..20].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(acknowledged(&answer), Err(Errno::EPERM));
        answer[4] = 3;
        assert_eq!(acknowledged(&answer), Err(Errno::EBADMSG));
        assert_eq!(acknowledged(&[]), Err(Errno::EBADMSG));
    }
}
