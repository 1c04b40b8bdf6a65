//! Signals that wait as long as there is something to take back: whoever is told to end undoes first, and then ends by that
//! signal. Only steps that are quick are taken meanwhile, so nobody waits for long.

use crate::signals::ENDING;
use crate::sys;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::Pid;

/// Signals held back, and the mask that was inherited.
pub(crate) struct Held {
    inherited: SigSet,
    signals: Vec<Signal>,
}

impl Held {
    /// Holds back what would end this process. None where nothing would: process 1 of a PID namespace is deaf to these
    /// anyway, and whoever waits for it must not see it await them.
    pub fn begin() -> Option<Held> {
        if Pid::this() == Pid::from_raw(1) {
            return None;
        }
        let mut ending = SigSet::empty();
        ENDING.into_iter().filter(|signal| !sys::is_ignored(*signal)).for_each(|signal| ending.add(signal));
        let mut inherited = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ending), Some(&mut inherited)).ok()?;
        let signals: Vec<Signal> = ending.iter().filter(|signal| !inherited.contains(*signal)).collect();
        (!signals.is_empty()).then_some(Held { inherited, signals })
    }

    /// Whether one of them has come.
    pub fn has_one(&self) -> bool {
        let pending = sys::pending();
        self.signals.iter().any(|signal| pending.contains(*signal))
    }

    /// Gives back the mask that was inherited; what has come ends this process here.
    pub fn end(self) {
        self.let_through();
    }

    /// Likewise in a child, while its parent goes on holding them.
    pub fn let_through(&self) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.inherited), None);
    }
}
