//! What a program is left with: environment, signals, ids, capabilities. Each call with its four faces, as in call.rs.

use crate::idmap::IdRange;
use crate::state::State;
use crate::sys;
use crate::user::{UserSpec, Who};
use chain::{Answer, CapSet, Capabilities, Lifeline, Refusal, Shell};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// A call about the program itself.
#[derive(Debug)]
pub enum Privilege {
    /// openat2(2), read(2) of the new root's /etc/passwd and /etc/group
    FindUser(UserSpec),
    /// clearenv(3), setenv(3); without a HOME among them, the one of the user
    SetEnvironment(Vec<(OsString, OsString)>),
    /// signal(2), sigprocmask(2)
    ResetSignals,
    /// keyctl(2)
    JoinSessionKeyring,
    /// setrlimit(2)
    LimitCore,
    /// umask(2)
    SetUmask,
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
    /// close_range(2), and fcntl(2) for those that are kept, which are the program's and outlive the step
    CloseDescriptors(Vec<ManuallyDrop<OwnedFd>>),
}

/// A core limit of one byte: with it the kernel does not start the helper of a piped core_pattern either, which a limit
/// of 0 does not prevent (fs/coredump.c).
const CORE_LIMIT: u64 = 1;

impl Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Privilege::FindUser(spec) => match spec.user {
                Who::Number(0) => f.write_str("openat2(\"etc/group\")"),
                _ => f.write_str("openat2(\"etc/passwd\", RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS)"),
            },
            Privilege::SetEnvironment(pairs) => {
                f.write_str("clearenv()")?;
                pairs.iter().try_for_each(|(name, value)| {
                    write!(f, "\nsetenv({}, {})", chain::quoted(name), chain::quoted(value))
                })
            }
            Privilege::ResetSignals => {
                f.write_str("signal({1…64}, SIG_DFL)\nsigprocmask(SIG_SETMASK, [], NULL)")
            }
            Privilege::JoinSessionKeyring => f.write_str("keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)"),
            Privilege::LimitCore => write!(f, "setrlimit(RLIMIT_CORE, {{{CORE_LIMIT}, {CORE_LIMIT}}})"),
            Privilege::SetUmask => f.write_str("umask(022)"),
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
            Privilege::CloseDescriptors(keep) => {
                f.write_str("close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)")?;
                keep.iter().try_for_each(|fd| write!(f, "\nfcntl({}, F_SETFD, 0)", fd.as_raw_fd()))
            }
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
            Privilege::FindUser(spec) => Shell::Line(find_in_shell(spec).into()),
            Privilege::SetEnvironment(pairs) => {
                // --default-signal is the next step; env(1) takes no option after a variable.
                let mut words = vec![OsString::from("env"), "-i".into(), "--default-signal".into()];
                words.extend(pairs.iter().map(|(name, value)| {
                    let mut pair = name.clone();
                    pair.push("=");
                    pair.push(value);
                    chain::quote(&pair)
                }));
                if !pairs.iter().any(|(name, _)| name == "HOME") {
                    words.push("HOME=\"$home\"".into());
                }
                Shell::Through(words)
            }
            Privilege::ResetSignals => Shell::Implied,
            Privilege::LimitCore => Shell::Line(
                format!("[ \"$(ulimit -H -c)\" = 0 ] || prlimit --pid $$ --core={CORE_LIMIT}:{CORE_LIMIT}")
                    .into(),
            ),
            Privilege::SetUmask => Shell::line(["umask", "022"]),
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
            Privilege::JoinSessionKeyring
            | Privilege::JoinUserns(_)
            | Privilege::RenewLifeline(_)
            | Privilege::CloseDescriptors(_) => Shell::Nothing,
        }
    }

    pub fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Privilege::FindUser(spec) => state.account = spec.find(state.root()?)?,
            Privilege::SetEnvironment(pairs) => {
                let home = (OsString::from("HOME"), state.account.home.clone());
                let mut pairs = pairs.clone();
                if !pairs.iter().any(|(name, _)| name == "HOME") {
                    pairs.push(home);
                }
                chain::set_environment(&pairs);
            }
            Privilege::ResetSignals => sys::reset_signals()?,
            Privilege::JoinSessionKeyring => match chain::join_new_session_keyring() {
                // A kernel without key rings has none to leave.
                Err(Errno::ENOSYS) => return Ok(Answer::AlreadyThere),
                answer => return Ok(Answer::Made(answer?.to_string())),
            },
            Privilege::LimitCore => match setrlimit(Resource::RLIMIT_CORE, CORE_LIMIT, CORE_LIMIT) {
                // A hard limit of 0, as login sessions often have, cannot be raised, and writes no file either.
                Err(Errno::EPERM) if !dumps_are_piped() => return Ok(Answer::AlreadyThere),
                answer => answer?,
            },
            Privilege::SetUmask => drop(umask(Mode::from_bits_truncate(0o022))),
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
            Privilege::CloseDescriptors(keep) => {
                chain::close_from_at_exec(3)?;
                for fd in keep {
                    nix::fcntl::fcntl(&**fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
                }
            }
        }
        Ok(Answer::zero())
    }

    pub fn hint(&self, refusal: &Refusal) -> Option<String> {
        match (self, refusal.errno) {
            (Privilege::FindUser(_), Some(Errno::ELOOP)) => {
                Some("a link of the image could lead anywhere: its /etc/passwd must be a file".into())
            }
            (Privilege::FindUser(_), Some(Errno::EINVAL)) => {
                Some("it must be a regular file of at most 1 MiB".into())
            }
            (Privilege::FindUser(_), Some(Errno::ENOENT)) => {
                Some("give the number: --user UID:GID needs no file".into())
            }
            (Privilege::SetIds { .. }, Some(Errno::EINVAL)) => {
                Some("the user namespace maps no such id: see /proc/self/uid_map".into())
            }
            (
                Privilege::SetIds { .. } | Privilege::DropBounding(_) | Privilege::ClearGroups,
                Some(Errno::EPERM),
            ) => Some("that takes capabilities this process has not: run it as root".into()),
            (Privilege::SetCapabilities { .. }, Some(Errno::EPERM)) => {
                Some("what this process has not itself it cannot hand on: see CapPrm in /proc/self/status, and --cap-drop".into())
            }
            (Privilege::LimitCore, Some(Errno::EPERM)) => {
                Some("the hard limit is 0, with which dumps still go to the program in core_pattern: start it with ulimit -c 1".into())
            }
            (Privilege::RenewLifeline(_), Some(Errno::ESRCH)) => {
                Some("the process that waited for this one has died".into())
            }
            _ => None,
        }
    }
}

/// Whether core dumps go to a program of the host: core(5).
fn dumps_are_piped() -> bool {
    std::fs::read("/proc/sys/kernel/core_pattern").map_or(true, |pattern| pattern.starts_with(b"|"))
}

/// Sets the variables uid, gid and home from the files of the new root, which is the working directory.
fn find_in_shell(spec: &UserSpec) -> String {
    let line = |file: &str, pattern: String, otherwise: String| {
        let pattern = chain::quote(OsStr::from_bytes(pattern.as_bytes()));
        format!("$(grep -m1 {} etc/{file}{otherwise})", pattern.to_string_lossy())
    };
    let account = match &spec.user {
        Who::Number(0) => "root:x:0:0::/root".into(),
        Who::Number(uid) => {
            line("passwd", format!("^[^:]*:[^:]*:{uid}:"), format!(" || echo user:x:{uid}:{uid}::/"))
        }
        Who::Name(name) => line("passwd", format!("^{name}:"), String::new()),
    };
    let field = |variable: &str, number: u32| format!("{variable}=$(echo \"$account\" | cut -d: -f{number})");
    let mut lines =
        vec![format!("account=\"{account}\""), field("uid", 3), field("gid", 4), field("home", 6)];
    match &spec.group {
        None => {}
        Some(Who::Number(gid)) => lines.push(format!("gid={gid}")),
        Some(Who::Name(name)) => {
            lines.push(format!("gid={}", line("group", format!("^{name}:"), " | cut -d: -f3".into())));
        }
    }
    lines.join("\n")
}
