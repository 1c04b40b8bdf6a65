//! A parent of ours while its child runs: it waits, passes signals on, and stops and continues with the child. Told that its
//! own parent has died it ends the child at once, and lives on for no more than what comes after that.

use crate::child::{FAILED, Parent, STOPPED};
use crate::fail::Failure;
use crate::lifeline::die_with_parent;
use crate::signals::{Arrivals, Dispositions, ENDING, ORPHANED, STOPPING, stop_this_process};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::socket::{MsgFlags, recv};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::os::fd::{AsFd, AsRawFd};

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

    /// None where it only stopped.
    fn of(status: WaitStatus) -> Option<Ended> {
        match status {
            WaitStatus::Exited(_, status) => {
                Some(Ended { status: status as u8, signal: None, failed: false })
            }
            WaitStatus::Signaled(_, signal, _) => Some(Ended::by(signal)),
            _ => None,
        }
    }
}

fn status_of_signal(signal: Signal) -> u8 {
    128 + signal as u8
}

/// What the child has said over the leash.
#[derive(Default)]
struct Said {
    failed: bool,
    /// Nobody is at its other end any more: the program runs.
    nothing_more: bool,
}

impl Parent {
    /// Waits for the child to end, passing signals on; returns its exit status as a shell would give it.
    ///
    /// # Errors
    /// The wait itself failed.
    pub fn wait(&self) -> Result<Ended, Failure> {
        let mut arrivals = Arrivals::of(&self.waited_for)?;
        let mut said = Said::default();
        let mut sent = None;
        loop {
            if let Some(status) = self.reap()? {
                self.listen(&mut said);
                // A signal that came when the program had already ended by itself did not end it.
                let ended_by_us = status.status == status_of_signal(Signal::SIGKILL);
                let ended = sent.filter(|_| ended_by_us).map_or(status, Ended::by);
                return Ok(Ended { failed: said.failed, ..ended });
            }
            let ready = PollFlags::POLLIN;
            let mut both = [PollFd::new(arrivals.as_fd(), ready), PollFd::new(self.leash.as_fd(), ready)];
            let heard = if said.nothing_more { &mut both[..1] } else { &mut both[..] };
            match poll(heard, PollTimeout::NONE) {
                Err(Errno::EINTR) | Ok(_) => {}
                Err(errno) => return Err(Failure::refused("poll()", errno)),
            }
            self.listen(&mut said);
            while let Some(arrived) = arrivals.next() {
                // Those it waits for all have names.
                let signal = arrived.signal().filter(|signal| *signal != Signal::SIGCHLD);
                if signal == Some(ORPHANED) {
                    let ended = self.end_orphaned()?;
                    self.listen(&mut said);
                    return Ok(Ended { failed: said.failed, ..ended });
                }
                sent = signal.filter(|signal| self.pass_on(*signal, arrived.by_kill)).or(sent);
            }
        }
    }

    /// Ends the child as the kernel ends it where this process dies, so that nothing can outlive their parent but what is
    /// left to be done here.
    fn end_orphaned(&self) -> Result<Ended, Failure> {
        let _ = kill(self.child, Signal::SIGKILL);
        // It stays pending, for whoever would wait for somebody afterwards.
        let _ = raise(ORPHANED);
        loop {
            match waitpid(self.child, None) {
                Ok(status) => {
                    if let Some(ended) = Ended::of(status) {
                        return Ok(ended);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Failure::refused(format!("waitpid({})", self.child), errno)),
            }
        }
    }

    /// Takes what the child has said, without waiting for it.
    fn listen(&self, said: &mut Said) {
        let mut word = [0];
        while !said.nothing_more {
            match recv(self.leash.as_raw_fd(), &mut word, MsgFlags::MSG_DONTWAIT) {
                Ok(1) if word[0] == FAILED => said.failed = true,
                Ok(1) if word[0] == STOPPED => self.stop_too(),
                Ok(1) => {}
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                _ => said.nothing_more = true,
            }
        }
    }

    fn reap(&self) -> Result<Option<Ended>, Failure> {
        match waitpid(self.child, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            // It stopped by itself, as an editor does at Ctrl-Z: the shell that waits for us has to see it.
            Ok(WaitStatus::Stopped(_, signal)) if STOPPING.contains(&signal) => {
                self.stop_too();
                Ok(None)
            }
            Ok(status) => Ok(Ended::of(status)),
            Err(errno) => Err(Failure::refused(format!("waitpid({})", self.child), errno)),
        }
    }

    /// Does to the child what the signal would have done to an ordinary process: PID 1 of a namespace is deaf to every
    /// signal it has no handler for. True when that ended it.
    fn pass_on(&self, signal: Signal, by_kill: bool) -> bool {
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

    /// Stops until somebody continues this process, then lets the child go on as well. Stopped it would not hear of its
    /// parent's death, so that is its own for as long.
    fn stop_too(&self) {
        if die_with_parent().is_ok() {
            let _ = stop_this_process();
        }
        let _ = set_pdeathsig(self.at_parents_death);
        let _ = kill(self.child, Signal::SIGCONT);
    }
}
