//! The calls as classic commands. Outside is reached through descriptor 4 once the script is in the new namespace.

use crate::address::Address;
use crate::call::{Call, Pair};
use crate::cli::Wish;
use crate::facts::FORWARDING;
use crate::list::text;
use crate::nft::{comment, name_of};
use crate::rtnl::ALIAS;
use chain::{Shell, quote};
use std::ffi::OsString;

/// Runs the rest of the line in the namespace the script was started in.
const OUTSIDE: &str = "nsenter --net=/proc/self/fd/4 ";

/// What a call is in shell.
pub fn of(call: &Call) -> Shell {
    match call {
        Call::OpenSocket => line("exec 4</proc/self/ns/net"),
        Call::AddBridge { name, hardware } => {
            let hardware: Vec<String> = hardware.iter().map(|byte| format!("{byte:02x}")).collect();
            lines(&[
                format!("ip link add {name} address {} type bridge forward_delay 0", hardware.join(":")),
                format!("ip link set {name} alias {ALIAS} up"),
            ])
        }
        Call::Enslave { name, bridge, .. } => line(&format!("ip link set {name} master {bridge} up")),
        Call::Free { name, .. } => line(&format!("ip link set {name} nomaster")),
        Call::RemoveLink { name, .. } => line(&format!("ip link delete {name}")),
        Call::AddAddress { link, address, in_shell, .. } => match address.or(*in_shell) {
            Some(address) => {
                let nodad = if address.ip.is_ipv6() { " nodad" } else { "" };
                line(&format!("ip address add {address} dev {link}{nodad}"))
            }
            None => Shell::Nothing,
        },
        Call::RemoveAddress { link, address } => line(&format!("ip address delete {address} dev {link}")),
        Call::AddNat { bridge, network, forwarding } => {
            let (table, network) = (name_of(bridge), network.network());
            let rules = format!(
                "table ip {table} {{ comment \"{}\"; chain postrouting {{ type nat hook postrouting priority 100; ip saddr {network} ip daddr != {network} masquerade; }}; }}",
                comment(forwarding)
            );
            line(&format!("nft {}", quote(OsString::from(rules).as_os_str()).to_string_lossy()))
        }
        Call::RemoveNat { bridge } => line(&format!("nft delete table ip {}", name_of(bridge))),
        Call::WriteForwarding { value } => line(&format!("echo {value} > {FORWARDING}")),
        Call::UnshareNet => Shell::enter(["unshare", "--net"]),
        Call::JoinNs { path, .. } => {
            let mut option = OsString::from("--net=");
            option.push(path);
            Shell::enter(["nsenter".into(), option])
        }
        Call::AddVeth(pair) => add_veth(pair),
        Call::SetUp { link } => line(&format!("ip link set {link} up")),
        Call::AddRoute { gateway, link } => {
            let version = if gateway.is_ipv6() { " -6" } else { "" };
            line(&format!("ip{version} route add default via {gateway} dev {link} proto static"))
        }
        Call::WriteSysctl { name, value } => line(&format!("echo '{value}' > /proc/sys/{name}")),
        Call::RemoveVeth => Shell::Implied,
        Call::Print { bridges, json } => line(&format!(
            "printf %s {}",
            quote(OsString::from(text(bridges, *json)).as_os_str()).to_string_lossy()
        )),
    }
}

fn line(text: &str) -> Shell {
    Shell::Line(text.into())
}

fn lines(lines: &[String]) -> Shell {
    line(&lines.join("\n"))
}

/// The last that needs the way out: behind it descriptor 4 is closed.
fn add_veth(pair: &Pair) -> Shell {
    let Some(address) = pair.in_shell else { return Shell::Refuse };
    let name = Address::link_name(match pair.wish {
        Wish::Address(address) => address,
        Wish::Auto => address,
    });
    let mtu = pair.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    let hardware: Vec<String> = pair.hardware.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    let hardware =
        if hardware.is_empty() { String::new() } else { format!(" address {}", hardware.join(":")) };
    let ifname = &pair.ifname;
    lines(&[
        format!("{OUTSIDE}ip link add {name}{mtu} type veth peer name {ifname}{mtu}{hardware} netns $$"),
        format!("{OUTSIDE}ip link set {name} master {} up", pair.bridge),
        "exec 4<&-".into(),
    ])
}
