//! rtnetlink(7): links, addresses and routes, as messages and from answers. Numbers are those of linux/if_link.h,
//! linux/if_addr.h and linux/rtnetlink.h.

use crate::address::Address;
use chain::Refusal;
use chain::netlink::{Message, Netlink, attribute, attributes, number, string};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_EXT_MASK: u16 = 29;
/// RTEXT_FILTER_SKIP_STATS: counters are most of what a link's description is.
const WITHOUT_COUNTERS: [u8; 4] = 8u32.to_ne_bytes();
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const MAKE: i32 = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// What a link that vethup made says of itself in its alias.
pub const ALIAS: &str = "boxutils";

/// The group of a cable that no bridge tells to be ours; unlike an alias it is given at birth. It spells `box`.
pub const GROUP: u32 = 0x0062_6f78;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub index: i32,
    pub name: String,
    /// Further names, which nobody else can have either: ip-link(8) calls them altnames.
    pub alt_names: Vec<String>,
    /// IFF_UP, IFF_LOOPBACK and so on: netdevice(7).
    pub flags: i32,
    pub group: u32,
    /// The number that the namespace of a pair's other end has here.
    pub peer_ns: Option<i32>,
    /// `bridge`, `veth`; empty for hardware and lo.
    pub kind: String,
    pub alias: String,
    /// The index of the bridge it is a port of, or 0.
    pub master: i32,
}

impl Link {
    /// Whether it is set up, with a carrier or without.
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP != 0
    }
}

/// `struct ifinfomsg` that names a link by index, or by attribute with 0, and sets it up or leaves it.
fn link_header(index: i32, up: bool) -> [u8; 16] {
    let flags = if up { libc::IFF_UP as u32 } else { 0 };
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// A bridge that is up, forwards at once and keeps its hardware address; then its alias, which cannot be given at birth.
pub fn bridge(name: &str, hardware: [u8; 6]) -> [Message; 2] {
    let make = Message::new(libc::RTM_NEWLINK, MAKE)
        .fixed(&link_header(0, true))
        .text(IFLA_IFNAME, name)
        .with(IFLA_ADDRESS, &hardware)
        .nest(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "bridge")
                .nest(IFLA_INFO_DATA, |data| data.with(IFLA_BR_FORWARD_DELAY, &0u32.to_ne_bytes()))
        });
    let mark = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK)
        .fixed(&link_header(0, false))
        .text(IFLA_IFNAME, name)
        .text(IFLA_IFALIAS, ALIAS);
    [make, mark]
}

/// One end of a pair.
pub struct End<'a> {
    pub name: &'a str,
    pub mtu: Option<u32>,
}

/// A pair of links: one here, up, a port of `master` or in [`GROUP`] or both; its peer made inside the namespace that
/// `inside` refers to, where it can be set up once it has a peer itself.
pub fn veth(
    here: &End,
    (master, is_grouped): (Option<i32>, bool),
    peer: &End,
    hardware: Option<[u8; 6]>,
    inside: BorrowedFd,
) -> Message {
    let named = |message: Message, end: &End| {
        let message = message.text(IFLA_IFNAME, end.name);
        match end.mtu {
            Some(mtu) => message.with(IFLA_MTU, &mtu.to_ne_bytes()),
            None => message,
        }
    };
    let mut whole = named(Message::new(libc::RTM_NEWLINK, MAKE).fixed(&link_header(0, true)), here);
    if let Some(master) = master {
        whole = whole.with(IFLA_MASTER, &master.to_ne_bytes());
    }
    if is_grouped {
        whole = whole.with(IFLA_GROUP, &GROUP.to_ne_bytes());
    }
    whole.nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |other| {
                let other = named(other.fixed(&link_header(0, false)), peer);
                let other = match hardware {
                    Some(hardware) => other.with(IFLA_ADDRESS, &hardware),
                    None => other,
                };
                other.with(IFLA_NET_NS_FD, &inside.as_raw_fd().to_ne_bytes())
            })
        })
    })
}

/// Sets a link up.
pub fn up(index: i32) -> Message {
    Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK).fixed(&link_header(index, true))
}

/// Sets a link down.
pub fn down(index: i32) -> Message {
    let mut header = link_header(index, false);
    header[12..16].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK).fixed(&header)
}

/// Makes a link a port of a bridge, and sets it up; 0 frees it.
pub fn enslave(index: i32, master: i32) -> Message {
    Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK)
        .fixed(&link_header(index, master != 0))
        .with(IFLA_MASTER, &master.to_ne_bytes())
}

/// Gives a link one more name, or takes it away: RTM_NEWLINKPROP, RTM_DELLINKPROP.
pub fn alt_name(index: i32, name: &str, is_given: bool) -> Message {
    let kind = if is_given { 108 } else { 109 };
    let flags = if is_given { MAKE | libc::NLM_F_APPEND } else { libc::NLM_F_ACK };
    Message::new(kind, flags)
        .fixed(&link_header(index, false))
        .nest(IFLA_PROP_LIST, |list| list.text(IFLA_ALT_IFNAME, name))
}

/// Removes a link; of a pair both ends go.
pub fn remove(name: &str) -> Message {
    Message::new(libc::RTM_DELLINK, libc::NLM_F_ACK).fixed(&link_header(0, false)).text(IFLA_IFNAME, name)
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

/// `struct ifaddrmsg`: family, length, flags, scope, index; then the address.
fn address_message(kind: u16, flags: i32, index: i32, address: Address) -> Message {
    let mut header = [family(address.ip), address.length, 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    let message = Message::new(kind, flags).fixed(&header);
    message.with(IFA_LOCAL, &address.bytes()).with(IFA_ADDRESS, &address.bytes())
}

/// Gives a link an address, which is used at once: nobody else can have it.
pub fn add_address(index: i32, address: Address) -> Message {
    let message = address_message(libc::RTM_NEWADDR, MAKE, index, address);
    if address.ip.is_ipv4() { message } else { message.with(IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes()) }
}

/// Takes it away again.
pub fn remove_address(index: i32, address: Address) -> Message {
    address_message(libc::RTM_DELADDR, libc::NLM_F_ACK, index, address)
}

/// A route: to everywhere through a gateway, or to one address that is on the link itself.
pub fn add_route(index: i32, to: Option<IpAddr>, gateway: Option<IpAddr>) -> Message {
    let ip = gateway.or(to).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let scope = if gateway.is_none() && ip.is_ipv4() { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE };
    let length = to.map_or(0, |to| Address::alone(to).length);
    // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
    let header = [family(ip), length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(libc::RTM_NEWROUTE, MAKE).fixed(&header);
    for (kind, ip) in [(RTA_DST, to), (RTA_GATEWAY, gateway)] {
        if let Some(ip) = ip {
            message = message.with(kind, &Address::alone(ip).bytes());
        }
    }
    message.with(RTA_OIF, &index.to_ne_bytes())
}

/// The link of a name; none where there is none.
///
/// # Errors
/// What the kernel answered.
pub fn link(socket: &Netlink, name: &str) -> Result<Option<Link>, Refusal> {
    let message = Message::new(libc::RTM_GETLINK, 0).fixed(&link_header(0, false)).text(IFLA_IFNAME, name);
    match socket.ask(message.with(IFLA_EXT_MASK, &WITHOUT_COUNTERS)) {
        Err(Refusal { errno: Some(Errno::ENODEV), .. }) => Ok(None),
        answer => Ok(answer?.first().and_then(|(_, body)| read_link(body))),
    }
}

/// Every link of a namespace.
///
/// # Errors
/// What the kernel answered.
pub fn links(socket: &Netlink) -> Result<Vec<Link>, Refusal> {
    let message = Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP).fixed(&link_header(0, false));
    let replies = socket.ask(message.with(IFLA_EXT_MASK, &WITHOUT_COUNTERS))?;
    Ok(replies.iter().filter_map(|(_, body)| read_link(body)).collect())
}

fn read_link(body: &[u8]) -> Option<Link> {
    let index = number(body.get(4..)?)? as i32;
    let rest = body.get(16..)?;
    let text = |kind| attribute(rest, kind).map(string).unwrap_or_default();
    let names = attributes(attribute(rest, IFLA_PROP_LIST).unwrap_or_default());
    let info = attribute(rest, IFLA_LINKINFO).unwrap_or_default();
    Some(Link {
        index,
        name: text(IFLA_IFNAME),
        alt_names: names.iter().map(|(_, name)| string(name)).collect(),
        flags: number(body.get(8..)?)? as i32,
        group: attribute(rest, IFLA_GROUP).and_then(number).unwrap_or(0),
        peer_ns: attribute(rest, IFLA_LINK_NETNSID).and_then(number).map(|number| number as i32),
        kind: attribute(info, IFLA_INFO_KIND).map(string).unwrap_or_default(),
        alias: text(IFLA_IFALIAS),
        master: attribute(rest, IFLA_MASTER).and_then(number).unwrap_or(0) as i32,
    })
}

fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    let four: Result<[u8; 4], _> = bytes.try_into();
    let sixteen: Result<[u8; 16], _> = bytes.try_into();
    four.ok().map(IpAddr::from).or_else(|| sixteen.ok().map(IpAddr::from))
}

/// Every address of a namespace, with the index of its link.
///
/// # Errors
/// What the kernel answered.
pub fn addresses(socket: &Netlink) -> Result<Vec<(i32, Address)>, Refusal> {
    let replies = socket.ask(Message::new(libc::RTM_GETADDR, libc::NLM_F_DUMP).fixed(&[0; 8]))?;
    let read = |body: &[u8]| {
        let local = attribute(body.get(8..)?, IFA_LOCAL).or(attribute(body.get(8..)?, IFA_ADDRESS))?;
        Some((number(body.get(4..)?)? as i32, Address { ip: read_ip(local)?, length: *body.get(1)? }))
    };
    Ok(replies.iter().filter_map(|(_, body)| read(body)).collect())
}

/// Every route of the main table, with the index of its link; of the default one, none for the network.
///
/// # Errors
/// What the kernel answered.
pub fn routes(socket: &Netlink) -> Result<Vec<(i32, Option<Address>)>, Refusal> {
    let replies = socket.ask(Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP).fixed(&[0; 12]))?;
    let read = |body: &[u8]| {
        let rest = body.get(12..)?;
        let length = *body.get(1)?;
        let to = attribute(rest, RTA_DST).and_then(read_ip).map(|ip| Address { ip, length });
        let is_main = *body.get(4)? == RT_TABLE_MAIN;
        is_main.then_some((attribute(rest, RTA_OIF).and_then(number).unwrap_or(0) as i32, to))
    };
    Ok(replies.iter().filter_map(|(_, body)| read(body)).collect())
}

/// The number that a namespace has here; none where it has not been given one.
///
/// # Errors
/// What the kernel answered.
pub fn number_of_namespace(socket: &Netlink, file: BorrowedFd) -> Result<Option<i32>, Refusal> {
    // struct rtgenmsg is one byte; NETNSA_FD is 3 and NETNSA_NSID 1 in linux/net_namespace.h.
    let message = Message::new(libc::RTM_GETNSID, 0).fixed(&[0; 4]).with(3, &file.as_raw_fd().to_ne_bytes());
    let replies = socket.ask(message)?;
    let read = |body: &[u8]| attribute(body.get(4..)?, 1).and_then(number).map(|number| number as i32);
    Ok(replies.first().and_then(|(_, body)| read(body)).filter(|number| *number >= 0))
}
