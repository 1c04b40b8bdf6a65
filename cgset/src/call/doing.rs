//! What stands behind a call that is more than one request: retries, the marking, a write that says where it failed.

use super::State;
use crate::group;
use crate::mark::{MARK_OF_ROOT, MARK_OF_USERS, Mark};
use crate::tree::Version;
use chain::{Answer, Named, Refusal, c_string, quoted, say, set_xattr};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::Mode;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One write(2) to an interface file, which the kernel takes whole or not at all. A file that is missing is never made.
pub fn write_file(path: &Path, text: &str) -> Result<Answer, Refusal> {
    let opened = OpenOptions::new().write(true).open(path).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Refusal::at(format!("open({}, O_WRONLY)", quoted(path)), errno)
    });
    // In a plain directory, which stands in for a hierarchy in tests, a shorter value must not leave the rest of a longer.
    let mut file = opened?;
    let is_plain = file.metadata().is_ok_and(|about| about.len() > 0);
    if is_plain {
        file.set_len(0)?;
    }
    Ok(file.write(text.as_bytes()).map(|length| Answer::Made(length.to_string()))?)
}

/// Two refusals are of the moment. A group that was just removed counts as being in the one around it, and while one is there
/// the kernel takes no `a` for that one's devices. And a group around it that somebody makes just now has no CPU yet.
pub fn write_knob(path: &Path, value: &str) -> Result<Answer, Refusal> {
    let mut answer = write_file(path, value);
    for _ in 0..50 {
        let errno = answer.as_ref().err().and_then(|refusal| refusal.errno);
        let directory = path.parent().unwrap_or(Path::new("/"));
        let may_pass = match errno {
            Some(Errno::EINVAL) => {
                is_of(path, "devices.") && value == "a" && group::children(directory).is_empty()
            }
            Some(Errno::EACCES) => is_of(path, "cpuset.") && has_none_above(path),
            _ => false,
        };
        if !may_pass {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        answer = write_file(path, value);
    }
    answer
}

/// Whether the group around it has an empty file of that name.
fn has_none_above(path: &Path) -> bool {
    let above = path.parent().and_then(Path::parent).zip(path.file_name());
    above.is_some_and(|(group, file)| {
        std::fs::read_to_string(group.join(file)).is_ok_and(|text| text.trim().is_empty())
    })
}

fn is_of(path: &Path, controller: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(controller))
}

/// One of several writes was refused: which.
pub fn refusal_at(path: &Path, text: &str, refusal: Refusal) -> Refusal {
    let call = refusal.call.unwrap_or_else(|| format!("write({}, \"{text}\")", quoted(path)));
    Refusal { call: Some(call), ..refusal }
}

/// Makes a group and marks it. One that somebody is to wait for is locked before its mark can be seen: what carries that
/// mark, and no lock, was left behind.
pub fn make(
    directory: &Path,
    mark: Mark,
    by_root: bool,
    locks: Option<&mut Vec<Flock<File>>>,
) -> Result<Answer, Refusal> {
    let answer = match nix::unistd::mkdir(directory, Mode::from_bits_truncate(0o755)) {
        Ok(()) => Answer::zero(),
        Err(Errno::EEXIST) => Answer::AlreadyThere,
        Err(errno) => return Err(Refusal::at(format!("mkdir({}, 0755)", quoted(directory)), errno)),
    };
    let held = match locks {
        Some(locks) => retry(|| lock(directory)).map(|held| locks.push(held)),
        None => Ok(()),
    };
    let name = if by_root { MARK_OF_ROOT } else { MARK_OF_USERS };
    if answer == Answer::AlreadyThere {
        // Somebody has made it, or did so just now: a mark never appears, and what goes with its program still does.
        held?;
        if (Mark::of(directory), mark) == (Some(Mark::Parent), Mark::Group) {
            set_mark(directory, name, mark)?;
        }
        return Ok(answer);
    }
    if let Err(refusal) = held.and_then(|()| set_mark(directory, name, mark)) {
        // Without its mark it could never be removed by us.
        let _ = std::fs::remove_dir(directory);
        return Err(refusal);
    }
    Ok(answer)
}

fn set_mark(directory: &Path, name: &std::ffi::CStr, mark: Mark) -> Result<(), Refusal> {
    set_xattr(Named::Path(&c_string(directory)?), name, mark.text().as_bytes()).map_err(|errno| {
        Refusal::at(format!("setxattr({}, {name:?}, \"{}\")", quoted(directory), mark.text()), errno)
    })
}

/// Locks the directory that has that name now, and not one that was removed meanwhile.
fn lock(directory: &Path) -> Result<Flock<File>, Refusal> {
    let refused = |errno| Refusal::at(format!("flock({}, LOCK_EX|LOCK_NB)", quoted(directory)), errno);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let file = open(directory, flags, Mode::empty()).map_err(refused)?;
    let held = Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| refused(errno))?;
    let (locked, named) = (held.metadata()?, directory.metadata()?);
    match (locked.dev(), locked.ino()) == (named.dev(), named.ino()) {
        true => Ok(held),
        false => Err(refused(Errno::EWOULDBLOCK)),
    }
}

/// Up to ten times, a hundredth of a second apart.
fn retry<T>(attempt: impl Fn() -> Result<T, Refusal>) -> Result<T, Refusal> {
    let mut outcome = attempt();
    for _ in 1..10 {
        if outcome.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        outcome = attempt();
    }
    outcome
}

/// Moves whoever is in a group, until nobody is: who is forked meanwhile is there, too. If one is refused, all go back.
pub fn move_members(from: &Path, to: &Path) -> Result<(), Refusal> {
    let (door, back) = (to.join("cgroup.procs"), from.join("cgroup.procs"));
    let mut moved: Vec<u32> = Vec::new();
    for _ in 0..ROUNDS {
        let found: Vec<u32> =
            group::members(from).into_iter().filter(|process| !moved.contains(process)).collect();
        if found.is_empty() {
            break;
        }
        for process in found {
            let text = process.to_string();
            match write_file(&door, &text) {
                // It has ended meanwhile.
                Ok(_) | Err(Refusal { errno: Some(Errno::ESRCH), .. }) => moved.push(process),
                Err(refusal) => {
                    for process in moved {
                        let _ = write_file(&back, &process.to_string());
                    }
                    return Err(refusal_at(&door, &text, refusal));
                }
            }
        }
    }
    Ok(())
}

/// How often a group is looked through for those that were forked meanwhile.
const ROUNDS: usize = 100;

/// Ends whoever is in a group, and says who would have stayed there, in the name of the group that is given.
pub fn end_members(
    home: &Path,
    freezer: Option<(&Path, Version)>,
    named: Option<&str>,
) -> Result<Answer, Refusal> {
    let staying = named.map(|_| group::staying(home)).unwrap_or_default();
    if group::end_members(home, freezer)?.is_empty() {
        return Ok(Answer::AlreadyThere);
    }
    if let Some(name) = named.filter(|_| !staying.is_empty()) {
        let those = group::listed(&staying);
        say(&format!("cgset: {name}: still in the group when the program had ended, and killed: {those}\n"));
    }
    Ok(Answer::zero())
}

/// Somebody waits for a group, or is in it: then it stays.
pub fn left_if_busy(answer: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
    match answer {
        Err(Refusal { errno: Some(Errno::EWOULDBLOCK | Errno::EBUSY), .. }) => Ok(Answer::AlreadyThere),
        answer => answer,
    }
}

/// Removes a group in every hierarchy, with what its program made in it if that is to go too, unless another cgset waits
/// for a program in it.
pub fn remove(
    directories: &[(PathBuf, PathBuf)],
    with_inner: bool,
    state: &mut State,
) -> Result<Answer, Refusal> {
    let mut held = Vec::new();
    if state.locks.is_empty() {
        for (_, directory) in directories.iter().filter(|(_, directory)| directory.is_dir()) {
            held.push(lock(directory)?);
        }
    }
    let mut is_made = false;
    for (mount, directory) in directories {
        for one in group::walk(directory).iter().rev().filter(|one| with_inner || *one == directory) {
            is_made |= group::remove(one)?;
        }
        group::remove_parents(directory, mount);
    }
    Ok(if is_made { Answer::zero() } else { Answer::AlreadyThere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_moved_once_each_and_back_where_one_is_refused() {
        let top = std::env::temp_dir().join(format!("cgset-members-{}", std::process::id()));
        let (from, to) = (top.join("from"), top.join("to"));
        for group in [&from, &to] {
            std::fs::create_dir_all(group).unwrap();
        }
        std::fs::write(from.join("cgroup.procs"), "7\n8\n").unwrap();
        assert!(move_members(&from, &to).is_err());
        // A plain file holds what was written last, and loses nobody.
        std::fs::write(to.join("cgroup.procs"), "").unwrap();
        assert!(move_members(&from, &to).is_ok());
        assert_eq!(std::fs::read_to_string(to.join("cgroup.procs")).unwrap(), "8");
        std::fs::remove_dir_all(&top).unwrap();
    }
}
