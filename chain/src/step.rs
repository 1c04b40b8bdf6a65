//! A plan: typed calls in the order they will be made, each with its why; and the one runner of all plans.

use crate::child::{self, Side};
use crate::exec::{self, Program};
use crate::fail::{Failure, in_words};
use crate::namespace::Kind;
use crate::narrate::{Made, Mode, Narrator, say};
use crate::shell::{Script, Shell};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::fmt::Display;
use std::io::Write;

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

    /// The cause and the cure, where the machine can be asked for them; it may look, never touch.
    fn hint(&self, _refusal: &Refusal) -> Option<String> {
        None
    }

    /// Takes note of the child, for the steps beside it.
    fn born(_state: &mut Self::State, _child: Pid) {}
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

    fn in_words(&self) -> String {
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
    why: &'static str,
    call: C,
    undo: Option<C>,
    is_optional: bool,
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

    fn failure(&self, refusal: &Refusal) -> Failure {
        let call = refusal.call.clone().unwrap_or_else(|| self.call.to_string().replace('\n', "; "));
        let failure = Failure::new(format!("{call}: {}", refusal.in_words())).why(self.why);
        match self.call.hint(refusal) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Where a plan splits in two processes.
#[derive(Debug)]
pub struct Fork<C> {
    /// Why a second process is needed.
    pub why: &'static str,
    /// The namespaces the child is born into.
    pub born_into: Vec<Kind>,
    /// The child's steps before it is held.
    pub first: Vec<Step<C>>,
    /// The parent's steps while the child is held.
    pub beside: Vec<Step<C>>,
    /// The child's steps up to its program.
    pub child: Vec<Step<C>>,
    /// The parent's steps once the child has ended, however that went.
    pub after: Vec<Step<C>>,
}

/// Everything a tool is going to do, decided before any of it is done.
#[derive(Debug)]
pub struct Plan<C> {
    /// The steps before a fork, or all of them where there is none.
    pub steps: Vec<Step<C>>,
    /// Where the plan splits, if it does.
    pub fork: Option<Fork<C>>,
    /// The program the tool becomes, if it becomes one.
    pub program: Option<Program>,
    /// What the next tool finds made by this one.
    pub made: Made,
}

impl<C: Call> Plan<C> {
    /// A plan of these steps that becomes no program.
    pub fn of(steps: Vec<Step<C>>) -> Plan<C> {
        Plan { steps, fork: None, program: None, made: Made::default() }
    }

    /// Every call with its why, in the order of time, for tests to compare.
    pub fn story(&self) -> Vec<String> {
        let forked = self.fork.iter().flat_map(|fork| {
            let after_birth = [&fork.first, &fork.beside, &fork.child, &fork.after].into_iter().flatten();
            std::iter::once(child::call(&fork.born_into)).chain(after_birth.map(|step| step.call.to_string()))
        });
        self.steps.iter().map(|step| step.call.to_string()).chain(forked).collect()
    }

    /// Does it, tells it, or writes it down. Returns the exit status, and only where no program was become.
    ///
    /// # Errors
    /// A step was refused; what had been made is undone.
    pub fn carry_out(self, tool: &'static str, mode: &Mode) -> Result<u8, Failure> {
        match mode {
            Mode::DryRun(made) => self.write_down(tool, mode, made),
            _ => self.perform(tool, mode),
        }
    }

    fn length(&self) -> usize {
        let forked = self
            .fork
            .as_ref()
            .map_or(0, |fork| 1 + fork.first.len() + fork.beside.len() + fork.child.len() + fork.after.len());
        self.steps.len() + forked + usize::from(self.program.is_some())
    }

    fn perform(self, tool: &'static str, mode: &Mode) -> Result<u8, Failure> {
        let narrator = Narrator { on: *mode == Mode::Explain, tool, total: self.length(), next: 1 };
        let mut run = Run { narrator, state: C::State::default(), to_undo: Vec::new() };
        run.steps(self.steps)?;
        match self.fork {
            None => run.become_program(self.program.as_ref(), mode, &self.made),
            Some(fork) => run.fork(fork, self.program.as_ref(), mode, &self.made),
        }
    }

    fn write_down(self, tool: &'static str, mode: &Mode, outer: &Made) -> Result<u8, Failure> {
        let label = match outer.namespaces.len() {
            0 => format!("END_{tool}"),
            depth => format!("END_{tool}_{depth}"),
        };
        let is_last = self.fork.as_ref().is_none_or(|fork| fork.after.is_empty());
        let mut script = Script::new(label, is_last);
        let mut add = |steps: &[Step<C>]| {
            for step in steps {
                script.step(step.why, step.call.shell());
            }
        };
        add(&self.steps);
        let mut after = Vec::new();
        if let Some(fork) = self.fork {
            let mut words = vec!["unshare", "--fork", "--kill-child"];
            let options: Vec<String> =
                fork.born_into.iter().map(|kind| format!("--{}", kind.name())).collect();
            words.extend(options.iter().map(String::as_str));
            script.step(fork.why, if options.is_empty() { Shell::Implied } else { Shell::enter(words) });
            for step in fork.first.iter().chain(&fork.beside).chain(&fork.child) {
                script.step(step.why, step.call.shell());
            }
            after = fork.after;
        }
        let mut status = 0;
        if let Some(program) = &self.program {
            if program.is_ours() {
                print(&script.opening());
                status = program.let_it_print(mode, &self.made)?;
            } else {
                let is_nested = !outer.namespaces.is_empty();
                script.program(exec::WHY, &program.shell_words(), is_nested);
            }
        }
        for step in &after {
            script.step(step.why, step.call.shell());
        }
        print(&script.closing());
        Ok(status)
    }
}

/// Writes data on stdout; who closes the pipe has seen enough.
fn print(bytes: &[u8]) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// A plan being carried out.
struct Run<C: Call> {
    narrator: Narrator,
    state: C::State,
    to_undo: Vec<C>,
}

impl<C: Call> Run<C> {
    /// Takes the steps one after the other; when one is refused, undoes what was made, last first.
    fn steps(&mut self, steps: Vec<Step<C>>) -> Result<(), Failure> {
        for step in steps {
            self.narrator.why(step.why);
            match step.call.run(&mut self.state) {
                Ok(Answer::Made(result)) => {
                    self.narrator.call(&step.call.to_string(), &format!(" = {result}"));
                    self.to_undo.extend(step.undo);
                }
                Ok(Answer::AlreadyThere) => self.narrator.call(&step.call.to_string(), ": already so"),
                Err(refusal) => {
                    self.narrator.call(&step.call.to_string(), &format!(" = {}", refusal.in_words()));
                    let failure = step.failure(&refusal);
                    if !step.is_optional {
                        self.undo();
                        return Err(failure);
                    }
                    failure.report(&format!("{}: warning", self.narrator.tool));
                }
            }
        }
        Ok(())
    }

    fn undo(&mut self) {
        while let Some(call) = self.to_undo.pop() {
            let answer = match call.run(&mut self.state) {
                Ok(_) => " = 0, to leave nothing behind".into(),
                Err(refusal) => {
                    say(&format!("{}: left behind: {call}: {}\n", self.narrator.tool, refusal.in_words()));
                    format!(" = {}", refusal.in_words())
                }
            };
            self.narrator.call(&call.to_string(), &answer);
        }
    }

    fn become_program(&mut self, program: Option<&Program>, mode: &Mode, made: &Made) -> Result<u8, Failure> {
        let Some(program) = program else { return Ok(0) };
        self.narrator.why(exec::WHY);
        self.narrator.call(&program.call(), "");
        let failure = program.exec(mode, made);
        self.undo();
        Err(failure)
    }

    fn fork(
        &mut self,
        fork: Fork<C>,
        program: Option<&Program>,
        mode: &Mode,
        made: &Made,
    ) -> Result<u8, Failure> {
        let is_told = self.narrator.on;
        let is_held = !fork.beside.is_empty();
        self.narrator.why(fork.why);
        let call = child::call(&fork.born_into);
        let (first, beside) = (fork.first.len(), fork.beside.len());
        match child::fork(&fork.born_into) {
            Err(errno) => {
                self.undo();
                let hint = crate::limits::why_no_namespace(&fork.born_into, errno);
                let failure = Failure::refused(call, errno).why(fork.why);
                Err(hint.into_iter().fold(failure, Failure::hint))
            }
            Ok(Side::Child(child)) => {
                self.to_undo.clear();
                // Their descriptors are the parent's: a copy here would keep a reader from seeing the end.
                drop((fork.beside, fork.after));
                if is_told {
                    child.wait_for_go();
                }
                let outcome = self.steps(fork.first).and_then(|()| {
                    if is_held {
                        child.hold();
                    }
                    self.narrator.next += beside;
                    self.steps(fork.child)?;
                    self.become_program(program, mode, made)
                });
                if outcome.is_err() {
                    child.failed();
                }
                outcome
            }
            Ok(Side::Parent(parent)) => {
                drop((fork.first, fork.child));
                self.narrator.call(
                    &call,
                    &format!(" = {}, which goes on below; this parent waits for it", parent.child),
                );
                self.narrator.next += first;
                C::born(&mut self.state, parent.child);
                if is_told {
                    parent.go();
                }
                if is_held && parent.child_is_held() {
                    if let Err(failure) = self.steps(fork.beside) {
                        parent.kill();
                        return Err(failure);
                    }
                    parent.go();
                }
                let ended = parent.wait()?;
                self.narrator.next = self.narrator.total - fork.after.len() + 1;
                if ended.failed {
                    self.undo();
                }
                self.steps(fork.after)?;
                Ok(ended.status)
            }
        }
    }
}
