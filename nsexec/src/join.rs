//! The calls that put this process where another one is, and leave it no more than that one has. Each with its four faces,
//! as in call.rs.

use crate::call::State;
use chain::{Answer, CapSet, Capabilities, Kind, Lifeline, Refusal, Shell, be_root, quoted, takes};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Pid, Uid, chroot, fchdir, setgroups, setresgid, setresuid};
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A call about a process that is joined, whose number goes with it to be shown.
#[derive(Debug)]
pub enum Join {
    /// PR_SET_DUMPABLE of prctl(2)
    ForbidTracing,
    /// close_range(2)
    CloseDescriptors,
    /// keyctl(2)
    SessionKeyring,
    /// clearenv(3), setenv(3)
    SetEnvironment(Vec<(OsString, OsString)>),
    /// `cgroup.procs` in the directory of a group: cgroups(7)
    EnterGroup(PathBuf),
    /// setns(2) by pidfd_open(2); `is_first` of the steps that do, `is_root`: by root
    Namespaces { process: Pid, pidfd: OwnedFd, kinds: Vec<Kind>, is_first: bool, is_root: bool },
    /// fchdir(2), chroot(2); without a root where it is the one we have
    Root { process: Pid, root: Option<OwnedFd>, working_directory: OwnedFd },
    /// setgroups(2)
    DropGroups,
    /// setresgid(2), setresuid(2); `drop_groups`: setgroups(2) first; `keep`: capabilities stay with who is not root
    SetIds { uid: u32, gid: u32, drop_groups: bool, keep: bool },
    /// PR_CAPBSET_DROP of prctl(2), for all but these
    DropBounding(CapSet),
    /// capset(2), PR_CAP_AMBIENT of prctl(2)
    SetCapabilities(Capabilities),
    /// PR_SET_NO_NEW_PRIVS of prctl(2)
    SetNoNewPrivs,
    /// PR_GET_PDEATHSIG of prctl(2), while /proc is still that of this side
    NoteLifeline,
    /// PR_SET_PDEATHSIG of prctl(2), where there was one before
    RenewLifeline,
}

impl Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Join::ForbidTracing => f.write_str("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)"),
            Join::CloseDescriptors => f.write_str("close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)"),
            Join::SessionKeyring => f.write_str("keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)"),
            Join::SetEnvironment(pairs) => {
                f.write_str("clearenv()")?;
                pairs
                    .iter()
                    .try_for_each(|(name, value)| write!(f, "\nsetenv({}, {})", quoted(name), quoted(value)))
            }
            Join::EnterGroup(group) => write!(f, "write({}, \"0\")", quoted(group.join("cgroup.procs"))),
            Join::Namespaces { process, kinds, .. } => {
                let flags: Vec<&str> = kinds.iter().map(|kind| kind.flag_name()).collect();
                write!(f, "setns(pidfd_open({process}, 0), {})", flags.join("|"))
            }
            Join::Root { process, root, .. } => {
                if root.is_some() {
                    write!(f, "fchdir(open(\"/proc/{process}/root\"))\nchroot(\".\")\n")?;
                }
                write!(f, "fchdir(open(\"/proc/{process}/cwd\"))")
            }
            Join::DropGroups => f.write_str("setgroups(0, [])"),
            Join::SetIds { uid, gid, drop_groups, keep } => {
                f.write_str(if *drop_groups { "setgroups(0, [])\n" } else { "" })?;
                f.write_str(if *keep { "prctl(PR_SET_KEEPCAPS, 1)\n" } else { "" })?;
                write!(f, "setresgid({gid}, {gid}, {gid})\nsetresuid({uid}, {uid}, {uid})")
            }
            Join::DropBounding(kept) => {
                write!(f, "prctl(PR_CAPBSET_DROP, {{all but {}}})", or_none(*kept))
            }
            Join::SetCapabilities(all) => write!(
                f,
                "capset({{effective={}, permitted={}, inheritable={}}})\nprctl(PR_CAP_AMBIENT, {{{}}})",
                or_none(all.effective),
                or_none(all.permitted),
                or_none(all.inheritable),
                or_none(all.ambient)
            ),
            Join::SetNoNewPrivs => f.write_str("prctl(PR_SET_NO_NEW_PRIVS, 1)"),
            Join::NoteLifeline => f.write_str("prctl(PR_GET_PDEATHSIG)"),
            Join::RenewLifeline => f.write_str("prctl(PR_SET_PDEATHSIG)"),
        }
    }
}

fn or_none(set: CapSet) -> String {
    if set == CapSet::NONE { "none".into() } else { set.names() }
}

/// setpriv(1), which runs in the root that is joined: nsenter(1) cannot give up what it needs to enter.
fn setpriv(options: impl IntoIterator<Item = String>) -> Shell {
    Shell::through(["setpriv".to_string()].into_iter().chain(options))
}

/// A set as setpriv(1) takes it: `-all,+chown,+kill`.
fn only(set: CapSet) -> String {
    let names = set.names().replace("cap_", "+");
    if names.is_empty() { "-all".into() } else { format!("-all,{names}") }
}

impl Join {
    pub fn shell(&self) -> Shell {
        match self {
            Join::ForbidTracing
            | Join::SessionKeyring
            | Join::NoteLifeline
            | Join::RenewLifeline
            | Join::CloseDescriptors => Shell::Nothing,
            Join::SetEnvironment(pairs) => {
                let pairs = pairs.iter().map(|(name, value)| {
                    let mut pair = name.clone();
                    pair.push("=");
                    pair.push(value);
                    pair
                });
                Shell::through([OsString::from("env"), "-i".into()].into_iter().chain(pairs))
            }
            Join::EnterGroup(group) => {
                let mut line = OsString::from("echo 0 > ");
                line.push(chain::quote(group.join("cgroup.procs").as_os_str()));
                Shell::Line(line)
            }
            Join::Namespaces { process, kinds, is_first, is_root, .. } => {
                let target = is_first.then(|| format!("--target={process}"));
                let options = kinds.iter().map(|kind| format!("--{}", kind.name()));
                // Root is nobody in there, and setpriv(1) with it, until nsenter(1) has made it root of those users.
                let preserves = kinds.contains(&Kind::User) && !is_root;
                let as_it_is = preserves.then(|| "--preserve-credentials".into());
                Shell::through(
                    ["nsenter".to_string()].into_iter().chain(target).chain(options).chain(as_it_is),
                )
            }
            Join::Root { process, root, .. } => {
                let root = root.is_some().then(|| format!("--root=/proc/{process}/root"));
                let directory = [format!("--wd=/proc/{process}/cwd")];
                Shell::through(["nsenter".to_string()].into_iter().chain(root).chain(directory))
            }
            Join::DropGroups => setpriv(["--clear-groups".into()]),
            Join::SetIds { uid, gid, drop_groups, .. } => {
                let groups = if *drop_groups { "--clear-groups" } else { "--keep-groups" };
                setpriv([format!("--reuid={uid}"), format!("--regid={gid}"), groups.into()])
            }
            Join::DropBounding(kept) => setpriv([format!("--bounding-set={}", only(*kept))]),
            Join::SetCapabilities(all) => setpriv([
                format!("--inh-caps={}", only(all.inheritable)),
                format!("--ambient-caps={}", only(all.ambient)),
            ]),
            Join::SetNoNewPrivs => setpriv(["--no-new-privs".into()]),
        }
    }

    pub fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Join::ForbidTracing => chain::forbid_tracing()?,
            Join::CloseDescriptors => chain::close_from_at_exec(3)?,
            Join::SessionKeyring => match chain::join_new_session_keyring() {
                // A kernel without key rings has none to leave.
                Err(Errno::ENOSYS) => return Ok(Answer::AlreadyThere),
                answer => return Ok(Answer::Made(answer?.to_string())),
            },
            Join::SetEnvironment(pairs) => chain::set_environment(pairs),
            Join::EnterGroup(group) => {
                let mut file = OpenOptions::new().write(true).open(group.join("cgroup.procs"))?;
                return Ok(Answer::Made(file.write(b"0")?.to_string()));
            }
            Join::Namespaces { pidfd, kinds, .. } => {
                setns(pidfd, kinds.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag()))?;
                // New credentials can undo this, where sysctl fs.suid_dumpable is 1.
                chain::forbid_tracing()?;
            }
            Join::Root { process, root, working_directory } => {
                let at = |call: &str| {
                    let call = call.to_owned();
                    move |errno| Refusal::at(call, errno)
                };
                if let Some(root) = root {
                    fchdir(root).map_err(at(&format!("fchdir(open(\"/proc/{process}/root\"))")))?;
                    chroot(".").map_err(at("chroot(\".\")"))?;
                }
                fchdir(working_directory).map_err(at(&format!("fchdir(open(\"/proc/{process}/cwd\"))")))?;
            }
            Join::DropGroups => setgroups(&[])?,
            Join::SetIds { uid, gid, drop_groups, keep } => {
                if *drop_groups {
                    setgroups(&[]).map_err(|errno| Refusal::at("setgroups(0, [])", errno))?;
                }
                if *keep {
                    chain::keep_capabilities()?;
                }
                let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
                setresgid(gid, gid, gid)
                    .map_err(|errno| Refusal::at(format!("setresgid({gid}, {gid}, {gid})"), errno))?;
                setresuid(uid, uid, uid)
                    .map_err(|errno| Refusal::at(format!("setresuid({uid}, {uid}, {uid})"), errno))?;
                chain::forbid_tracing()?;
            }
            Join::DropBounding(kept) => chain::drop_bounding(*kept)?,
            Join::SetCapabilities(all) => all.set()?,
            Join::SetNoNewPrivs => nix::sys::prctl::set_no_new_privs()?,
            Join::NoteLifeline => state.lifeline = Lifeline::look(),
            Join::RenewLifeline => match &state.lifeline {
                Some(lifeline) => lifeline.renew()?,
                None => return Ok(Answer::AlreadyThere),
            },
        }
        Ok(Answer::zero())
    }

    pub fn hint(&self, refusal: &Refusal) -> Option<String> {
        let errno = refusal.errno?;
        match (self, errno) {
            (Join::EnterGroup(_), Errno::EACCES | Errno::EPERM) => Some(format!(
                "moving a process takes the right to write there and in the group above both: {}",
                be_root("CAP_DAC_OVERRIDE")
            )),
            (Join::EnterGroup(_), Errno::ENOENT) => {
                Some("the process has left it meanwhile, or ended".into())
            }
            (Join::Namespaces { process, .. }, Errno::ESRCH) => {
                Some(format!("process {process} has ended meanwhile"))
            }
            (Join::Namespaces { .. } | Join::Root { .. }, Errno::EPERM) => Some(format!(
                "joining takes root over the user namespace that owns it: {}",
                be_root("CAP_SYS_ADMIN")
            )),
            (Join::SetIds { .. }, Errno::EPERM) => Some(takes("CAP_SETUID")),
            (Join::DropGroups, Errno::EPERM) => Some(takes("CAP_SETGID")),
            (Join::DropBounding(_), Errno::EPERM) => Some(takes("CAP_SETPCAP")),
            (Join::RenewLifeline, Errno::ESRCH) => {
                Some("the process that waited for this one has died".into())
            }
            _ => None,
        }
    }
}
