//! A tool that cannot vanish at exec: it forks, waits, passes signals on, and ends as its program did.
//!
//! Parent and child stay in one process group and the terminal is handed over to nobody. Whichever of the two dies
//! first, the other does not stay: the parent reaps the child, and the child has asked for SIGKILL at the parent's death.
//! So has the parent at the death of its own; where it has something to clear up it is told instead, and ends the child
//! itself.

use crate::namespace::Kind;
use crate::signals;
use crate::strace::quoted;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::CloneFlags;
use nix::sys::prctl::{get_pdeathsig, set_pdeathsig};
use nix::sys::signal::{SigAction, SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, close};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

/// What goes over the leash between parent and child: one byte each.
const GO: u8 = b'g';
const HELD: u8 = b'h';
pub(crate) const FAILED: u8 = b'f';
/// The program has stopped, says the reaper, which cannot be stopped itself.
pub(crate) const STOPPED: u8 = b's';

/// The parent's side of a fork.
pub(crate) struct Parent {
    /// The child, numbered as the parent sees it.
    pub child: Pid,
    /// Just before there was a child: it may be over already when this process hears of it.
    pub born: Instant,
    pub(crate) leash: OwnedFd,
    pub(crate) waited_for: SigSet,
    /// What the kernel sends it when its own parent dies.
    pub(crate) at_parents_death: Signal,
}

/// The child's side of a fork.
pub(crate) struct Child {
    pub(crate) leash: OwnedFd,
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

/// What a parent to be has done to its signals, and what it does to them again where there is no child.
struct Ready {
    waited_for: SigSet,
    inherited: SigSet,
    on_child: SigAction,
    wish: Option<Signal>,
}

impl Ready {
    /// Before there is a child: from then on its parent gets `at_parents_death` when its own dies.
    fn to_fork(at_parents_death: Signal) -> Result<Ready, Errno> {
        let waited_for = signals::to_wait_for();
        let mut inherited = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&waited_for), Some(&mut inherited))?;
        // With SIGCHLD ignored, as some launchers leave it, the kernel would reap the child and forget its status.
        let on_child = sys::set_default(Signal::SIGCHLD)?;
        let wish = get_pdeathsig()?;
        set_pdeathsig(at_parents_death)?;
        Ok(Ready { waited_for, inherited, on_child, wish })
    }

    fn take_back(&self) -> Result<(), Errno> {
        set_pdeathsig(self.wish)?;
        sys::restore(Signal::SIGCHLD, &self.on_child);
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.inherited), None)
    }
}

/// A child that lives in this process's memory until it is its program, while this process stands still; nothing is copied.
/// A signal to this process waits as long, SIGKILL apart: for a program on a file system that does not answer, say.
/// None where there is no such child: `life` came back, or the kernel makes none. Older ones make none of a process whose
/// children are to be born in another time namespace.
fn born_in_place(
    flags: CloneFlags,
    life: &mut dyn FnMut(),
    (parents, child): (&OwnedFd, &Child),
    ready: &Ready,
) -> Option<Pid> {
    let mut came_back = false;
    let cloned = sys::clone_in_place(flags, || {
        let settled =
            close(parents.as_raw_fd()).and_then(|()| child.settle(&ready.inherited, &ready.on_child));
        if settled.is_ok() {
            life();
        }
        came_back = true;
        crate::fail::TOOL_FAILED
    });
    let pid = cloned.ok()?;
    if came_back {
        let _ = waitpid(pid, None);
        return None;
    }
    Some(pid)
}

/// Forks, the child born into new namespaces of these kinds, and into this control group if one is given. From before there
/// is a child on, its parent gets `at_parents_death` when its own dies.
///
/// `life_in_place`, if given, is tried first: the child's life up to its exec in this process's memory. It must leave nothing
/// there, for the descriptors it opens are the child's alone, and it comes back only where something was refused.
pub(crate) fn fork(
    born_into: &[Kind],
    birthplace: Option<&Path>,
    at_parents_death: Signal,
    life_in_place: Option<&mut dyn FnMut()>,
) -> Result<Side, Errno> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let group = birthplace.map(|group| open(group, directory, Mode::empty())).transpose()?;
    let (parents, childs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    let child = Child { leash: childs };
    let ready = Ready::to_fork(at_parents_death)?;
    let flags = born_into.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag());
    let born = Instant::now();
    let in_place = life_in_place.and_then(|life| born_in_place(flags, life, (&parents, &child), &ready));
    let cloned = match (in_place, group) {
        (Some(pid), _) => Ok(Some(pid)),
        (None, Some(group)) => sys::clone_into(flags, group.as_fd()),
        (None, None) => sys::clone_process(flags),
    };
    match cloned {
        Ok(Some(child)) => {
            let waited_for = ready.waited_for;
            Ok(Side::Parent(Parent { child, born, leash: parents, waited_for, at_parents_death }))
        }
        Ok(None) => {
            drop(parents);
            if child.settle(&ready.inherited, &ready.on_child).is_err() {
                child.failed();
                sys::exit_now(crate::fail::TOOL_FAILED);
            }
            Ok(Side::Child(child))
        }
        Err(errno) => {
            ready.take_back()?;
            Err(errno)
        }
    }
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
        self.say(FAILED);
    }

    /// Says a word to the parent.
    pub fn say(&self, word: u8) {
        let _ = send(self.leash.as_raw_fd(), &[word], MsgFlags::MSG_NOSIGNAL);
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
}
