//! The story of those who wait outside: they learn the program's number when all is set up, and the program waits for them.

use crate::call::Call;
use crate::rendezvous::Rendezvous;
use chain::Step;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

fn step(why: &'static str, call: Rendezvous) -> Step<Call> {
    Step::new(why, Call::Rendezvous(call))
}

/// Whoever waits for the program's number gets it. The file is removed after the fork, however that went; where there is
/// none, by who could not go on.
pub fn tell(pid_file: Option<&Path>, ready: Option<OwnedFd>, forks: bool) -> Vec<Step<Call>> {
    let mut steps = Vec::new();
    if let Some(path) = pid_file {
        let write = step("scripts find the program by its number", Rendezvous::WritePidFile(path.to_owned()));
        let remove = Call::Rendezvous(Rendezvous::RemovePidFile(path.to_owned()));
        steps.push(if forks { write } else { write.undo(remove) });
    }
    steps.extend(
        ready.map(|fd| {
            step("tell who is waiting for it that everything is set up", Rendezvous::TellReady(fd))
        }),
    );
    steps
}

/// By the program itself, before it begins.
pub fn wait(end: Option<OwnedFd>) -> Vec<Step<Call>> {
    let why = "somebody outside has work to do first: wait until they close their end";
    end.map(|fd| step(why, Rendezvous::WaitForEnd(fd))).into_iter().collect()
}

/// After the fork.
pub fn removal(pid_file: Option<PathBuf>) -> Vec<Step<Call>> {
    let remove = |path| step("the number is nobody's any more", Rendezvous::RemovePidFile(path));
    pid_file.into_iter().map(remove).collect()
}
