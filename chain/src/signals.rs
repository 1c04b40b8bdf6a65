//! Signals as a process that waits for another takes them: which, from where, and what the other does with them.

use crate::fail::Failure;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::os::fd::{AsFd, BorrowedFd};

/// Signals that end a process unless it has said otherwise.
pub(crate) const ENDING: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    // A terminal in O_ASYNC sends it to the whole foreground group, which the program's parent is of as well.
    Signal::SIGIO,
];
/// Signals that stop a process unless it has said otherwise.
pub(crate) const STOPPING: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
/// Signals that do nothing to a process that has not asked for them.
pub(crate) const HARMLESS: [Signal; 2] = [Signal::SIGCONT, Signal::SIGWINCH];

/// What the kernel sends to a waiting parent whose own parent has died: one that it never sends by itself. Like any signal
/// that is blocked it arrives though it be ignored.
pub(crate) const ORPHANED: Signal = Signal::SIGSTKFLT;

/// Those that are not ignored: under nohup(1) a hang-up must not end what it would not have ended. SIGCONT tells whether
/// this process was stopped, so it is always among them.
pub(crate) fn to_wait_for() -> SigSet {
    let mut set = SigSet::empty();
    for signal in ENDING.into_iter().chain(STOPPING).chain(HARMLESS) {
        if !sys::is_ignored(signal) {
            set.add(signal);
        }
    }
    set.add(Signal::SIGCONT);
    set.add(Signal::SIGCHLD);
    set.add(ORPHANED);
    set
}

/// A signal that was waited for.
pub(crate) struct Arrived {
    pub number: i32,
    /// Sent by a process with kill(2) or sigqueue(3), not by the terminal or the kernel.
    pub by_kill: bool,
}

impl Arrived {
    /// Its name; those for real-time programs have none.
    pub fn signal(&self) -> Option<Signal> {
        Signal::try_from(self.number).ok()
    }
}

/// The signals of a set, all of them blocked, as they come: signalfd(2). sigwaitinfo(2) would unblock them while it waits,
/// and a process that looks whether this one awaits a signal would see now one thing and now the other.
pub(crate) struct Arrivals(SignalFd);

impl Arrivals {
    /// Begins to take them.
    pub fn of(set: &SigSet) -> Result<Arrivals, Failure> {
        SignalFd::with_flags(set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map(Arrivals)
            .map_err(|errno| Failure::refused("signalfd()", errno))
    }

    /// The next that has come, if one has.
    pub fn next(&mut self) -> Option<Arrived> {
        let info = self.0.read_signal().ok()??;
        Some(Arrived { number: info.ssi_signo as i32, by_kill: info.ssi_code <= libc::SI_USER })
    }
}

impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Stops this process, as Ctrl-Z stops one, until somebody continues it. Whoever waits for it, another of our tools perhaps,
/// sees SIGTSTP as the cause.
pub(crate) fn stop_this_process() -> Result<(), Errno> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTSTP);
    // It is blocked, so this is pending; and any SIGCONT that was is so no more.
    raise(Signal::SIGTSTP)?;
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&set), None)?;
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    // Nothing stops a process of an orphaned process group but this: then SIGCONT has not come.
    if !sys::pending().contains(Signal::SIGCONT) {
        raise(Signal::SIGSTOP)?;
    }
    Ok(())
}

/// Whether there may be a terminal at which somebody could stop this process and those of its group: tty(4). Where nobody
/// can be asked, as in a root without /dev/tty, there may.
pub(crate) fn may_have_terminal() -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = open("/dev/tty", flags, Mode::empty());
    opened.err() != Some(Errno::ENXIO)
}

/// What a process does with signals: SigBlk, SigCgt and SigIgn of proc_pid_status(5).
pub(crate) struct Dispositions {
    blocked: u64,
    caught: u64,
    ignored: u64,
}

impl Dispositions {
    pub fn of(process: Pid) -> Dispositions {
        let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        Dispositions {
            blocked: mask_of(&text, "SigBlk:"),
            caught: mask_of(&text, "SigCgt:"),
            ignored: mask_of(&text, "SigIgn:"),
        }
    }

    /// It has a handler, or has blocked the signal to take it with sigwait(3) or signalfd(2).
    pub fn awaits(&self, signal: Signal) -> bool {
        (self.caught | self.blocked) >> (signal as u32 - 1) & 1 == 1
    }

    pub fn ignored(&self, signal: Signal) -> bool {
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
