//! Process 1 of a PID namespace where that is not the program: it reaps whoever is orphaned, passes signals on, and ends as
//! the program does. It is the host's, so it holds nothing that a program beside it could want.

use crate::caps::{CapSet, Capabilities};
use crate::child::{Child, STOPPED};
use crate::fail::Failure;
use crate::guard::forbid_tracing;
use crate::room::why_no_process;
use crate::signals::{Arrivals, STOPPING};
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, pipe2, pivot_root, read, write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

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
/// become the program. `tool` is whose failures the reaper's are.
///
/// # Errors
/// No process can be made.
pub(crate) fn divide(child: &Child, tool: &str) -> Result<(), Failure> {
    let failed = |call: &'static str| move |errno: Errno| Failure::refused(call, errno);
    // Before there is anybody who could look; the program's own exec undoes it for the program.
    forbid_tracing().map_err(failed("prctl(PR_SET_DUMPABLE)"))?;
    let mut taken = SigSet::all();
    OWN_MISTAKES.into_iter().for_each(|signal| taken.remove(signal));
    let mut inherited = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&taken), Some(&mut inherited))
        .map_err(failed("sigprocmask()"))?;
    let on_child = sys::set_default(Signal::SIGCHLD).map_err(failed("sigaction(SIGCHLD)"))?;
    // The reaper says there that it has let go of everything: before that there is no program.
    let (alone, is_alone) = pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe2()"))?;
    let refused = |errno| {
        let hint = why_no_process(errno, None);
        hint.into_iter().fold(Failure::refused("clone(SIGCHLD)", errno), Failure::hint)
    };
    match sys::clone_process(CloneFlags::empty()).map_err(refused)? {
        None => {
            drop(is_alone);
            if read(&alone, &mut [0]) != Ok(1) {
                // It has said why.
                sys::exit_now(crate::fail::TOOL_FAILED);
            }
            sys::restore(Signal::SIGCHLD, &on_child);
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&inherited), None).map_err(failed("sigprocmask()"))
        }
        Some(program) => {
            let status = Reaper { program, child, taken, is_alone }.live();
            sys::exit_now(status.unwrap_or_else(|failure| {
                failure.why(WHY_ALONE).report(tool);
                crate::fail::TOOL_FAILED
            }))
        }
    }
}

/// Why the reaper gives up what it has.
const WHY_ALONE: &str =
    "process 1 is the host's and stays beside the program: it keeps nothing that leads out";

struct Reaper<'a> {
    program: Pid,
    child: &'a Child,
    taken: SigSet,
    is_alone: OwnedFd,
}

impl Reaper<'_> {
    /// Reaps until the program has ended, and returns its status; the kernel ends whoever is left with this process.
    fn live(&self) -> Result<u8, Failure> {
        self.let_go().map_err(|(call, errno)| Failure::refused(call, errno))?;
        let mut arrivals = Arrivals::of(&self.taken)?;
        loop {
            // The program may have ended before its end could be a signal here.
            if let Some(status) = self.reap() {
                return Ok(status);
            }
            match poll(&mut [PollFd::new(arrivals.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) {
                Err(Errno::EINTR) | Ok(_) => {}
                Err(errno) => return Err(Failure::refused("poll()", errno)),
            }
            while let Some(arrived) = arrivals.next() {
                // What the terminal sends goes to the whole process group, so the program has it already.
                if arrived.by_kill && arrived.number != Signal::SIGCHLD as i32 {
                    let _ = sys::kill(self.program, arrived.number);
                }
            }
        }
    }

    /// Keeps descriptors 0 to 2 and the leash, an empty root, and of all capabilities the one to signal a program of
    /// another user.
    fn let_go(&self) -> Result<(), (&'static str, Errno)> {
        let failed = |call: &'static str| move |errno: Errno| (call, errno);
        let [words, variables] = sys::take_words();
        retitle(words);
        variables.fill(0);
        leave_the_files()?;
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map_err(failed("prctl(PR_SET_NO_NEW_PRIVS)"))?;
        let permitted = CapSet::permitted().map_err(failed("capget()"))?;
        let kept = CapSet::parse("KILL").unwrap_or(CapSet::NONE).and(permitted);
        let nothing = CapSet::NONE;
        let capabilities =
            Capabilities { effective: kept, permitted: kept, inheritable: nothing, ambient: nothing };
        capabilities.set().map_err(failed("capset()"))?;
        let mut kept = [&self.child.leash, &self.is_alone].map(|fd| fd.as_raw_fd().unsigned_abs());
        kept.sort_unstable();
        for (first, last) in [(3, kept[0] - 1), (kept[0] + 1, kept[1] - 1), (kept[1] + 1, u32::MAX)] {
            sys::close_range(first, last).map_err(failed("close_range()"))?;
        }
        write(&self.is_alone, b"!").map_err(failed("write()"))?;
        let said = self.is_alone.as_raw_fd().unsigned_abs();
        sys::close_range(said, said).map_err(failed("close_range()"))
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

/// /proc/1/cmdline is for everybody to read, and names paths of the host: `init` in its place.
fn retitle(words: &mut [u8]) {
    words.fill(0);
    words.iter_mut().zip(b"init").for_each(|(byte, new)| *byte = *new);
    // With this byte no null the kernel shows what comes before the first one, and not all that was there once
    // (fs/proc/base.c, get_mm_proctitle).
    if let Some(last) = words.last_mut().filter(|last| **last == 0) {
        *last = 1;
    }
}

/// An empty file system as the root of a mount table of its own: whoever may trace process 1 would otherwise find the
/// host's files in /proc/1/root. No directory of the host is in use either for as long as the namespace is.
fn leave_the_files() -> Result<(), (&'static str, Errno)> {
    let failed = |call: &'static str| move |errno: Errno| (call, errno);
    let nothing: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed("unshare(CLONE_NEWNS)"))?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(failed("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)"))?;
    mount(Some("none"), "/", Some("tmpfs"), MsFlags::MS_RDONLY, nothing)
        .map_err(failed("mount(\"none\", \"/\", \"tmpfs\", MS_RDONLY, NULL)"))?;
    // What was mounted over the root is reached by the way up from it.
    chdir("/..").map_err(failed("chdir(\"/..\")"))?;
    pivot_root(".", ".").map_err(failed("pivot_root(\".\", \".\")"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("umount2(\".\", MNT_DETACH)"))?;
    chdir("/").map_err(failed("chdir(\"/\")"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_words_give_way_to_one() {
        let retitled = |words: &[u8]| {
            let mut words = words.to_vec();
            super::retitle(&mut words);
            words
        };
        assert_eq!(retitled(b"nsexec\0--init\0"), b"init\0\0\0\0\0\0\0\0\0\x01");
        assert_eq!(retitled(b""), b"");
    }
}
