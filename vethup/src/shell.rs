//! The calls as classic commands. Outside is reached through descriptor 4 once the script is in the new namespace.

use crate::call::Call;
use crate::facts::FORWARDING;
use crate::list::text;
use crate::nft::{comment, name_of};
use crate::pair::Pair;
use crate::rtnl::GROUP;
use chain::{Shell, quote};
use std::ffi::OsString;

/// Runs the rest of the line in the namespace the script was started in.
pub const OUTSIDE: &str = "nsenter --net=/proc/self/fd/4 ";

/// What a call is in shell.
pub fn of(call: &Call) -> Shell {
    match call {
        Call::OpenSocket => line("exec 4</proc/self/ns/net"),
        Call::Link(call) => call.shell(),
        Call::Route(call) => call.shell(),
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
        Call::WriteSysctl { name, value } => line(&format!("echo '{value}' > /proc/sys/{name}")),
        Call::RemoveVeth => Shell::Implied,
        Call::Print { bridges, json } => line(&format!(
            "printf %s {}",
            quote(OsString::from(text(bridges, *json)).as_os_str()).to_string_lossy()
        )),
    }
}

/// One line of a script.
pub fn line(text: &str) -> Shell {
    Shell::Line(text.into())
}

/// Several.
pub fn lines(lines: &[String]) -> Shell {
    line(&lines.join("\n"))
}

/// The last line that needs the way out is followed by this.
pub const CLOSE: &str = "exec 4<&-";

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
