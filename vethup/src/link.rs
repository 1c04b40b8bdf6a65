//! Links of this machine, the bridge, its ports and its uplink: each call with its faces, as in call.rs.

use crate::call::{sent, unless_gone, unless_there};
use crate::cli::Hardware;
use crate::rtnl::{self, ALIAS};
use crate::shell::{line, lines};
use crate::state::{Side, State};
use chain::netlink::Netlink;
use chain::{Answer, Refusal, Shell};
use std::fmt::{self, Display};

/// A call about a link of this machine.
#[derive(Debug)]
pub enum LinkCall {
    /// RTM_NEWLINK, twice
    AddBridge { name: String, hardware: Hardware },
    /// RTM_NEWLINK
    Enslave { name: String, index: i32, bridge: String },
    /// RTM_NEWLINK
    Free { name: String, index: i32 },
    /// RTM_NEWLINK, twice
    FreeAndSetDown { name: String, index: i32 },
    /// RTM_NEWLINK
    SetDown { name: String, index: i32 },
    /// RTM_NEWLINKPROP
    AddAltName { name: String, index: i32, alt_name: String },
    /// RTM_DELLINKPROP
    RemoveAltName { name: String, index: i32, alt_name: String },
    /// RTM_DELLINK
    Remove { name: String, unless_in_use: bool },
}

impl Display for LinkCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = match self {
            LinkCall::AddBridge { name, .. } => {
                format!("RTM_NEWLINK, \"{name}\", \"bridge\", IFF_UP, alias \"{ALIAS}\"")
            }
            LinkCall::Enslave { name, bridge, .. } => {
                format!("RTM_NEWLINK, \"{name}\", IFF_UP, master \"{bridge}\"")
            }
            LinkCall::Free { name, .. } => format!("RTM_NEWLINK, \"{name}\", no master"),
            LinkCall::FreeAndSetDown { name, .. } => {
                format!("RTM_NEWLINK, \"{name}\", no master, not IFF_UP")
            }
            LinkCall::SetDown { name, .. } => format!("RTM_NEWLINK, \"{name}\", not IFF_UP"),
            LinkCall::AddAltName { name, alt_name, .. } => {
                format!("RTM_NEWLINKPROP, \"{name}\", altname \"{alt_name}\"")
            }
            LinkCall::RemoveAltName { name, alt_name, .. } => {
                format!("RTM_DELLINKPROP, \"{name}\", altname \"{alt_name}\"")
            }
            LinkCall::Remove { name, .. } => format!("RTM_DELLINK, \"{name}\""),
        };
        sent(f, &text)
    }
}

impl LinkCall {
    /// As a shell types it.
    pub fn shell(&self) -> Shell {
        match self {
            LinkCall::AddBridge { name, hardware } => {
                let hardware: Vec<String> = hardware.iter().map(|byte| format!("{byte:02x}")).collect();
                lines(&[
                    format!("ip link add {name} address {} type bridge forward_delay 0", hardware.join(":")),
                    format!("ip link set {name} alias {ALIAS} up"),
                ])
            }
            LinkCall::Enslave { name, bridge, .. } => line(&format!("ip link set {name} master {bridge} up")),
            LinkCall::Free { name, .. } => line(&format!("ip link set {name} nomaster")),
            LinkCall::FreeAndSetDown { name, .. } => line(&format!("ip link set {name} nomaster down")),
            LinkCall::SetDown { name, .. } => line(&format!("ip link set {name} down")),
            LinkCall::AddAltName { name, alt_name, .. } => {
                line(&format!("ip link property add dev {name} altname {alt_name}"))
            }
            LinkCall::RemoveAltName { name, alt_name, .. } => {
                line(&format!("ip link property del dev {name} altname {alt_name}"))
            }
            LinkCall::Remove { name, .. } => line(&format!("ip link delete {name}")),
        }
    }

    /// As the kernel gets it.
    ///
    /// # Errors
    /// What it answered.
    pub fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            LinkCall::AddBridge { name, hardware } => {
                return unless_there(state.outside()?.request(rtnl::bridge(name, *hardware)));
            }
            LinkCall::Enslave { index, bridge, .. } => {
                let bridge = state.index_of(bridge, Side::Outside)?;
                state.outside()?.request([rtnl::enslave(*index, bridge)])?;
            }
            LinkCall::Free { index, .. } => state.outside()?.request([rtnl::enslave(*index, 0)])?,
            LinkCall::FreeAndSetDown { index, .. } => {
                state.outside()?.request([rtnl::enslave(*index, 0), rtnl::down(*index)])?;
            }
            LinkCall::SetDown { index, .. } => {
                return unless_gone(state.outside()?.request([rtnl::down(*index)]));
            }
            LinkCall::AddAltName { index, alt_name, .. } => {
                return unless_there(state.outside()?.request([rtnl::alt_name(*index, alt_name, true)]));
            }
            LinkCall::RemoveAltName { index, alt_name, .. } => {
                return unless_gone(state.outside()?.request([rtnl::alt_name(*index, alt_name, false)]));
            }
            LinkCall::Remove { name, unless_in_use } => {
                return remove(state.outside()?, name, *unless_in_use);
            }
        }
        Ok(Answer::zero())
    }
}

/// Removes a link, or leaves it where it has ports and that was asked for.
///
/// # Errors
/// What the kernel answered; that it is gone already is none.
pub fn remove(socket: &Netlink, name: &str, unless_in_use: bool) -> Result<Answer, Refusal> {
    let Some(link) = rtnl::link(socket, name)? else { return Ok(Answer::AlreadyThere) };
    if unless_in_use && rtnl::links(socket)?.iter().any(|port| port.master == link.index) {
        return Ok(Answer::AlreadyThere);
    }
    unless_gone(socket.request([rtnl::remove(name)]))
}
