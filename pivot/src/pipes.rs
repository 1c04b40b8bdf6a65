//! The pipes among the program's descriptors 0 to 2, which it can open by name, as /dev/stdout, only where they are its own.
//! Files and terminals are the caller's own and outlive the program: they stay as they are.

use crate::idmap::IdRange;
use crate::state::State;
use chain::{Answer, Refusal, Shell};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::{Uid, fchown};
use std::fmt::{self, Display};
use std::os::fd::{AsFd, BorrowedFd};

/// Descriptors 0 to 2, which are open always.
pub const STANDARD: [i32; 3] = [0, 1, 2];

/// linux/magic.h: what pipe(2) makes. A FIFO with a name is of the file system where it has that.
const PIPEFS_MAGIC: FsType = FsType(0x5049_5045);

/// fchown(2) of pipes to the program's user. `typed` is that where the command line alone tells it.
#[derive(Debug)]
pub struct Fchown {
    pub pipes: Vec<i32>,
    pub range: Option<IdRange>,
    pub typed: Option<u32>,
}

/// Those of descriptors 0 to 2 that are pipes without a name and not `owner`'s.
pub fn of_others(owner: Option<u32>) -> Vec<i32> {
    let is_pipe = |fd: BorrowedFd| fstatfs(fd).is_ok_and(|about| about.filesystem_type() == PIPEFS_MAGIC);
    let is_owned = |fd: BorrowedFd| fstat(fd).is_ok_and(|about| Some(about.st_uid) == owner);
    STANDARD.into_iter().filter(|fd| with(*fd, |fd| is_pipe(fd) && !is_owned(fd))).collect()
}

fn with<T>(fd: i32, act: impl FnOnce(BorrowedFd) -> T) -> T {
    match fd {
        0 => act(std::io::stdin().as_fd()),
        1 => act(std::io::stdout().as_fd()),
        _ => act(std::io::stderr().as_fd()),
    }
}

/// An id of the program's as it is seen here. None where the map has it not: then nobody else's shall be taken for it, and
/// the change of ids fails.
pub fn seen_here(uid: u32, range: Option<IdRange>) -> Option<u32> {
    match range {
        None => Some(uid),
        Some(range) => (uid < range.count).then(|| range.outer.checked_add(uid)).flatten(),
    }
}

impl Display for Fchown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let owner = match (self.typed, self.range.map_or(0, |range| range.outer)) {
            (Some(uid), first) => first.wrapping_add(uid).to_string(),
            (None, 0) => "UID".into(),
            (None, first) => format!("{first} + UID"),
        };
        let calls: Vec<String> = self.pipes.iter().map(|fd| format!("fchown({fd}, {owner}, -1)")).collect();
        f.write_str(&calls.join("\n"))
    }
}

impl Fchown {
    /// Which are pipes is asked by the script: its descriptors need not be those of who prints it.
    pub fn shell(&self) -> Shell {
        let links: Vec<String> = self.pipes.iter().map(|fd| format!("/proc/self/fd/{fd}")).collect();
        let owner = match self.range {
            None => "\"${uid:-0}\"".into(),
            Some(range) => format!("\"$(({} + ${{uid:-0}}))\"", range.outer),
        };
        let links = links.join(" ");
        Shell::Line(format!("find {links} -lname 'pipe:*' -exec chown {owner} '{{}}' + || :").into())
    }

    pub fn run(&self, state: &State) -> Result<Answer, Refusal> {
        let Some(uid) = seen_here(state.account.uid, self.range) else {
            return Ok(Answer::AlreadyThere);
        };
        for fd in &self.pipes {
            match with(*fd, |fd| fchown(fd, Some(Uid::from_raw(uid)), None)) {
                // The user namespace we are in has no such id: the change of ids fails, and says so.
                Err(Errno::EINVAL) => return Ok(Answer::AlreadyThere),
                answer => answer.map_err(|errno| Refusal::at(format!("fchown({fd}, {uid}, -1)"), errno))?,
            }
        }
        Ok(Answer::zero())
    }

    pub fn hint(&self, errno: Errno) -> Option<String> {
        (errno == Errno::EPERM).then(|| {
            "it is a pipe of somebody else's: the program can use it and not open it by name, as /dev/stdout; give it one of its own: … | cat".into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_the_map_has_not_is_nobodys() {
        let range = Some(IdRange { outer: 200_000, count: 10 });
        assert_eq!(seen_here(9, range), Some(200_009));
        assert_eq!(seen_here(10, range), None);
        assert_eq!(seen_here(1000, None), Some(1000));
    }
}
