//! Every call nsexec makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and
//! what to do when the kernel says no. Whole families of them have a file of their own.

use crate::cli::Propagation;
use crate::facts::Target;
use crate::ids::IdCall;
use crate::join::Join;
use crate::keep::KeepCall;
use crate::rendezvous::Rendezvous;
use crate::timens::TimeCall;
use chain::{Answer, Kind, Lifeline, Refusal, Shell, be_root, quoted, why_no_namespace};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{setns, unshare};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A call; each variant is named after the system call or the file.
#[derive(Debug)]
pub enum Call {
    /// unshare(2)
    Unshare(Kind),
    /// setns(2)
    JoinNs(Target),
    /// A new time namespace, its clocks and the way in
    Time(TimeCall),
    /// Namespaces that outlive their processes
    Keep(KeepCall),
    /// Ids of a user namespace
    Ids(IdCall),
    /// mount(2) of `/` with nothing but a propagation
    Propagate(Propagation),
    /// PR_SET_PDEATHSIG of prctl(2)
    RenewLifeline(Lifeline),
    /// RTM_NEWLINK of rtnetlink(7)
    LinkUp,
    /// A file below `/proc/sys`
    WriteSysctl { name: &'static str, value: String },
    /// sethostname(2)
    SetHostname(OsString),
    /// mount(2) of a new procfs
    MountProc(PathBuf),
    /// What is done with those who wait outside
    Rendezvous(Rendezvous),
    /// What is done to be with a process
    Join(Join),
}

/// The program's process, as the one who writes it down sees it.
#[derive(Default)]
pub struct State {
    child: Option<Pid>,
    /// The PID file is ours, to be removed by us.
    pub has_pid_file: bool,
    /// What joining another user namespace undoes.
    pub lifeline: Option<Lifeline>,
}

impl State {
    /// The child, or this process where there is no fork.
    pub fn program(&self) -> Pid {
        self.child.unwrap_or_else(Pid::this)
    }
}

fn propagation(how: Propagation) -> (&'static str, MsFlags) {
    match how {
        Propagation::Private => ("MS_PRIVATE", MsFlags::MS_PRIVATE),
        Propagation::Slave => ("MS_SLAVE", MsFlags::MS_SLAVE),
        Propagation::Shared => ("MS_SHARED", MsFlags::MS_SHARED),
        Propagation::Unchanged => ("0", MsFlags::empty()),
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::Unshare(kind) => write!(f, "unshare({})", kind.flag_name()),
            Call::JoinNs(target) => write!(f, "setns({}, {})", quoted(&target.path), target.kind.flag_name()),
            Call::Time(call) => call.fmt(f),
            Call::Keep(call) => call.fmt(f),
            Call::Ids(call) => call.fmt(f),
            Call::Propagate(Propagation::Unchanged) => {
                f.write_str("no call: a copy of a mount is in its peer group")
            }
            Call::Propagate(how) => {
                write!(f, "mount(NULL, \"/\", NULL, MS_REC|{}, NULL)", propagation(*how).0)
            }
            Call::RenewLifeline(lifeline) => f.write_str(&lifeline.call()),
            Call::LinkUp => f.write_str("sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"lo\", IFF_UP})"),
            Call::WriteSysctl { name, value } => write!(f, "write(\"/proc/sys/{name}\", \"{value}\")"),
            Call::SetHostname(name) => write!(f, "sethostname({})", quoted(name)),
            Call::MountProc(at) => {
                write!(f, "mount(\"proc\", {}, \"proc\", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL)", quoted(at))
            }
            Call::Rendezvous(call) => call.fmt(f),
            Call::Join(call) => call.fmt(f),
        }
    }
}

impl chain::Call for Call {
    type State = State;

    fn born(state: &mut State, child: Pid, _at: std::time::Instant) {
        state.child = Some(child);
    }

    fn shell(&self) -> Shell {
        match self {
            Call::Unshare(kind) => Shell::enter(["unshare", &format!("--{}", kind.name())]),
            Call::JoinNs(target) => {
                let mut option = OsString::from(format!("--{}=", target.kind.name()));
                option.push(&target.path);
                let no_fork = (target.kind == Kind::User).then(|| "--preserve-credentials".into());
                Shell::enter(["nsenter".into(), option].into_iter().chain(no_fork))
            }
            Call::Time(call) => call.shell(),
            Call::Keep(call) => call.shell(),
            Call::Ids(call) => call.shell(),
            Call::Propagate(how) => {
                let how = format!("{how:?}").to_lowercase();
                Shell::enter(["unshare", "--propagation", &how])
            }
            Call::LinkUp => Shell::line(["ip", "link", "set", "lo", "up"]),
            Call::WriteSysctl { name, value } => {
                let mut line = chain::join(["echo", value]);
                line.push(format!(" > /proc/sys/{name}"));
                Shell::Line(line)
            }
            Call::SetHostname(name) => Shell::line(["hostname".as_ref(), name.as_os_str()]),
            Call::MountProc(at) => {
                let words = ["mount", "-t", "proc", "-o", "nosuid,nodev,noexec", "proc"].map(OsString::from);
                Shell::line(words.into_iter().chain([at.into()]))
            }
            Call::Rendezvous(call) => call.shell(),
            Call::Join(call) => call.shell(),
            Call::RenewLifeline(_) => Shell::Nothing,
        }
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::Unshare(kind) => unshare(kind.flag())?,
            Call::JoinNs(target) => setns(&target.file, target.kind.flag())?,
            Call::Time(call) => return call.run(),
            Call::Keep(call) => return call.run(state.program()),
            Call::Ids(call) => return call.run(),
            Call::Propagate(Propagation::Unchanged) => return Ok(Answer::AlreadyThere),
            Call::Propagate(how) => {
                let flags = propagation(*how).1 | MsFlags::MS_REC;
                mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
            }
            Call::RenewLifeline(lifeline) => lifeline.renew()?,
            Call::LinkUp => crate::rtnl::set_lo_up()?,
            Call::WriteSysctl { name, value } => {
                return write_once(&Path::new("/proc/sys").join(name), value);
            }
            Call::SetHostname(name) => nix::unistd::sethostname(name)?,
            Call::MountProc(at) => {
                let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
                mount(Some("proc"), at, Some("proc"), flags, None::<&str>)?;
            }
            Call::Rendezvous(call) => return call.run(state),
            Call::Join(call) => return call.run(state),
        }
        Ok(Answer::zero())
    }

    fn is_quick(&self) -> bool {
        match self {
            Call::Rendezvous(call) => call.is_quick(),
            _ => true,
        }
    }

    fn is_self_contained(&self) -> bool {
        match self {
            Call::Unshare(kind) => *kind != Kind::User,
            Call::Propagate(_)
            | Call::LinkUp
            | Call::WriteSysctl { .. }
            | Call::SetHostname(_)
            | Call::MountProc(_) => true,
            _ => false,
        }
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        let errno = refusal.errno?;
        match self {
            Call::Join(call) => call.hint(refusal),
            Call::Unshare(kind) => why_no_namespace(&[*kind], errno),
            Call::JoinNs(target) => why_not_joined(target, errno),
            Call::Time(call) => call.hint(errno),
            Call::Keep(call) => call.hint(errno),
            Call::Ids(call) => call.hint(errno),
            Call::LinkUp | Call::WriteSysctl { .. } | Call::Propagate(_) => apparmor(errno),
            Call::SetHostname(name) if errno == Errno::EINVAL || errno == Errno::ENAMETOOLONG => {
                Some(format!("a host name has at most 64 bytes, this one {}", name.len()))
            }
            Call::MountProc(at) => match errno {
                Errno::ENOENT | Errno::ENOTDIR => Some(format!("{} is not a directory", quoted(at))),
                Errno::EPERM => Some(
                    "a user namespace may mount /proc only over a whole one, and for a PID namespace of its own: add --pid; where /proc has masked files, as in a container, it cannot"
                        .into(),
                ),
                _ => None,
            },
            _ => None,
        }
    }
}

/// One write(2) to a kernel file, which is there and is never created.
pub fn write_once(path: &Path, text: &str) -> Result<Answer, Refusal> {
    let written = OpenOptions::new().write(true).open(path)?.write(text.as_bytes())?;
    Ok(Answer::Made(written.to_string()))
}

fn why_not_joined(target: &Target, errno: Errno) -> Option<String> {
    let kind = target.kind;
    match errno {
        Errno::EINVAL if kind == Kind::User => Some("this process is in that user namespace already".into()),
        Errno::EINVAL => {
            Some(format!("{} is a namespace of another kind than {}", quoted(&target.path), kind.name()))
        }
        Errno::EPERM => Some(format!(
            "joining takes root over the user namespace that owns it: {}, or join that one too with --user=PID",
            be_root("CAP_SYS_ADMIN")
        )),
        _ => None,
    }
}

/// Ubuntu lets user namespaces be made and then refuses all that makes them useful.
pub fn apparmor(errno: Errno) -> Option<String> {
    let switch = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let is_on = std::fs::read_to_string(switch).is_ok_and(|text| text.trim() == "1");
    (is_on && matches!(errno, Errno::EPERM | Errno::EACCES)).then(|| {
        "AppArmor takes the capabilities from unprivileged user namespaces: give nsexec a profile with `userns,`, or sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run it as root".into()
    })
}
