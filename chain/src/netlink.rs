//! netlink(7): requests as bytes, one socket, and the kernel's answers with its own words. Lengths are checked both ways.

use crate::step::Refusal;
use crate::sys;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd};

/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const HEADER: usize = 16;
/// The type and flags of `struct nlattr` stand behind its length.
const NESTED: u16 = libc::NLA_F_NESTED as u16;
/// NLMSGERR_ATTR_MSG of linux/netlink.h.
const ERROR_TEXT: u16 = 1;

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of this type; `flags` beside NLM_F_REQUEST.
    pub fn new(kind: u16, flags: i32) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        Message { bytes }
    }

    /// Adds the fixed part that the type begins with, such as `struct ifinfomsg`.
    pub fn fixed(mut self, bytes: &[u8]) -> Message {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// Adds an attribute.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Message {
        let length = (4 + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Adds a string attribute, with its NUL.
    pub fn text(self, kind: u16, value: &str) -> Message {
        self.with(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Adds an attribute that holds attributes.
    pub fn nest(mut self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Message {
        let start = self.bytes.len();
        self = fill(self.with(kind | NESTED, &[]));
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    fn has(&self, flag: i32) -> bool {
        i32::from(u16::from_ne_bytes([self.bytes[6], self.bytes[7]])) & flag == flag
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finished(mut self, sequence: u32) -> Result<Vec<u8>, Errno> {
        // An attribute's length has 16 bits: what is longer would be read as something else.
        if self.bytes.len() > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE);
        }
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Ok(self.bytes)
    }
}

/// A socket. It stays in the network namespace it was made in, wherever this process goes.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

/// An answer's type, and what follows its header.
pub type Reply = (u16, Vec<u8>);

impl Netlink {
    /// Opens a socket of this family in the network namespace of this process.
    ///
    /// # Errors
    /// EPROTONOSUPPORT: the kernel has no such family.
    pub fn open(protocol: SockProtocol) -> Result<Netlink, Errno> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        // The kernel says in words what it minds, and sends back no more of the request than its header.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            sys::switch_on(&socket, libc::SOL_NETLINK, option)?;
        }
        Ok(Netlink { socket, sequence: Cell::new(1) })
    }

    /// Sends requests in one piece and waits for the acknowledgement of the last that asks for one: NLM_F_ACK.
    ///
    /// # Errors
    /// What the kernel answered to the first that it refused, with its words.
    pub fn request(&self, messages: impl IntoIterator<Item = Message>) -> Result<(), Refusal> {
        let first = self.sequence.get();
        let last = self.send(messages)?;
        loop {
            for (sequence, kind, body) in self.receive()? {
                if i32::from(kind) != libc::NLMSG_ERROR || sequence <= first {
                    continue;
                }
                // What is refused is not acknowledged to its end.
                answer(&body)?;
                if sequence == last {
                    return Ok(());
                }
            }
        }
    }

    /// Sends a request and returns what the kernel answers: one reply, or with NLM_F_DUMP all of a kind.
    ///
    /// # Errors
    /// What the kernel answered, with its words.
    pub fn ask(&self, message: Message) -> Result<Vec<Reply>, Refusal> {
        let is_dump = message.has(libc::NLM_F_DUMP);
        self.send([message])?;
        let own = self.sequence.get();
        let mut replies = Vec::new();
        loop {
            for (sequence, kind, body) in self.receive()? {
                match i32::from(kind) {
                    _ if sequence != own => {}
                    libc::NLMSG_ERROR => return answer(&body).map(|()| replies),
                    libc::NLMSG_DONE => return Ok(replies),
                    _ => replies.push((kind, body)),
                }
            }
            if !is_dump && !replies.is_empty() {
                return Ok(replies);
            }
        }
    }

    /// Returns the sequence number of the last that asks for an acknowledgement.
    fn send(&self, messages: impl IntoIterator<Item = Message>) -> Result<u32, Errno> {
        let mut bytes = Vec::new();
        let mut last = 0;
        for message in messages {
            self.sequence.set(self.sequence.get() + 1);
            if message.has(libc::NLM_F_ACK) {
                last = self.sequence.get();
            }
            bytes.extend(message.finished(self.sequence.get())?);
        }
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        Ok(last)
    }

    /// The messages of one datagram: sequence number, type, body.
    fn receive(&self) -> Result<Vec<(u32, u16, Vec<u8>)>, Errno> {
        // The kernel fills a datagram of a dump up to what is read at a time, and never beyond.
        let mut buffer = [0; 8192];
        let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        let mut messages = Vec::new();
        while let Some((whole, body)) = split(rest) {
            let sequence = u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]);
            messages.push((sequence, u16::from_ne_bytes([rest[4], rest[5]]), body.to_vec()));
            rest = rest.get(whole.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(messages)
    }
}

/// The length of the first message and what follows its header; none where that is not all there.
fn split(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = number(bytes)? as usize;
    (length >= HEADER).then(|| bytes.get(HEADER..length)).flatten().map(|body| (length, body))
}

/// The first four bytes as a number of this machine.
pub fn number(bytes: &[u8]) -> Option<u32> {
    bytes.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The body of an NLMSG_ERROR: minus the errno, 0 for an acknowledgement; the header it answers; attributes.
fn answer(body: &[u8]) -> Result<(), Refusal> {
    match number(body).map(|number| number as i32) {
        Some(0) => Ok(()),
        Some(errno) => {
            let words = attributes(body.get(4 + HEADER..).unwrap_or_default());
            let said = words.into_iter().find(|(kind, _)| *kind == ERROR_TEXT).map(|(_, text)| string(text));
            Err(Refusal { said: said.unwrap_or_default(), ..Errno::from_raw(-errno).into() })
        }
        None => Err(Errno::EBADMSG.into()),
    }
}

/// The attributes in `bytes`, each with its type and value; those behind one that is cut off are left out.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some(head) = bytes.get(..4) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let Some(value) = bytes.get(4..length) else { break };
        let kind = u16::from_ne_bytes([head[2], head[3]]) & !(NESTED | libc::NLA_F_NET_BYTEORDER as u16);
        found.push((kind, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The value of the first attribute of a kind.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).into_iter().find(|(known, _)| *known == kind).map(|(_, value)| value)
}

/// A string attribute, without its NUL.
pub fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_header_fixed_part_and_attributes_on_multiples_of_four() {
        let message = Message::new(16, libc::NLM_F_ACK)
            .fixed(&[7; 16])
            .text(3, "lo")
            .nest(18, |inner| inner.with(1, &[9]));
        let bytes = message.finished(5).unwrap();
        assert_eq!(bytes[..16], [52, 0, 0, 0, 16, 0, 5, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[32..], [7, 0, 3, 0, b'l', b'o', 0, 0, 12, 0, 18, 128, 5, 0, 1, 0, 9, 0, 0, 0]);
        assert_eq!(attributes(&bytes[32..]), [(3, &b"lo\0"[..]), (18, &bytes[44..52])]);
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_cut() {
        let message = Message::new(16, 0).with(3, &[0; 65_535]);
        assert_eq!(message.finished(1), Err(Errno::EMSGSIZE));
    }

    #[test]
    fn an_answer_is_an_errno_with_the_kernels_words() {
        let mut body = vec![0; 20];
        assert!(answer(&body).is_ok());
        body[..4].copy_from_slice(&(-17i32).to_ne_bytes());
        body.extend([10, 0, 1, 0, b't', b'h', b'e', b'r', b'e', 0]);
        let refusal = answer(&body).unwrap_err();
        assert_eq!((refusal.errno, refusal.said.as_str()), (Some(Errno::EEXIST), "there"));
        assert_eq!(answer(&[]).unwrap_err().errno, Some(Errno::EBADMSG));
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        assert!(attributes(&[8, 0, 1, 0, 1]).is_empty());
        assert!(attributes(&[2, 0, 1, 0]).is_empty());
        assert!(split(&[40, 0, 0, 0]).is_none());
        assert!(split(&[8, 0, 0, 0, 0, 0, 0, 0]).is_none());
    }
}
