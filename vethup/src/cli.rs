//! What can be typed. The doc comments are the help.

use crate::address::Address;
use chain::{Failure, Narration, quoted};
use clap::Parser;
use std::ffi::{OsStr, OsString};

/// Wire a network namespace: bridge, veth, address, route, NAT
///
/// With PROG it makes a namespace, wires it to the one it was started in, and becomes PROG. With --netns it wires one that
/// is there: a name of `ip netns`, a path, or the PID of a process in it.
#[derive(Parser, Debug, Default)]
#[command(version, args_override_self = true, after_help = EXAMPLES, override_usage =
    "vethup [OPTION]... -- PROG [ARG]...\n       vethup [OPTION]... --netns NAME|PATH|PID\n       vethup --down [--bridge NAME] | --list [--json]")]
pub struct Cli {
    /// The bridge it is wired to, made where it is missing [default: boxbr0]
    #[arg(short, long, value_name = "NAME", help_heading = "Outside", value_parser = link_name)]
    pub bridge: Option<String>,
    /// The bridge's own address, which is the way out for those behind it [default: 10.98.0.1/16]
    #[arg(short, long, value_name = "ADDR/LEN", help_heading = "Outside")]
    pub gateway: Vec<Address>,
    /// Make this interface a port of the bridge, until --down
    #[arg(long, value_name = "DEV", help_heading = "Outside", value_parser = link_name)]
    pub uplink: Option<String>,
    /// No bridge: a route to each address, and nobody beside it [gateway: 10.97.0.1/16]
    #[arg(long, help_heading = "Outside", conflicts_with_all = ["bridge", "uplink"])]
    pub no_bridge: bool,
    /// What this machine's end of the cable is called
    #[arg(long, value_name = "NAME", help_heading = "Outside", value_parser = link_name)]
    pub peer_name: Option<String>,
    /// Let those it wires out under this machine's address; switches its forwarding on, until --down
    #[arg(long, help_heading = "Outside")]
    pub nat: bool,

    /// Its address: the lowest that is free, or this one [default: auto]
    #[arg(short, long, value_name = "auto|ADDR/LEN", help_heading = "Inside", value_parser = wish)]
    pub address: Vec<Wish>,
    /// What the interface is called in there
    #[arg(long, value_name = "NAME", help_heading = "Inside", default_value = "eth0", value_parser = link_name)]
    pub ifname: String,
    /// Its hardware address
    #[arg(long, value_name = "MAC", help_heading = "Inside", value_parser = hardware)]
    pub mac: Option<Hardware>,
    /// How long a packet may be
    #[arg(long, value_name = "BYTES", help_heading = "Inside", value_parser = clap::value_parser!(u32).range(68..=65535))]
    pub mtu: Option<u32>,
    /// Wire this namespace, instead of a new one for PROG
    #[arg(long, value_name = "NAME|PATH|PID", help_heading = "Inside", conflicts_with = "program")]
    pub netns: Option<OsString>,

    /// Remove everything vethup made, or what belongs to --bridge, put back what it changed, and say whom that cuts off
    #[arg(long, help_heading = "Afterwards", conflicts_with_all = ["netns", "nat", "address", "gateway", "uplink", "peer_name"])]
    pub down: bool,
    /// Print bridges, what is wired to them, and who has the other end
    #[arg(long, help_heading = "Afterwards", conflicts_with_all = ["netns", "nat", "address", "gateway", "uplink", "no_bridge", "peer_name", "down"])]
    pub list: bool,
    /// With --list: as JSON, whose keys stay
    #[arg(long, help_heading = "Afterwards", requires = "list")]
    pub json: bool,

    #[command(flatten)]
    pub narration: Narration,

    /// The program to become, and its arguments
    #[arg(hide = true, trailing_var_arg = true)]
    pub program: Vec<OsString>,
}

/// An address, or any that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Auto,
    Address(Address),
}

impl Wish {
    /// The address that was asked for.
    pub fn address(self) -> Option<Address> {
        match self {
            Wish::Auto => None,
            Wish::Address(address) => Some(address),
        }
    }

    /// Whether it is of version 4, as any that is found is.
    pub fn is_version_4(self) -> bool {
        self.address().is_none_or(|address| address.ip.is_ipv4())
    }
}

/// Six bytes.
pub type Hardware = [u8; 6];

fn wish(text: &str) -> Result<Wish, String> {
    if text == "auto" { Ok(Wish::Auto) } else { text.parse().map(Wish::Address) }
}

fn hardware(text: &str) -> Result<Hardware, String> {
    let bytes: Vec<u8> = text
        .split(':')
        .map_while(|digits| (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten())
        .collect();
    let whole: Result<Hardware, _> = bytes.try_into();
    match whole {
        Ok(bytes) if text.len() == 17 && bytes[0] & 1 == 0 && bytes != [0; 6] => Ok(bytes),
        _ => Err("not the address of one interface, as in 02:62:6f:78:00:01".into()),
    }
}

/// What the kernel takes for a link (dev_valid_name in net/core/dev.c), and no pattern.
fn link_name(text: &str) -> Result<String, String> {
    let is_odd = |letter: char| {
        letter == '/' || letter == ':' || letter == '%' || letter.is_whitespace() || letter.is_control()
    };
    match text {
        "" | "." | ".." => Err("no name of an interface".into()),
        _ if text.len() > 15 => Err("an interface has at most 15 bytes of name".into()),
        _ if text.contains(is_odd) => Err("the name of an interface holds no / : % and no blank".into()),
        _ => Ok(text.to_owned()),
    }
}

/// The bridge where nothing else was said.
pub const BRIDGE: &str = "boxbr0";

impl Cli {
    /// What contradicts itself in ways that no single option shows; `words` is the command line that it was read from.
    ///
    /// # Errors
    /// Nothing to do, or two things at once; a program without `--` before it.
    pub fn check(&self, words: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
        let is_asked = !self.program.is_empty() || self.netns.is_some() || self.down || self.list;
        if !is_asked {
            return Err(Failure::new("nothing to wire").hint(
                "vethup -- PROG makes a namespace for PROG; vethup --netns NAME wires one that is there",
            ));
        }
        self.refuse_useless_program()?;
        if let Some(program) = self.program.first().filter(|_| !self.has_dashes(words)) {
            return Err(
                Failure::new(format!("{}: not an option", quoted(program))).hint("put -- before the program")
            );
        }
        // clap does not ask for --list where something rules it out.
        if self.json && !self.list {
            return Err(Failure::new("--json goes with --list").hint("vethup --list --json"));
        }
        if self.netns.as_deref() == Some(OsStr::new("")) {
            return Err(Failure::new("--netns has an empty value").hint("is the variable after it unset?"));
        }
        let autos = self.address.iter().filter(|wish| **wish == Wish::Auto).count();
        if autos > 1 {
            return Err(Failure::new("--address auto more than once")
                .hint("one address is found for it; name the others"));
        }
        for (at, gateway) in self.gateway.iter().enumerate() {
            if let Some(other) = self.gateway[..at].iter().find(|other| other.is_of_the_kind_of(*gateway)) {
                return Err(Failure::new(format!("--gateway {other} and --gateway {gateway}"))
                    .hint("one of version 4 and one of version 6 at most"));
            }
        }
        Ok(())
    }

    fn refuse_useless_program(&self) -> Result<(), Failure> {
        let (option, hint) = match self {
            Cli { down: true, .. } => {
                ("--down", "one bridge alone is removed by vethup --down --bridge NAME")
            }
            Cli { list: true, .. } => ("--list", "it prints every bridge: vethup --list"),
            _ => return Ok(()),
        };
        match self.program.first() {
            Some(word) => Err(Failure::new(format!("{}: {option} runs no program", quoted(word))).hint(hint)),
            None => Ok(()),
        }
    }

    /// Whether `--` stands before the program. With `last = true` clap would ask for it, but call the program an unexpected
    /// argument; so it takes the program without, and does not tell.
    fn has_dashes(&self, words: impl IntoIterator<Item = OsString>) -> bool {
        let words: Vec<OsString> = words.into_iter().collect();
        let before = words.len().checked_sub(self.program.len() + 1);
        before.is_some_and(|at| words[at] == "--")
    }

    /// The name of the bridge.
    pub fn bridge_name(&self) -> &str {
        self.bridge.as_deref().unwrap_or(BRIDGE)
    }
}

/// The file of a network namespace as it was typed.
pub fn netns_path(value: &OsStr) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let bytes = value.as_bytes();
    match bytes {
        _ if bytes.iter().all(u8::is_ascii_digit) => {
            format!("/proc/{}/ns/net", value.to_string_lossy()).into()
        }
        _ if bytes.contains(&b'/') => value.into(),
        _ => std::path::Path::new("/run/netns").join(value),
    }
}

/// Why that file is not there.
pub fn why_no_netns(value: &OsStr) -> String {
    use std::os::unix::ffi::OsStrExt;
    let bytes = value.as_bytes();
    match bytes {
        _ if bytes.iter().all(u8::is_ascii_digit) => {
            format!("there is no process {} here", value.to_string_lossy())
        }
        _ if bytes.contains(&b'/') => {
            "a path names the file a namespace is bound on, or /proc/PID/ns/net".into()
        }
        _ => format!("ip netns has no {}: ip netns list shows them, ip netns add makes one", quoted(value)),
    }
}

const EXAMPLES: &str = "Examples:
  vethup --nat -- nsexec --pid -- pivot img /bin/sh   a container with a network of its own, and a way out
  vethup --netns blue --address 10.98.0.7/16          wire what `ip netns add blue` made
  vethup --down                                       as if it had never been";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_or_a_shell_could_misread_is_no_name() {
        for name in ["", ".", "..", "../x", "a/b", "a b", "a%d", "a:b", "0123456789abcdef", "a\n"] {
            assert!(link_name(name).is_err(), "{name:?}");
        }
        assert!(link_name("0123456789abcde").is_ok() && link_name("br-x.7@").is_ok());
    }

    #[test]
    fn a_hardware_address_is_of_one_interface() {
        assert_eq!(hardware("02:62:6f:78:00:01"), Ok([2, 0x62, 0x6f, 0x78, 0, 1]));
        for text in [
            "",
            "02:62:6f:78:00",
            "02:62:6f:78:00:01:02",
            "03:62:6f:78:00:01",
            "00:00:00:00:00:00",
            "2:62:6f:78:00:001",
            "02-62-6f-78-00-01",
        ] {
            assert!(hardware(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_namespace_is_named_by_number_path_or_name() {
        let path = |text: &str| netns_path(OsStr::new(text)).display().to_string();
        assert_eq!(path("47"), "/proc/47/ns/net");
        assert_eq!(path("./blue"), "./blue");
        assert_eq!(path("blue"), "/run/netns/blue");
    }
}
