//! What a program may do: its ids and capabilities. Each call with its four faces, as in call.rs.

use crate::idmap::IdRange;
use crate::state::State;
use chain::{Answer, CapSet, Capabilities, Lifeline, Refusal, Shell, takes};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::ffi::OsString;
use std::fmt::{self, Display};

/// A call about what the program may do.
#[derive(Debug)]
pub enum Privilege {
    /// setns(2)
    JoinUserns(IdRange),
    /// PR_CAPBSET_DROP of prctl(2), for all but these
    DropBounding(CapSet),
    /// setgroups(2)
    ClearGroups,
    /// No call: setgroups(2) is denied by `/proc/self/setgroups`
    KeepGroups,
    /// setresgid(2), setresuid(2); `keep` leaves capabilities to a user who is not root
    SetIds { keep: bool },
    /// capset(2), PR_CAP_AMBIENT of prctl(2)
    SetCapabilities { set: CapSet, ambient: bool },
    /// PR_SET_NO_NEW_PRIVS of prctl(2)
    SetNoNewPrivs,
    /// PR_SET_PDEATHSIG of prctl(2)
    RenewLifeline(Lifeline),
}

impl Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Privilege::JoinUserns(range) => write!(f, "setns({{map \"{}\"}}, CLONE_NEWUSER)", range.line()),
            Privilege::DropBounding(kept) => {
                write!(f, "prctl(PR_CAPBSET_DROP, {{all but {}}})", or_none(*kept))
            }
            Privilege::ClearGroups => f.write_str("setgroups(0, [])"),
            Privilege::KeepGroups => f.write_str("no call: /proc/self/setgroups says deny"),
            Privilege::SetIds { keep } => {
                let first = if *keep { "prctl(PR_SET_KEEPCAPS, 1)\n" } else { "" };
                write!(f, "{first}setresgid(GID, GID, GID)\nsetresuid(UID, UID, UID)")
            }
            Privilege::SetCapabilities { set, .. } => {
                write!(
                    f,
                    "capset({{effective=permitted={}, inheritable=0}})\nprctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
                    or_none(*set)
                )
            }
            Privilege::SetNoNewPrivs => f.write_str("prctl(PR_SET_NO_NEW_PRIVS, 1)"),
            Privilege::RenewLifeline(lifeline) => f.write_str(&lifeline.call()),
        }
    }
}

fn or_none(set: CapSet) -> String {
    if set == CapSet::NONE { "none".into() } else { set.names() }
}

/// capsh(1) by its path: once the environment is cleared, PATH is the container's.
pub const CAPSH: &str = "\"$(command -v capsh)\"";

/// One host process does all of it, so nothing is needed in the image.
pub fn capsh(options: impl IntoIterator<Item = String>) -> Shell {
    Shell::Through([CAPSH.to_string()].into_iter().chain(options).map(OsString::from).collect())
}

impl Privilege {
    pub fn shell(&self) -> Shell {
        match self {
            Privilege::DropBounding(kept) => {
                capsh([format!("--drop={}", CapSet::ALL.without(*kept).names())])
            }
            Privilege::ClearGroups => capsh(["--groups=".into()]),
            Privilege::SetIds { keep } => {
                let keep = keep.then(|| "--keep=1".to_string());
                capsh(keep.into_iter().chain(["--gid=\"${gid:-0}\"".into(), "--uid=\"${uid:-0}\"".into()]))
            }
            Privilege::SetCapabilities { set, ambient: false } if *set == CapSet::NONE => {
                capsh(["--caps==".into()])
            }
            Privilege::SetCapabilities { set, ambient } => {
                let names = set.names();
                let sets = if *ambient { "eip" } else { "ep" };
                capsh(
                    [format!("--caps={names}={sets}")]
                        .into_iter()
                        .chain(ambient.then(|| format!("--addamb={names}"))),
                )
            }
            Privilege::KeepGroups => Shell::Implied,
            Privilege::SetNoNewPrivs => capsh(["--no-new-privs".into()]),
            Privilege::JoinUserns(_) | Privilege::RenewLifeline(_) => Shell::Nothing,
        }
    }

    pub fn run(&self, state: &State) -> Result<Answer, Refusal> {
        match self {
            Privilege::JoinUserns(_) => {
                let namespace = state.userns.as_ref().ok_or(Errno::EBADF)?;
                setns(namespace, CloneFlags::CLONE_NEWUSER)?;
            }
            Privilege::DropBounding(kept) => chain::drop_bounding(*kept)?,
            Privilege::ClearGroups => setgroups(&[])?,
            Privilege::KeepGroups => return Ok(Answer::AlreadyThere),
            Privilege::SetIds { keep } => {
                let (uid, gid) = (Uid::from_raw(state.account.uid), Gid::from_raw(state.account.gid));
                if *keep {
                    chain::keep_capabilities()?;
                }
                setresgid(gid, gid, gid)
                    .map_err(|errno| Refusal::at(format!("setresgid({gid}, {gid}, {gid})"), errno))?;
                setresuid(uid, uid, uid)
                    .map_err(|errno| Refusal::at(format!("setresuid({uid}, {uid}, {uid})"), errno))?;
            }
            Privilege::SetCapabilities { set, ambient } => {
                let handed_on = if *ambient { *set } else { CapSet::NONE };
                let all = Capabilities {
                    effective: *set,
                    permitted: *set,
                    inheritable: handed_on,
                    ambient: handed_on,
                };
                all.set()?;
            }
            Privilege::SetNoNewPrivs => nix::sys::prctl::set_no_new_privs()?,
            Privilege::RenewLifeline(lifeline) => lifeline.renew()?,
        }
        Ok(Answer::zero())
    }

    pub fn hint(&self, refusal: &Refusal) -> Option<String> {
        match (self, refusal.errno) {
            (Privilege::SetIds { .. }, Some(Errno::EINVAL)) => {
                Some("the user namespace maps no such id: see /proc/self/uid_map".into())
            }
            (Privilege::SetIds { .. }, Some(Errno::EPERM)) => Some(takes("CAP_SETUID")),
            (Privilege::DropBounding(_), Some(Errno::EPERM)) => Some(takes("CAP_SETPCAP")),
            (Privilege::ClearGroups, Some(Errno::EPERM)) => Some(takes("CAP_SETGID")),
            (Privilege::SetCapabilities { .. }, Some(Errno::EPERM)) => {
                Some("what this process has not itself it cannot hand on: see CapPrm in /proc/self/status, and --cap-drop".into())
            }
            (Privilege::RenewLifeline(_), Some(Errno::ESRCH)) => {
                Some("the process that waited for this one has died".into())
            }
            _ => None,
        }
    }
}
