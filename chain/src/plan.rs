//! A plan: the steps of a tool in the order they will be taken, decided before any of them is. It is carried out, told or
//! written down from the same value.

use crate::child;
use crate::exec::{self, Program};
use crate::fail::Failure;
use crate::namespace::Kind;
use crate::narrate::{Made, Mode};
use crate::output::print_data;
use crate::reaper;
use crate::run::perform;
use crate::shell::{Script, Shell};
use crate::step::{Call, Step};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where a plan splits in two processes.
#[derive(Debug)]
pub struct Fork<C> {
    /// Why a second process is needed.
    pub why: &'static str,
    /// The namespaces the child is born into.
    pub born_into: Vec<Kind>,
    /// The control group (version 2) it is born in, where that is not its parent's.
    pub birthplace: Option<PathBuf>,
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
            std::iter::once(child::call(&fork.born_into, fork.birthplace.as_deref()))
                .chain(after_birth.map(|step| step.call.to_string()))
        });
        let reaper =
            self.program.as_ref().and_then(|program| program.reaper).map(|_| reaper::CALL.to_owned());
        self.steps.iter().map(|step| step.call.to_string()).chain(forked).chain(reaper).collect()
    }

    /// Does it, tells it, or writes it down. Returns the exit status, and only where no program was become.
    ///
    /// # Errors
    /// A step was refused; what had been made is undone.
    pub fn carry_out(self, tool: &'static str, mode: &Mode) -> Result<u8, Failure> {
        match mode {
            Mode::DryRun(made) => self.write_down(tool, mode, made),
            _ => perform(self, tool, mode),
        }
    }

    /// How many steps it has, the fork and the program among them.
    pub(crate) fn length(&self) -> usize {
        let forked = self
            .fork
            .as_ref()
            .map_or(0, |fork| 1 + fork.first.len() + fork.beside.len() + fork.child.len() + fork.after.len());
        let has_reaper = self.program.as_ref().is_some_and(|program| program.reaper.is_some());
        self.steps.len() + forked + usize::from(has_reaper) + usize::from(self.program.is_some())
    }

    fn write_down(mut self, tool: &'static str, mode: &Mode, outer: &Made) -> Result<u8, Failure> {
        let label = match outer.depth() {
            0 => format!("END_{tool}"),
            depth => format!("END_{tool}_{depth}"),
        };
        let after = self.fork.as_mut().map(|fork| std::mem::take(&mut fork.after)).unwrap_or_default();
        let mut script = Script::new(label, after.is_empty());
        add(&mut script, self.steps);
        if let Some(mut fork) = self.fork {
            script.step(fork.why, fork_in_shell(&fork.born_into, !after.is_empty()));
            if let Some(group) = &fork.birthplace {
                let mut line = OsString::from("echo 0 > ");
                line.push(crate::shell::quote(group.join("cgroup.procs").as_os_str()));
                script.step("born in the group: a shell has to move there", Shell::Line(line));
            }
            // What a command does beside its child it is told by an option: that stands where the child is made.
            let (by_option, beside) = std::mem::take(&mut fork.beside)
                .into_iter()
                .partition(|step| matches!(step.call.shell(), Shell::Enter(_)));
            for steps in [by_option, fork.first, beside, fork.child] {
                add(&mut script, steps);
            }
        }
        if !after.is_empty() {
            self.made.blocks += 1;
        }
        let mut status = 0;
        if let Some(program) = &self.program {
            if let Some(why) = program.reaper {
                // It waits for the program, and takes note of whoever else ends meanwhile.
                script.step(why, Shell::enter(["sh", "-c", "\"$@\"; exit $?", "init"]));
            }
            if program.is_ours() {
                print(&script.opening())?;
                status = program.let_it_print(mode, &self.made)?;
            } else {
                script.program(exec::WHY, &program.shell_words(), outer.depth() > 0);
            }
        }
        let mut rest = script.closing();
        if !after.is_empty() {
            let mut tail = Script::new(String::new(), true);
            add(&mut tail, after);
            rest.extend(tail.closing());
            rest.extend(b"exit \"$status\"\n");
        }
        print(&rest)?;
        Ok(status)
    }
}

fn add<C: Call>(script: &mut Script, steps: Vec<Step<C>>) {
    for step in steps {
        script.step(step.why, step.call.shell());
    }
}

/// The command that makes the child; what comes after it needs a parent that stays, whatever the child is born into.
fn fork_in_shell(born_into: &[Kind], parent_stays: bool) -> Shell {
    let options: Vec<String> = born_into.iter().map(|kind| format!("--{}", kind.name())).collect();
    match options.is_empty() {
        false => Shell::enter(
            ["unshare", "--fork", "--kill-child"].into_iter().chain(options.iter().map(String::as_str)),
        ),
        true if parent_stays => Shell::enter(["setpriv", "--pdeathsig", "KILL"]),
        true => Shell::Implied,
    }
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    print_data(bytes).map_err(|refusal| {
        refusal.failure("write(1)").hint("the script could not be written where stdout leads")
    })
}
