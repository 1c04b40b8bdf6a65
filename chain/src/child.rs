//! A tool that cannot vanish at exec: it forks, waits, passes signals on, and ends as its program did.
//!
//! Parent and child stay in one process group and the terminal is handed over to nobody. Whichever of the two dies
//! first, the other does not stay: the parent reaps the child, and the child has asked for SIGKILL at the parent's death.

use crate::fail::Failure;
use crate::namespace::Kind;
use crate::strace::quoted;
use crate::sys::{self, Arrived};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::CloneFlags;
use nix::sys::prctl::{get_pdeathsig, set_pdeathsig};
use nix::sys::signal::{SigAction, SigSet, SigmaskHow, Signal, kill, raise, sigprocmask};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Signals that end a process unless it has said otherwise.
const ENDING: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];
/// Signals that stop a process unless it has said otherwise.
const STOPPING: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
/// Signals that do nothing to a process that has not asked for them.
const HARMLESS: [Signal; 2] = [Signal::SIGCONT, Signal::SIGWINCH];

/// What goes over the leash between parent and child: one byte each.
const GO: u8 = b'g';
const HELD: u8 = b'h';
const FAILED: u8 = b'f';

/// The parent's side of a fork.
pub(crate) struct Parent {
    /// The child, numbered as the parent sees it.
    pub child: Pid,
    leash: OwnedFd,
    waited_for: SigSet,
}

/// The child's side of a fork.
pub(crate) struct Child {
    leash: OwnedFd,
}

/// Where a fork returns.
pub(crate) enum Side {
    Parent(Parent),
    Child(Child),
}

/// The fork as strace prints it.
pub(crate) fn call(born_into: &[Kind], birthplace: Option<&Path>) -> String {
    let flags: String = born_into.iter().map(|kind| format!("{}|", kind.flag_name())).collect();
    match birthplace {
        Some(group) => format!("clone3({{{flags}CLONE_INTO_CGROUP, SIGCHLD, cgroup={}}})", quoted(group)),
        None => format!("clone({flags}SIGCHLD)"),
    }
}

/// Forks, the child born into new namespaces of these kinds, and into this control group if one is given.
pub(crate) fn fork(born_into: &[Kind], birthplace: Option<&Path>) -> Result<Side, Errno> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let group = birthplace.map(|group| open(group, directory, Mode::empty())).transpose()?;
    let (parents, childs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    let waited_for = signals_to_wait_for();
    let mut inherited = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&waited_for), Some(&mut inherited))?;
    // With SIGCHLD ignored, as some launchers leave it, the kernel would reap the child and forget its status.
    let on_child = sys::set_default(Signal::SIGCHLD)?;
    let flags = born_into.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag());
    let cloned = match group {
        Some(group) => sys::clone_into(flags, group.as_fd()),
        None => sys::clone_process(flags),
    };
    match cloned {
        Ok(Some(child)) => {
            set_pdeathsig(Signal::SIGKILL)?;
            Ok(Side::Parent(Parent { child, leash: parents, waited_for }))
        }
        Ok(None) => {
            drop(parents);
            let child = Child { leash: childs };
            if child.settle(&inherited, &on_child).is_err() {
                child.failed();
                sys::exit_now(crate::fail::TOOL_FAILED);
            }
            Ok(Side::Child(child))
        }
        Err(errno) => {
            sys::restore(Signal::SIGCHLD, &on_child);
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&inherited), None)?;
            Err(errno)
        }
    }
}

/// Those that are not ignored: under nohup(1) a hang-up must not end what it would not have ended.
fn signals_to_wait_for() -> SigSet {
    let mut set = SigSet::empty();
    for signal in ENDING.into_iter().chain(STOPPING).chain(HARMLESS) {
        if !sys::is_ignored(signal) {
            set.add(signal);
        }
    }
    set.add(Signal::SIGCHLD);
    set
}

impl Child {
    /// Ties the child to its parent, and gives it back the signals as they were inherited.
    fn settle(&self, mask: &SigSet, on_child: &SigAction) -> Result<(), Errno> {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before that call took hold; then its end of the leash is closed.
        if recv(self.leash.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) == Ok(0) {
            std::process::exit(i32::from(crate::fail::TOOL_FAILED));
        }
        sys::restore(Signal::SIGCHLD, on_child);
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None)
    }

    /// Waits until the parent says go; ends when there is no parent any more.
    pub fn wait_for_go(&self) {
        if recv(self.leash.as_raw_fd(), &mut [0], MsgFlags::empty()) != Ok(1) {
            std::process::exit(i32::from(crate::fail::TOOL_FAILED));
        }
    }

    /// Tells the parent that its first steps are done, and waits for it to do what it must beside them.
    pub fn hold(&self) {
        let _ = send(self.leash.as_raw_fd(), &[HELD], MsgFlags::MSG_NOSIGNAL);
        self.wait_for_go();
    }

    /// Tells the parent that the program was never reached.
    pub fn failed(&self) {
        let _ = send(self.leash.as_raw_fd(), &[FAILED], MsgFlags::MSG_NOSIGNAL);
    }
}

impl Parent {
    /// Lets the child go on.
    pub fn go(&self) {
        let _ = send(self.leash.as_raw_fd(), &[GO], MsgFlags::MSG_NOSIGNAL);
    }

    /// Waits until the child is held; false when it failed before that.
    pub fn child_is_held(&self) -> bool {
        let mut word = [0];
        recv(self.leash.as_raw_fd(), &mut word, MsgFlags::empty()) == Ok(1) && word[0] == HELD
    }

    /// Ends the child, for a step beside it went wrong.
    pub fn kill(&self) {
        let _ = kill(self.child, Signal::SIGKILL);
        let _ = waitpid(self.child, None);
    }

    /// Waits for the child to end, passing signals on; returns its exit status as a shell would give it.
    ///
    /// # Errors
    /// The wait itself failed.
    pub fn wait(&self) -> Result<Ended, Failure> {
        let mut sent = None;
        loop {
            if let Some(status) = self.reap()? {
                let mut word = [0];
                let failed = recv(self.leash.as_raw_fd(), &mut word, MsgFlags::MSG_DONTWAIT) == Ok(1)
                    && word[0] == FAILED;
                // A signal that came when the program had already ended by itself did not end it.
                let ended_by_us = status.status == status_of_signal(Signal::SIGKILL);
                let ended = sent.filter(|_| ended_by_us).map_or(status, Ended::by);
                return Ok(Ended { failed, ..ended });
            }
            let arrived = match sys::wait_signal(&self.waited_for) {
                Err(Errno::EINTR) => continue,
                other => other.map_err(|errno| Failure::refused("sigwaitinfo()", errno))?,
            };
            if arrived.signal != Signal::SIGCHLD && self.pass_on(&arrived) {
                sent = Some(arrived.signal);
            }
        }
    }

    fn reap(&self) -> Result<Option<Ended>, Failure> {
        match waitpid(self.child, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(_, status)) => {
                Ok(Some(Ended { status: status as u8, signal: None, failed: false }))
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Ended::by(signal))),
            // It stopped by itself, as an editor does at Ctrl-Z: the shell that waits for us has to see it.
            Ok(WaitStatus::Stopped(_, signal)) if STOPPING.contains(&signal) => {
                self.stop_too();
                Ok(None)
            }
            Ok(_) => Ok(None),
            Err(errno) => Err(Failure::refused(format!("waitpid({})", self.child), errno)),
        }
    }

    /// Does to the child what the signal would have done to an ordinary process: PID 1 of a namespace is deaf to every
    /// signal it has no handler for. True when that ended it.
    fn pass_on(&self, arrived: &Arrived) -> bool {
        let Arrived { signal, by_kill } = *arrived;
        let dispositions = Dispositions::of(self.child);
        if dispositions.awaits(signal) {
            // What the terminal sends goes to the whole process group, so the child has it already.
            if by_kill {
                let _ = kill(self.child, signal);
            }
        } else if dispositions.ignored(signal) {
        } else if ENDING.contains(&signal) {
            let _ = kill(self.child, Signal::SIGKILL);
            return true;
        } else if STOPPING.contains(&signal) {
            let _ = kill(self.child, Signal::SIGSTOP);
            self.stop_too();
        }
        false
    }

    /// Stops until somebody continues this process, then lets the child go on as well.
    fn stop_too(&self) {
        let _ = raise(Signal::SIGSTOP);
        let _ = kill(self.child, Signal::SIGCONT);
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As a shell would give it.
    pub status: u8,
    /// What ended it, where a signal did.
    pub signal: Option<Signal>,
    /// It never reached its program.
    pub failed: bool,
}

impl Ended {
    fn by(signal: Signal) -> Ended {
        Ended { status: status_of_signal(signal), signal: Some(signal), failed: false }
    }
}

fn status_of_signal(signal: Signal) -> u8 {
    128 + signal as u8
}

/// A process that does nothing but be in new namespaces until it is dropped: a handle on them, and on their ids.
#[derive(Debug)]
pub struct Holder {
    /// The process, numbered as this one sees it.
    pub pid: Pid,
    /// Its end of the leash closes when this process ends, so it never stays behind.
    _leash: OwnedFd,
}

impl Holder {
    /// Starts one in new namespaces of these kinds: clone(2).
    ///
    /// # Errors
    /// What clone(2) answered.
    pub fn new(kinds: &[Kind]) -> Result<Holder, Errno> {
        let (ours, its) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
        let flags = kinds.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag());
        match sys::clone_process(flags)? {
            Some(pid) => Ok(Holder { pid, _leash: ours }),
            None => {
                drop(ours);
                let _ = recv(its.as_raw_fd(), &mut [0], MsgFlags::empty());
                sys::exit_now(0)
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// The wish to die with the parent, which the kernel forgets when a process changes its ids.
#[derive(Debug)]
pub struct Lifeline {
    signal: Signal,
    /// `/proc/self/stat`, whose fourth field names the parent even where it is in an outer PID namespace.
    stat: File,
    parent: String,
}

impl Lifeline {
    /// Takes note of the signal this process gets when its parent dies, if it has asked for one.
    pub fn look() -> Option<Lifeline> {
        let signal = get_pdeathsig().ok()??;
        let stat = File::open("/proc/self/stat").ok()?;
        let parent = parent_in(&stat)?;
        Some(Lifeline { signal, stat, parent })
    }

    /// The call, as strace prints it.
    pub fn call(&self) -> String {
        format!("prctl(PR_SET_PDEATHSIG, {})", self.signal)
    }

    /// Asks again, and makes sure that the parent did not die in between.
    ///
    /// # Errors
    /// ESRCH: it did.
    pub fn renew(&self) -> Result<(), Errno> {
        set_pdeathsig(self.signal)?;
        if parent_in(&self.stat).as_ref() == Some(&self.parent) { Ok(()) } else { Err(Errno::ESRCH) }
    }
}

fn parent_in(stat: &File) -> Option<String> {
    let mut text = [0; 512];
    let length = stat.read_at(&mut text, 0).ok()?;
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    // The name stands in brackets and may hold any character; state and parent follow the last of them.
    text.rsplit_once(')')?.1.split_whitespace().nth(1).map(str::to_owned)
}

/// What a process does with signals: SigBlk, SigCgt and SigIgn of proc_pid_status(5).
struct Dispositions {
    blocked: u64,
    caught: u64,
    ignored: u64,
}

impl Dispositions {
    fn of(process: Pid) -> Dispositions {
        let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        Dispositions {
            blocked: mask_of(&text, "SigBlk:"),
            caught: mask_of(&text, "SigCgt:"),
            ignored: mask_of(&text, "SigIgn:"),
        }
    }

    /// It has a handler, or has blocked the signal to take it with sigwait(3) or signalfd(2).
    fn awaits(&self, signal: Signal) -> bool {
        (self.caught | self.blocked) >> (signal as u32 - 1) & 1 == 1
    }

    fn ignored(&self, signal: Signal) -> bool {
        self.ignored >> (signal as u32 - 1) & 1 == 1
    }
}

fn mask_of(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masks_of_a_status_file_are_read_bit_by_bit() {
        let status = "SigBlk:\t0000000000000200\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000004002\n";
        let masks = Dispositions {
            blocked: mask_of(status, "SigBlk:"),
            caught: mask_of(status, "SigCgt:"),
            ignored: mask_of(status, "SigIgn:"),
        };
        assert!(
            masks.awaits(Signal::SIGINT) && masks.awaits(Signal::SIGTERM) && !masks.awaits(Signal::SIGHUP)
        );
        assert!(masks.ignored(Signal::SIGPIPE) && !masks.ignored(Signal::SIGINT));
    }
}
