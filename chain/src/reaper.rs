//! Process 1 of a PID namespace where that is not the program: it reaps whoever is orphaned, passes signals on, and ends as
//! the program does. It is the host's, so it holds nothing that a program beside it could want.

use crate::caps::{CapSet, Capabilities};
use crate::child::{Child, STOPPED};
use crate::fail::Failure;
use crate::guard::forbid_tracing;
use crate::signals::{Arrivals, STOPPING};
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::{AsFd, AsRawFd};

/// The call that makes the program's process, as strace prints it.
pub(crate) const CALL: &str = "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)\nclone(SIGCHLD)";

/// What the kernel sends to a process for a mistake of its own: blocked, that would end it all the same.
const OWN_MISTAKES: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGABRT,
];

/// Divides this process, process 1, in two: the reaper, in which this does not return, and its child, which goes on to
/// become the program.
///
/// # Errors
/// No process can be made.
pub(crate) fn divide(child: &Child) -> Result<(), Failure> {
    let failed = |call: &'static str| move |errno: Errno| Failure::refused(call, errno);
    // Before there is anybody who could look; the program's own exec undoes it for the program.
    forbid_tracing().map_err(failed("prctl(PR_SET_DUMPABLE)"))?;
    let mut taken = SigSet::all();
    OWN_MISTAKES.into_iter().for_each(|signal| taken.remove(signal));
    let mut inherited = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&taken), Some(&mut inherited))
        .map_err(failed("sigprocmask()"))?;
    let on_child = sys::set_default(Signal::SIGCHLD).map_err(failed("sigaction(SIGCHLD)"))?;
    match sys::clone_process(nix::sched::CloneFlags::empty()).map_err(failed("clone(SIGCHLD)"))? {
        None => {
            sys::restore(Signal::SIGCHLD, &on_child);
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&inherited), None).map_err(failed("sigprocmask()"))
        }
        Some(program) => {
            let status = Reaper { program, child, taken }.live();
            sys::exit_now(status.unwrap_or(crate::fail::TOOL_FAILED))
        }
    }
}

struct Reaper<'a> {
    program: Pid,
    child: &'a Child,
    taken: SigSet,
}

impl Reaper<'_> {
    /// Reaps until the program has ended, and returns its status; the kernel ends whoever is left with this process.
    fn live(&self) -> Result<u8, Errno> {
        self.let_go()?;
        let mut arrivals = Arrivals::of(&self.taken).map_err(|_| Errno::last())?;
        loop {
            // The program may have ended before its end could be a signal here.
            if let Some(status) = self.reap() {
                return Ok(status);
            }
            match poll(&mut [PollFd::new(arrivals.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) {
                Err(Errno::EINTR) | Ok(_) => {}
                Err(errno) => return Err(errno),
            }
            while let Some(arrived) = arrivals.next() {
                // What the terminal sends goes to the whole process group, so the program has it already.
                if arrived.by_kill && arrived.signal != Signal::SIGCHLD {
                    let _ = kill(self.program, arrived.signal);
                }
            }
        }
    }

    /// Keeps descriptors 0 to 2 and the leash, and of all capabilities the one to signal a program of another user.
    fn let_go(&self) -> Result<(), Errno> {
        let leash = self.child.leash.as_raw_fd().unsigned_abs();
        sys::close_range(3, leash - 1)?;
        sys::close_range(leash + 1, u32::MAX)?;
        // A directory of the host would be in use as long as the namespace is.
        nix::unistd::chdir("/")?;
        let kept = CapSet::parse("KILL").unwrap_or(CapSet::NONE).and(CapSet::permitted()?);
        let nothing = CapSet::NONE;
        Capabilities { effective: kept, permitted: kept, inheritable: nothing, ambient: nothing }.set()
    }

    /// Takes note of all who have ended; the status of the program if it is among them.
    fn reap(&self) -> Option<u8> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Exited(process, status)) if process == self.program => {
                    return Some(status as u8);
                }
                Ok(WaitStatus::Signaled(process, signal, _)) if process == self.program => {
                    return Some(128 + signal as u8);
                }
                // Process 1 cannot be stopped by itself: whoever waits for it outside is, and has this process tell the
                // program to go on.
                Ok(WaitStatus::Stopped(process, signal))
                    if process == self.program && STOPPING.contains(&signal) =>
                {
                    self.child.say(STOPPED);
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
