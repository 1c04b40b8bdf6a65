//! Every call nsexec makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and
//! what to do when the kernel says no.

use crate::cli::Propagation;
use crate::facts::Target;
use crate::join::Join;
use crate::keep::KeepCall;
use crate::timens::{self, Clock, Offset};
use chain::{Answer, Kind, Lifeline, Refusal, Shell, quoted, why_no_namespace};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{setns, unshare};
use nix::unistd::{Gid, Pid, Uid, setresgid, setresuid};
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The time namespace that the children of this process are born in.
const TIME_FOR_CHILDREN: &str = "/proc/self/ns/time_for_children";

/// A call; each variant is named after the system call or the file.
#[derive(Debug)]
pub enum Call {
    /// unshare(2)
    Unshare(Kind),
    /// setns(2)
    JoinNs(Target),
    /// `/proc/self/timens_offsets`: time_namespaces(7)
    ShiftClock { clock: Clock, offset: Offset },
    /// setns(2) to the time namespace that children would be born in
    EnterTime,
    /// Namespaces that outlive their processes
    Keep(KeepCall),
    /// `/proc/self/setgroups`, which must say deny before an unprivileged gid_map: user_namespaces(7)
    DenySetgroups,
    /// `/proc/self/uid_map` or `gid_map`: one id, 0 inside
    WriteMap { file: &'static str, outside: u32 },
    /// setresgid(2), setresuid(2): id 0 of a user namespace that was joined
    BecomeRoot,
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
    /// The program's PID to a file
    WritePidFile(PathBuf),
    /// unlink(2)
    RemoveFile(PathBuf),
    /// The program's PID to a descriptor, then close(2)
    TellReady(OwnedFd),
    /// read(2) until the end
    WaitForEnd(OwnedFd),
    /// What is done to be with a process
    Join(Join),
}

/// The program's process, as the one who writes it down sees it.
#[derive(Default)]
pub struct State {
    child: Option<Pid>,
    /// The PID file is ours, to be removed by us.
    has_pid_file: bool,
    /// What joining another user namespace undoes.
    pub lifeline: Option<Lifeline>,
}

impl State {
    fn program(&self) -> Pid {
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
            Call::ShiftClock { clock, offset } => {
                write!(f, "write(\"/proc/self/timens_offsets\", \"{} {offset}\")", clock.name())
            }
            Call::EnterTime => write!(f, "setns(\"{TIME_FOR_CHILDREN}\", CLONE_NEWTIME)"),
            Call::Keep(call) => call.fmt(f),
            Call::DenySetgroups => f.write_str("write(\"/proc/self/setgroups\", \"deny\")"),
            Call::WriteMap { file, outside } => write!(f, "write(\"/proc/self/{file}\", \"0 {outside} 1\")"),
            Call::BecomeRoot => f.write_str("setresgid(0, 0, 0)\nsetresuid(0, 0, 0)"),
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
            Call::WritePidFile(path) => write!(f, "write({}, PID)", quoted(path)),
            Call::RemoveFile(path) => write!(f, "unlink({})", quoted(path)),
            Call::TellReady(fd) => {
                write!(f, "write({0:?}, PID)\nclose({0:?})", std::os::fd::AsRawFd::as_raw_fd(fd))
            }
            Call::WaitForEnd(fd) => write!(f, "read({:?})", std::os::fd::AsRawFd::as_raw_fd(fd)),
            Call::Join(call) => call.fmt(f),
        }
    }
}

impl chain::Call for Call {
    type State = State;

    fn born(state: &mut State, child: Pid) {
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
            Call::ShiftClock { clock, offset: Offset { seconds, nanoseconds: 0 } } => {
                Shell::enter(["unshare", &format!("--{}={seconds}", clock.name())])
            }
            // unshare(1) knows whole seconds only.
            Call::ShiftClock { .. } => Shell::Refuse,
            Call::EnterTime => Shell::enter(["nsenter", &format!("--time={TIME_FOR_CHILDREN}")]),
            Call::Keep(call) => call.shell(),
            // --map-root-user does all three.
            Call::WriteMap { file: "uid_map", .. } => Shell::enter(["unshare", "--map-root-user"]),
            Call::DenySetgroups | Call::WriteMap { .. } => Shell::Implied,
            Call::BecomeRoot => Shell::enter(["nsenter", "--setuid=0", "--setgid=0"]),
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
            Call::WaitForEnd(fd) => {
                Shell::Line(format!("cat <&{} >/dev/null", std::os::fd::AsRawFd::as_raw_fd(fd)).into())
            }
            Call::Join(call) => call.shell(),
            Call::RenewLifeline(_) | Call::WritePidFile(_) | Call::RemoveFile(_) | Call::TellReady(_) => {
                Shell::Nothing
            }
        }
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::Unshare(kind) => unshare(kind.flag())?,
            Call::JoinNs(target) => setns(&target.file, target.kind.flag())?,
            Call::ShiftClock { clock, offset } => {
                let text = format!("{} {offset}", clock.name());
                return write_once(Path::new("/proc/self/timens_offsets"), &text);
            }
            Call::EnterTime => setns(File::open(TIME_FOR_CHILDREN)?, Kind::Time.flag())?,
            Call::Keep(call) => return call.run(state.program()),
            Call::DenySetgroups => return write_once(Path::new("/proc/self/setgroups"), "deny"),
            Call::WriteMap { file, outside } => {
                return write_once(&Path::new("/proc/self").join(file), &format!("0 {outside} 1"));
            }
            Call::BecomeRoot => match give_up_groups()
                .and_then(|()| setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)))
            {
                // The namespace has no id 0: the caller keeps the id it has.
                Err(Errno::EINVAL) => return Ok(Answer::AlreadyThere),
                answer => {
                    answer.and_then(|()| setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)))?
                }
            },
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
            Call::WritePidFile(path) => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .custom_flags(libc::O_NOFOLLOW)
                    .open(path)?;
                state.has_pid_file = true;
                file.write_all(format!("{}\n", state.program()).as_bytes())?;
            }
            Call::RemoveFile(_) if !state.has_pid_file => return Ok(Answer::AlreadyThere),
            Call::RemoveFile(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(Answer::AlreadyThere);
                }
                answer => answer?,
            },
            Call::TellReady(fd) => {
                File::from(fd.try_clone()?).write_all(format!("{}\n", state.program()).as_bytes())?;
            }
            Call::Join(call) => return call.run(state),
            Call::WaitForEnd(fd) => {
                let mut file = File::from(fd.try_clone()?);
                let mut buffer = [0; 512];
                while file.read(&mut buffer)? > 0 {}
            }
        }
        Ok(Answer::zero())
    }

    fn is_quick(&self) -> bool {
        !matches!(self, Call::WaitForEnd(_) | Call::TellReady(_))
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
            Call::ShiftClock { .. } => timens::why_not_shifted(errno),
            Call::Keep(call) => call.hint(errno),
            Call::DenySetgroups | Call::WriteMap { .. } => why_no_map(errno),
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

/// setgroups(2): the groups of the caller mean nothing in there, and where they may not be given up they stay.
fn give_up_groups() -> Result<(), Errno> {
    match nix::unistd::setgroups(&[]) {
        Err(Errno::EPERM) => Ok(()),
        answer => answer,
    }
}

/// One write(2) to a kernel file, which is there and is never created.
fn write_once(path: &Path, text: &str) -> Result<Answer, Refusal> {
    let written = OpenOptions::new().write(true).open(path)?.write(text.as_bytes())?;
    Ok(Answer::Made(written.to_string()))
}

fn why_not_joined(target: &Target, errno: Errno) -> Option<String> {
    let kind = target.kind;
    match errno {
        Errno::EINVAL if kind == Kind::User => Some("this process is in that user namespace already".into()),
        Errno::EINVAL => Some(format!("{} is a namespace of another kind than {}", quoted(&target.path), kind.name())),
        Errno::EPERM => Some("joining takes root over the user namespace that owns it: run it as root, or join that one too with --user=PID".into()),
        _ => None,
    }
}

fn why_no_map(errno: Errno) -> Option<String> {
    match errno {
        Errno::EPERM | Errno::EACCES => apparmor(errno).or_else(|| {
            Some("the kernel lets a process without privileges map its own ids only, and only once".into())
        }),
        _ => None,
    }
}

/// Ubuntu lets user namespaces be made and then refuses all that makes them useful.
fn apparmor(errno: Errno) -> Option<String> {
    let switch = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let is_on = std::fs::read_to_string(switch).is_ok_and(|text| text.trim() == "1");
    (is_on && matches!(errno, Errno::EPERM | Errno::EACCES)).then(|| {
        "AppArmor takes the capabilities from unprivileged user namespaces: give nsexec a profile with `userns,`, or sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run it as root".into()
    })
}
