//! What ties processes of ours to each other: a process that only holds namespaces, and the wish to die with the parent.

use crate::namespace::Kind;
use crate::signals::ORPHANED;
use crate::sys;
use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::prctl::{get_pdeathsig, set_pdeathsig};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

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

/// What a process that waits for its child asks for at its own parent's death, by PR_SET_PDEATHSIG of prctl(2). One that has
/// something to clear up takes a signal, ends the child and does so; SIGKILL would leave no time for that, but it also ends
/// who is stopped or frozen.
pub(crate) fn at_parents_death(clears_up: bool) -> Signal {
    if clears_up { ORPHANED } else { Signal::SIGKILL }
}

/// Where it is about to wait for others it dies with its parent instead.
///
/// # Errors
/// ESRCH: its parent is dead already.
pub fn die_with_parent() -> Result<(), Errno> {
    set_pdeathsig(Signal::SIGKILL)?;
    if sys::pending().contains(ORPHANED) { Err(Errno::ESRCH) } else { Ok(()) }
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
