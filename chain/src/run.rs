//! The one runner of all plans: takes the steps, undoes them where one is refused, forks, and becomes the program.

use crate::child::{self, Child, Parent, Side};
use crate::exec::{self, Program};
use crate::fail::Failure;
use crate::held::Held;
use crate::lifeline::at_parents_death;
use crate::limits::why_no_namespace;
use crate::narrate::{Made, Mode, Narrator, say};
use crate::plan::{Fork, Plan};
use crate::reaper;
use crate::room::why_no_process;
use crate::signals::may_have_terminal;
use crate::step::{Answer, Call, Step};

/// A plan being carried out by this process.
struct Run<'a, C: Call> {
    narrator: Narrator,
    state: C::State,
    /// What takes back the steps that were taken, last one last.
    to_undo: Vec<C>,
    /// While there are any, signals that would end this process wait.
    held: Option<Held>,
    program: Option<&'a Program>,
    mode: &'a Mode,
    made: &'a Made,
}

/// Carries a plan out. Returns the exit status, and only where no program was become.
///
/// # Errors
/// A step was refused; what had been made is undone.
pub(crate) fn perform<C: Call>(plan: Plan<C>, tool: &'static str, mode: &Mode) -> Result<u8, Failure> {
    let narrator = Narrator { on: *mode == Mode::Explain, tool, total: plan.length(), next: 1 };
    let Plan { steps, fork, program, made } = plan;
    let mut run = Run {
        narrator,
        state: C::State::default(),
        to_undo: Vec::new(),
        held: None,
        program: program.as_ref(),
        mode,
        made: &made,
    };
    run.steps(steps)?;
    match fork {
        None => run.become_program(),
        Some(fork) => run.fork(fork),
    }
}

impl<C: Call> Run<'_, C> {
    /// Takes the steps; when one is refused, undoes what was made, last first.
    fn steps(&mut self, steps: Vec<Step<C>>) -> Result<(), Failure> {
        self.take(steps).inspect_err(|_| self.undo())
    }

    /// Takes the steps one after the other, up to the first that is refused.
    fn take(&mut self, steps: Vec<Step<C>>) -> Result<(), Failure> {
        for step in steps {
            self.go_on()?;
            match step.call.is_quick() && (step.undo.is_some() || !self.to_undo.is_empty()) {
                true => self.hold_signals(),
                false => self.let_signals_through(),
            }
            self.narrator.why(step.why);
            match step.call.run(&mut self.state) {
                Ok(Answer::Made(result)) => {
                    self.narrator.call(&step.call, format_args!(" = {result}"));
                    self.to_undo.extend(step.undo);
                }
                Ok(Answer::AlreadyThere) => self.narrator.call(&step.call, format_args!(": already so")),
                Err(refusal) => {
                    self.narrator.call(&step.call, format_args!(" = {}", refusal.in_words()));
                    let failure = step.failure(&refusal);
                    if !step.is_optional {
                        return Err(failure);
                    }
                    failure.report(&format!("{}: warning", self.narrator.tool));
                }
            }
        }
        Ok(())
    }

    /// # Errors
    /// A signal has come: what was made is to be undone, after which the signal ends this process.
    fn go_on(&self) -> Result<(), Failure> {
        match &self.held {
            Some(held) if held.has_one() => Err(Failure::new("a signal has ended this before it was done")),
            _ => Ok(()),
        }
    }

    fn hold_signals(&mut self) {
        if self.held.is_none() {
            self.held = Held::begin();
        }
    }

    fn let_signals_through(&mut self) {
        self.held.take().into_iter().for_each(Held::end);
    }

    /// The end of the steps before a fork or the program, which begins with the signals as they were inherited.
    fn leave(&mut self) -> Result<(), Failure> {
        self.go_on().inspect_err(|_| self.undo())
    }

    /// Takes back what was made. What cannot be taken back is said, and does not stop the rest.
    fn undo(&mut self) {
        while let Some(call) = self.to_undo.pop() {
            match call.run(&mut self.state) {
                Ok(_) => self.narrator.call(&call, format_args!(" = 0, to leave nothing behind")),
                Err(refusal) => {
                    say(&format!("{}: left behind: {call}: {}\n", self.narrator.tool, refusal.in_words()));
                }
            }
        }
        self.let_signals_through();
    }

    fn become_program(&mut self) -> Result<u8, Failure> {
        let Some(program) = self.program else { return Ok(0) };
        self.narrator.why(exec::WHY);
        self.narrator.call(&program.call(), format_args!(""));
        self.leave()?;
        self.let_signals_through();
        let failure = program.exec(self.mode, self.made);
        self.hold_signals();
        self.undo();
        Err(failure)
    }

    fn fork(&mut self, fork: Fork<C>) -> Result<u8, Failure> {
        self.narrator.why(fork.why);
        self.leave()?;
        let at_death = at_parents_death(!fork.after.is_empty());
        let mut life = || self.live_in_place(&fork);
        let life = self.may_stand_still(&fork).then_some(&mut life as &mut dyn FnMut());
        match child::fork(&fork.born_into, fork.birthplace.as_deref(), at_death, life) {
            Ok(Side::Child(child)) => self.be_the_child(&child, fork),
            Ok(Side::Parent(parent)) => self.be_the_parent(&parent, fork),
            Err(errno) => {
                // The limits of the group it was to be born in are looked at while that is there.
                let hint = why_no_process(errno, fork.birthplace.as_deref())
                    .or_else(|| why_no_namespace(&fork.born_into, errno));
                self.undo();
                let failure =
                    Failure::refused(child::call(&fork.born_into, fork.birthplace.as_deref()), errno)
                        .why(fork.why);
                Err(hint.into_iter().fold(failure, Failure::hint))
            }
        }
    }

    /// Whether the parent can stand still while the child takes its steps, so that its memory need not be copied: nobody
    /// waits for a word of it, the steps are over at once and leave nothing there, and no Ctrl-Z stops the one of them only.
    fn may_stand_still(&self, fork: &Fork<C>) -> bool {
        let is_watched = self.narrator.on || !fork.beside.is_empty();
        let divides = self.program.is_none_or(|program| program.reaper.is_some());
        let mut steps = fork.first.iter().chain(&fork.child);
        !is_watched
            && !divides
            && fork.birthplace.is_none()
            && steps.all(|step| step.call.is_self_contained())
            && !may_have_terminal()
    }

    /// The child's life in its parent's memory. Whatever is refused it comes back and says nothing: a child of the other kind
    /// does it all once more, and fails as it must. Here, say, the kernel lets nobody be killed for want of memory, and
    /// refuses the exec instead.
    fn live_in_place(&self, fork: &Fork<C>) {
        self.held.iter().for_each(Held::let_through);
        let mut state = C::State::default();
        let mut steps = fork.first.iter().chain(&fork.child);
        let are_taken = steps.all(|step| step.call.run(&mut state).is_ok());
        if let Some(program) = self.program.filter(|_| are_taken) {
            program.exec(self.mode, self.made);
        }
    }

    /// The child takes its steps and becomes the program. What was made before is the parent's to take back.
    fn be_the_child(&mut self, child: &Child, fork: Fork<C>) -> Result<u8, Failure> {
        self.to_undo.clear();
        self.let_signals_through();
        let beside = fork.beside.len();
        // Their descriptors are the parent's: a copy here would keep a reader from seeing the end.
        drop((fork.beside, fork.after));
        if self.narrator.on {
            child.wait_for_go();
        }
        let outcome = self.steps(fork.first).and_then(|()| {
            if beside > 0 {
                child.hold();
            }
            self.narrator.next += beside;
            self.steps(fork.child)?;
            self.divide(child)?;
            self.become_program()
        });
        if outcome.is_err() {
            child.failed();
        }
        outcome
    }

    /// Where process 1 is to be a reaper, it stays behind here.
    fn divide(&mut self, child: &Child) -> Result<(), Failure> {
        let Some(why) = self.program.and_then(|program| program.reaper) else { return Ok(()) };
        self.narrator.why(why);
        self.leave()?;
        self.let_signals_through();
        reaper::divide(child, self.narrator.tool).map_err(|failure| failure.why(why))?;
        let own = nix::unistd::Pid::this();
        self.narrator
            .call(&reaper::CALL, format_args!(" = {own}, which goes on below; process 1 waits, and reaps"));
        Ok(())
    }

    /// The parent takes the steps beside the child, waits for it, and always takes those that come after it.
    fn be_the_parent(&mut self, parent: &Parent, fork: Fork<C>) -> Result<u8, Failure> {
        // It takes them itself from now on.
        self.held = None;
        let is_held = !fork.beside.is_empty();
        let answer = format_args!(" = {}, which goes on below; this parent waits for it", parent.child);
        self.narrator.call(&child::call(&fork.born_into, fork.birthplace.as_deref()), answer);
        self.narrator.next += fork.first.len();
        drop((fork.first, fork.child));
        C::born(&mut self.state, parent.child, parent.born);
        if self.narrator.on {
            parent.go();
        }
        let outcome = self.attend(parent, is_held, fork.beside);
        self.narrator.next = self.narrator.total - fork.after.len() + 1;
        self.finish(outcome, fork.after)
    }

    /// Takes every step that comes after the child, however it went and whether or not one of them is refused. What the
    /// program may have come to rely on is not undone any more.
    fn finish(&mut self, outcome: Result<u8, Failure>, after: Vec<Step<C>>) -> Result<u8, Failure> {
        self.to_undo.clear();
        let mut outcome = outcome;
        for step in after {
            if let Err(failure) = self.take(vec![step]) {
                match &outcome {
                    Ok(_) => outcome = Err(failure),
                    // One failure is returned; it is the first.
                    Err(_) => failure.report(self.narrator.tool),
                }
            }
        }
        self.to_undo.clear();
        outcome
    }

    fn attend(&mut self, parent: &Parent, is_held: bool, beside: Vec<Step<C>>) -> Result<u8, Failure> {
        let came_so_far = is_held && parent.child_is_held();
        if came_so_far {
            if let Err(failure) = self.take(beside) {
                // The child first: it may be using what is undone.
                parent.kill();
                self.undo();
                return Err(failure);
            }
            parent.go();
        }
        let mut ended = parent.wait()?;
        ended.failed |= is_held && !came_so_far;
        C::ended(&mut self.state, &ended);
        if ended.failed {
            self.undo();
        }
        Ok(ended.status)
    }
}

#[cfg(test)]
mod tests;
