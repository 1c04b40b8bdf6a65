//! The calls as classic commands. Outside is reached through descriptor 4 once the script is in the new namespace.

use crate::address::Address;
use crate::call::Call;
use crate::facts::FORWARDING;
use crate::list::text;
use crate::nft::{comment, name_of};
use crate::pair::{Meant, Pair};
use crate::rtnl::{ALIAS, GROUP};
use chain::{Shell, quote};
use std::ffi::OsString;
use std::net::IpAddr;

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
        Call::FreeAndSetDown { name, .. } => line(&format!("ip link set {name} nomaster down")),
        Call::SetDown { name, .. } => line(&format!("ip link set {name} down")),
        Call::AddAltName { name, alt_name, .. } => {
            line(&format!("ip link property add dev {name} altname {alt_name}"))
        }
        Call::RemoveAltName { name, alt_name, .. } => {
            line(&format!("ip link property del dev {name} altname {alt_name}"))
        }
        Call::RemoveLink { name, .. } => line(&format!("ip link delete {name}")),
        Call::AddAddress { link, address, .. } => match address.shown() {
            Some(address) => line(&add_address(address, link)),
            None => Shell::Nothing,
        },
        Call::AddHostEnd { pair, gateways, addresses } => add_host_end(pair, gateways, addresses),
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
        Call::AddLinkRoute { to, link } => line(&add_link_route(*to, link)),
        Call::AddRoute { gateway, link } => {
            line(&format!("{} add default via {gateway} dev {link} proto static", ip_route(*gateway)))
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

/// Addresses of version 6 are used at once.
fn add_address(address: Address, link: &str) -> String {
    let no_wait = if address.ip.is_ipv6() { " nodad" } else { "" };
    format!("ip address add {address} dev {link}{no_wait}")
}

fn ip_route(to: IpAddr) -> &'static str {
    if to.is_ipv6() { "ip -6 route" } else { "ip route" }
}

fn add_link_route(to: IpAddr, link: &str) -> String {
    format!("{} add {to} dev {link} proto static", ip_route(to))
}

/// The last line that needs the way out is followed by this.
const CLOSE: &str = "exec 4<&-";

fn add_veth(pair: &Pair) -> Shell {
    let Some((outer, reserving)) = pair.in_shell() else { return Shell::Refuse };
    let mtu = pair.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    let hardware: Vec<String> = pair.hardware.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    let hardware =
        if hardware.is_empty() { String::new() } else { format!(" address {}", hardware.join(":")) };
    let group = if pair.is_grouped() { format!(" group {GROUP}") } else { String::new() };
    let ifname = &pair.ifname;
    let mut text = vec![format!(
        "{OUTSIDE}ip link add {outer}{mtu}{group} type veth peer name {ifname}{mtu}{hardware} netns $$"
    )];
    if pair.peer_name.is_some() {
        text.push(format!("{OUTSIDE}ip link property add dev {outer} altname {reserving}"));
    }
    match &pair.bridge {
        Some(bridge) => {
            text.push(format!("{OUTSIDE}ip link set {outer} master {bridge} up"));
            text.push(CLOSE.into());
        }
        // The address of this end is still to come.
        None => text.push(format!("{OUTSIDE}ip link set {outer} up")),
    }
    lines(&text)
}

fn add_host_end(pair: &Pair, gateways: &[IpAddr], addresses: &[Meant]) -> Shell {
    let Some((outer, _)) = pair.in_shell() else { return Shell::Refuse };
    let gateways = gateways.iter().map(|ip| add_address(Address::alone(*ip), &outer));
    let known = addresses.iter().filter_map(|address| address.shown());
    let routes = known.map(|address| add_link_route(address.ip, &outer));
    let all = gateways.chain(routes).map(|command| format!("{OUTSIDE}{command}"));
    lines(&all.chain([CLOSE.to_owned()]).collect::<Vec<_>>())
}
