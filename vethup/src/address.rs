//! Addresses with the length of their network, and the names of links that are made from them.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// An address and how many of its bits are the network's: `10.98.0.2/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub ip: IpAddr,
    pub length: u8,
}

impl Address {
    /// An address with no network around it.
    pub fn alone(ip: IpAddr) -> Address {
        Address { ip, length: if ip.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether both are of version 4, or both of version 6.
    pub fn is_of_the_kind_of(self, other: Address) -> bool {
        self.ip.is_ipv4() == other.ip.is_ipv4()
    }

    /// The bytes of the address, as they stand in a packet.
    pub fn bytes(self) -> Vec<u8> {
        match self.ip {
            IpAddr::V4(ip) => ip.octets().into(),
            IpAddr::V6(ip) => ip.octets().into(),
        }
    }

    /// Whether the kernel gave it to the link by itself.
    pub fn is_link_local(self) -> bool {
        matches!(self.ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
    }

    /// The bits, the first of them highest, with how many there are.
    fn bits(self) -> (u128, u32) {
        match self.ip {
            IpAddr::V4(ip) => (u32::from(ip).into(), 32),
            IpAddr::V6(ip) => (u128::from(ip), 128),
        }
    }

    /// Whether one of the networks lies in the other.
    pub fn overlaps(self, other: Address) -> bool {
        let length = u32::from(self.length.min(other.length));
        let ((own, width), (others, _)) = (self.bits(), other.bits());
        self.is_of_the_kind_of(other) && (length == 0 || (own ^ others) >> (width - length) == 0)
    }

    /// The network itself, its host bits 0.
    pub fn network(self) -> Address {
        let (bits, width) = self.bits();
        let host = width - u32::from(self.length);
        let bits = if host == 128 { 0 } else { bits >> host << host };
        let ip = match self.ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(bits as u32)),
            IpAddr::V6(_) => IpAddr::V6(bits.into()),
        };
        Address { ip, ..self }
    }

    /// The last address of a network of version 4, which all its hosts listen to.
    pub fn broadcast(self) -> Option<IpAddr> {
        match self.network().ip {
            IpAddr::V4(ip) => {
                Some(IpAddr::V4(Ipv4Addr::from(u32::from(ip) | !u32::from_be_bytes(self.mask()))))
            }
            IpAddr::V6(_) => None,
        }
    }

    /// The mask of the network, as the bytes of an address of version 4.
    pub fn mask(self) -> [u8; 4] {
        u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0).to_be_bytes()
    }

    /// The addresses of hosts in a network of version 4, this one left out: from the lowest on, or a way in where many are
    /// taken. Neither the network's own nor the broadcast address is among them.
    pub fn neighbours(self, start: u32) -> impl Iterator<Item = Address> {
        let (bits, width) = self.network().bits();
        let room = if width == 32 { (1u64 << (32 - u32::from(self.length))).saturating_sub(2) } else { 0 };
        let at = move |offset: u64| Address {
            ip: IpAddr::V4(Ipv4Addr::from(bits as u32 + 1 + offset as u32)),
            ..self
        };
        let first = (0..room.min(16)).chain((0..room).map(move |step| (step + u64::from(start)) % room));
        first.map(at).filter(move |address| address.ip != self.ip)
    }

    /// The name that reserves the address: two links of one namespace cannot have the same. `bx` and the address in
    /// hexadecimal digits, or the last 32 bits of one of version 6.
    pub fn link_name(self) -> String {
        let (bits, _) = self.bits();
        format!("{}{:08x}", if self.ip.is_ipv4() { "bx" } else { "bx6" }, bits as u32)
    }

    /// The address such a name was made from, where that can be told.
    pub fn of_link_name(name: &str) -> Option<Ipv4Addr> {
        let digits = name.strip_prefix("bx").filter(|digits| digits.len() == 8)?;
        u32::from_str_radix(digits, 16).ok().map(Ipv4Addr::from)
    }

    /// A hardware address of its own for a bridge: the kernel would change a bridge's with its ports.
    pub fn hardware(self) -> [u8; 6] {
        let (bits, _) = self.bits();
        let [a, b, c, d] = (bits as u32).to_be_bytes();
        // The two bits of the first byte: given locally, and of one machine.
        [0x02, 0x62, a, b, c, d]
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.length)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let shape = || "give an address and the length of its network, as in 10.98.0.2/16".to_string();
        let (ip, length) = text.split_once('/').ok_or_else(shape)?;
        let ip: IpAddr = ip.parse().map_err(|_| shape())?;
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u8 = length.parse().ok().filter(|_| is_number).ok_or_else(shape)?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        match length {
            0 => Err("a network of length 0 is everything".into()),
            length if length > width => Err(format!("such an address has {width} bits")),
            _ if ip.is_unspecified() || ip.is_multicast() => Err("that is no address of a host".into()),
            _ => Ok(Address { ip, length }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.1/",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "10.0.0.1/+8",
            "fd00::1/129",
            "0.0.0.0/8",
            "224.0.0.1/8",
            "auto/16",
            "10.0.0/8",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn networks_overlap_where_one_lies_in_the_other() {
        assert!(address("10.98.0.1/16").overlaps(address("10.98.7.0/24")));
        assert!(address("10.98.7.1/24").overlaps(address("10.0.0.0/8")));
        assert!(!address("10.98.0.1/16").overlaps(address("10.99.0.1/16")));
        assert!(!address("10.98.0.1/16").overlaps(address("fd00::1/16")));
        assert!(address("fd00::1/64").overlaps(address("fd00::9/128")));
        assert_eq!(address("10.98.7.1/20").network().to_string(), "10.98.0.0/20");
        assert_eq!(address("fd00::7/64").network().to_string(), "fd00::/64");
        assert_eq!(address("10.98.0.1/20").mask(), [255, 255, 240, 0]);
    }

    #[test]
    fn neighbours_are_every_host_but_this_one_and_come_lowest_first() {
        let shown = |text: &str, start| {
            address(text).neighbours(start).map(|one| one.ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(shown("10.0.0.1/30", 0)[..1], ["10.0.0.2"]);
        let mut all = shown("10.0.0.1/27", 9);
        assert_eq!(all[..2], ["10.0.0.2", "10.0.0.3"]);
        assert_eq!(all[15], "10.0.0.10");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 29);
        assert!(!all.contains(&"10.0.0.31".to_string()) && !all.contains(&"10.0.0.1".to_string()));
        assert!(shown("10.0.0.1/32", 0).is_empty() && shown("fd00::1/64", 0).is_empty());
    }

    #[test]
    fn a_link_is_named_after_its_address_and_found_by_it() {
        assert_eq!(address("10.98.0.2/16").link_name(), "bx0a620002");
        assert_eq!(address("fd00::1:2/64").link_name(), "bx600010002");
        assert_eq!(Address::of_link_name("bx0a620002"), Some("10.98.0.2".parse().unwrap()));
        assert_eq!(Address::of_link_name("bx600010002"), None);
        assert_eq!(Address::of_link_name("boxbr0"), None);
    }
}
