//! Steps that note themselves: which are taken and undone, in which order, and what signals do meanwhile.

use super::*;
use crate::shell::Shell;
use crate::step::Refusal;
use crate::sys;
use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// Who else is told the letters, as they are noted.
static TOLD: OnceLock<OwnedFd> = OnceLock::new();

/// A call that notes its letter, and is refused where that is a capital. At `!` somebody sends SIGTERM; `.` takes long.
#[derive(Debug)]
struct Note(char);

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "note({})", self.0)
    }
}

impl Call for Note {
    type State = String;

    fn shell(&self) -> Shell {
        Shell::Nothing
    }

    fn is_quick(&self) -> bool {
        self.0 != '.'
    }

    fn is_self_contained(&self) -> bool {
        self.is_quick()
    }

    fn run(&self, state: &mut String) -> Result<Answer, Refusal> {
        state.push(self.0);
        if let Some(told) = TOLD.get() {
            nix::unistd::write(told, &[self.0 as u8])?;
        }
        if self.0 == '!' {
            nix::sys::signal::raise(Signal::SIGTERM)?;
        }
        if self.0.is_ascii_uppercase() { Err(Errno::EIO.into()) } else { Ok(Answer::zero()) }
    }
}

fn notes(letters: &str) -> Vec<Step<Note>> {
    letters.chars().map(|letter| Step::new("note it", Note(letter)).undo(Note('u'))).collect()
}

fn nothing_done(made: &Made) -> Run<'_, Note> {
    Run {
        narrator: Narrator { on: false, tool: "test", total: 0, next: 1 },
        state: String::new(),
        to_undo: Vec::new(),
        held: None,
        program: None,
        mode: &Mode::Run,
        made,
    }
}

/// What is noted, and the outcome, after `before` was taken and the program has ended as `ended` says.
fn finished(before: &str, ended: Result<u8, Failure>, after: &str) -> (String, Result<u8, String>) {
    let made = Made::default();
    let mut run = nothing_done(&made);
    run.steps(notes(before)).unwrap();
    let outcome = run.finish(ended, notes(after)).map_err(|failure| failure.to_string());
    run.undo();
    (run.state, outcome)
}

#[test]
fn every_step_after_the_program_is_taken_and_nothing_is_undone() {
    assert_eq!(finished("ab", Ok(7), "cd"), ("abcd".into(), Ok(7)));
    let (noted, outcome) = finished("ab", Ok(7), "CdE");
    assert_eq!(noted, "abCdE");
    assert!(outcome.unwrap_err().starts_with("note(C): "));
}

#[test]
fn the_first_failure_is_the_one_that_counts() {
    let (noted, outcome) = finished("a", Err(Failure::new("the wait")), "Bc");
    assert_eq!((noted.as_str(), outcome), ("aBc", Err("the wait".into())));
}

#[test]
fn before_the_program_what_was_made_is_undone_last_first() {
    let made = Made::default();
    let mut run = nothing_done(&made);
    assert!(run.steps(notes("abC")).is_err());
    assert_eq!(run.state, "abCuu");
}

/// What the parent notes, and the outcome, where its child notes `childs` and becomes a program that exits with 7, and whether
/// the parent stands still meanwhile. In a process of one thread, as our tools are: of a child's end another thread would
/// hear, and the parent might wait for ever.
fn forked(before: &str, childs: &str, after: &str) -> String {
    let (seen, tell) = nix::unistd::pipe().unwrap();
    let Some(parent) = sys::clone_process(CloneFlags::empty()).unwrap() else {
        let told = fork_once(before, childs, after);
        nix::unistd::write(tell, format!("{told:?}").as_bytes()).unwrap();
        sys::exit_now(0);
    };
    drop(tell);
    let mut told = String::new();
    File::from(seen).read_to_string(&mut told).unwrap();
    nix::sys::wait::waitpid(parent, None).unwrap();
    told
}

fn fork_once(before: &str, childs: &str, after: &str) -> (String, Result<u8, String>, bool) {
    let made = Made::default();
    let program = Program::find(["sh", "-c", "exit 7"].map(Into::into).into()).unwrap();
    let mut run = Run { program: Some(&program), ..nothing_done(&made) };
    run.steps(notes(before)).unwrap();
    let (born_into, birthplace) = (Vec::new(), None);
    let (first, child) = (notes(childs), Vec::new());
    let why = "note it elsewhere";
    let fork = Fork { why, born_into, birthplace, first, beside: Vec::new(), child, after: notes(after) };
    run.narrator.total = fork.after.len();
    let stands_still = run.may_stand_still(&fork);
    let parent = Pid::this();
    let outcome = run.fork(fork).map_err(|failure| failure.to_string());
    if Pid::this() != parent {
        sys::exit_now(crate::fail::TOOL_FAILED);
    }
    (run.state, outcome, stands_still)
}

#[test]
fn a_child_in_the_parents_memory_is_one_like_any_other() {
    let told = |stands_still| format!("{:?}", ("ad", Ok::<_, ()>(7), stands_still));
    assert_eq!(forked("a", "bc", "d"), told(!may_have_terminal()));
    assert_eq!(forked("a", "b.c", "d"), told(false));
}

#[test]
fn where_the_child_is_refused_the_parent_undoes_what_it_had_done_before() {
    let told = |stands_still| format!("{:?}", ("abuue", Ok::<_, ()>(crate::fail::TOOL_FAILED), stands_still));
    assert_eq!(forked("ab", "cD", "e"), told(!may_have_terminal()));
    assert_eq!(forked("ab", ".D", "e"), told(false));
}

fn waits(signal: Signal) -> bool {
    SigSet::thread_get_mask().unwrap().contains(signal)
}

#[test]
fn signals_wait_while_there_is_something_to_undo_and_a_step_is_quick() {
    let made = Made::default();
    let mut run = nothing_done(&made);
    run.steps(vec![Step::new("note it", Note('a'))]).unwrap();
    assert!(!waits(Signal::SIGTERM));
    run.steps(notes("b")).unwrap();
    assert!(waits(Signal::SIGTERM) && waits(Signal::SIGINT) && !waits(Signal::SIGCHLD));
    run.steps(notes(".")).unwrap();
    assert!(!waits(Signal::SIGTERM));
    run.steps(notes("c")).unwrap();
    assert!(waits(Signal::SIGTERM));
    run.undo();
    assert!(!waits(Signal::SIGTERM));
}

#[test]
fn what_the_caller_had_blocked_stays_so_and_is_no_reason_to_end() {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    blocked.thread_block().unwrap();
    let before = SigSet::thread_get_mask().unwrap();
    let made = Made::default();
    let mut run = nothing_done(&made);
    run.steps(notes("a!b")).unwrap();
    run.let_signals_through();
    assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    assert_eq!(run.state, "a!b");
}

#[test]
fn a_signal_that_comes_between_two_steps_undoes_them_last_first_and_ends_the_process() {
    let (seen, tell) = nix::unistd::pipe().unwrap();
    let Some(child) = sys::clone_process(CloneFlags::empty()).unwrap() else {
        TOLD.set(tell).unwrap();
        let made = Made::default();
        let step = |letter, undo| Step::new("note it", Note(letter)).undo(Note(undo));
        let _ = nothing_done(&made).steps(vec![step('a', 'x'), step('!', 'y'), step('b', 'z')]);
        sys::exit_now(0);
    };
    drop(tell);
    let mut noted = String::new();
    File::from(seen).read_to_string(&mut noted).unwrap();
    assert_eq!(noted, "a!yx");
    let status = nix::sys::wait::waitpid(child, None).unwrap();
    assert!(matches!(status, nix::sys::wait::WaitStatus::Signaled(_, Signal::SIGTERM, _)), "{status:?}");
}
