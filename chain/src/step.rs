//! A step: a typed call with its why, what the kernel can answer to it, and how to take it back.

use crate::fail::{Failure, in_words};
use crate::shell::Shell;
use crate::wait::Ended;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::fmt::Display;
use std::time::Instant;

/// One request to the kernel, known before it is made. `Display` is the call as strace(1) prints it.
pub trait Call: Display {
    /// What one call makes for another: a loop device, a mount, the child's number.
    type State: Default;

    /// The classic command that does the same.
    fn shell(&self) -> Shell;

    /// Makes the request. It may retry, never choose.
    ///
    /// # Errors
    /// The kernel refused.
    fn run(&self, state: &mut Self::State) -> Result<Answer, Refusal>;

    /// It waits for nobody and takes next to no time, so that a signal can wait for it.
    fn is_quick(&self) -> bool {
        false
    }

    /// It is quick, keeps nothing for others, uses nothing that others have kept, and leaves the process's user namespace
    /// and ids alone: its process may share its memory with one that stands still meanwhile, and another may do it all again.
    fn is_self_contained(&self) -> bool {
        false
    }

    /// The cause and the cure, where the machine can be asked for them; it may look, never touch.
    fn hint(&self, _refusal: &Refusal) -> Option<String> {
        None
    }

    /// Takes note of the child and when it was born, for the steps beside it and after it.
    fn born(_state: &mut Self::State, _child: Pid, _at: Instant) {}

    /// Takes note of how the child ended, for the steps after it.
    fn ended(_state: &mut Self::State, _how: &Ended) {}
}

/// What the kernel answered to a call that was not refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; the result as strace prints it.
    Made(String),
    /// Nothing to do: it was so already, so there is nothing to undo either.
    AlreadyThere,
}

impl Answer {
    /// Done, and the call returned 0.
    pub fn zero() -> Answer {
        Answer::Made("0".into())
    }
}

/// The kernel's no.
#[derive(Debug)]
pub struct Refusal {
    /// What it answered; none where a program we ran said no.
    pub errno: Option<Errno>,
    /// The call that was refused, where the step makes several.
    pub call: Option<String>,
    /// What was said beside the errno: the kernel's extended text, a failed command's own words.
    pub said: String,
}

impl Refusal {
    /// One call of several was refused.
    pub fn at(call: impl Into<String>, errno: Errno) -> Refusal {
        Refusal { errno: Some(errno), call: Some(call.into()), said: String::new() }
    }

    /// Something other than an errno says no.
    pub fn said(words: impl Into<String>) -> Refusal {
        Refusal { errno: None, call: None, said: words.into() }
    }

    /// The same as a failure, for what is looked at before there is a plan.
    pub fn failure(&self, call: impl Display) -> Failure {
        let call = self.call.clone().unwrap_or_else(|| call.to_string());
        Failure::new(format!("{call}: {}", self.in_words()))
    }

    pub(crate) fn in_words(&self) -> String {
        match (self.errno, self.said.as_str()) {
            (Some(errno), "") => in_words(errno),
            (Some(errno), said) => format!("{}: {said}", in_words(errno)),
            (None, said) => said.into(),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal { errno: Some(errno), call: None, said: String::new() }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(number) => Errno::from_raw(number).into(),
            None => Refusal::said(error.to_string()),
        }
    }
}

/// One call and the reason for it.
#[derive(Debug)]
pub struct Step<C> {
    pub(crate) why: &'static str,
    pub(crate) call: C,
    pub(crate) undo: Option<C>,
    pub(crate) is_optional: bool,
}

impl<C: Call> Step<C> {
    /// A step that must succeed.
    pub fn new(why: &'static str, call: C) -> Self {
        Step { why, call, undo: None, is_optional: false }
    }

    /// What takes it back when a later step fails.
    pub fn undo(self, call: C) -> Self {
        Step { undo: Some(call), ..self }
    }

    /// A step whose failure is a warning.
    pub fn optional(self) -> Self {
        Step { is_optional: true, ..self }
    }

    /// The call as strace prints it, for tests to compare.
    pub fn text(&self) -> String {
        self.call.to_string()
    }

    /// The classic command that does the same, likewise.
    pub fn shell(&self) -> Shell {
        self.call.shell()
    }

    pub(crate) fn failure(&self, refusal: &Refusal) -> Failure {
        let call = refusal.call.clone().unwrap_or_else(|| self.call.to_string().replace('\n', "; "));
        let failure = Failure::new(format!("{call}: {}", refusal.in_words())).why(self.why);
        match self.call.hint(refusal) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
