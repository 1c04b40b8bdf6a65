//! What stands behind a call that is more than one request: retries, the marking, a write that says where it failed.

use super::State;
use crate::group;
use crate::mark::{MARK_OF_ROOT, MARK_OF_USERS, Mark};
use chain::{Answer, Named, Refusal, quoted, set_xattr};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::Mode;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
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

/// A group that was just removed counts as being in the one around it for a moment, and while one is there the kernel takes
/// no `a` for that one's devices.
pub fn write_knob(path: &Path, value: &str) -> Result<Answer, Refusal> {
    let mut answer = write_file(path, value);
    for _ in 0..20 {
        let is_refused = matches!(&answer, Err(refusal) if refusal.errno == Some(Errno::EINVAL));
        let directory = path.parent().unwrap_or(Path::new("/"));
        if !(is_refused && is_for_devices(path) && value == "a" && group::children(directory).is_empty()) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        answer = write_file(path, value);
    }
    answer
}

fn is_for_devices(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("devices."))
}

/// One of several writes was refused: which.
pub fn refusal_at(path: &Path, text: &str, refusal: Refusal) -> Refusal {
    let call = refusal.call.unwrap_or_else(|| format!("write({}, \"{text}\")", quoted(path)));
    Refusal { call: Some(call), ..refusal }
}

pub fn make(directory: &Path, mark: Mark, by_root: bool) -> Result<Answer, Refusal> {
    let name = if by_root { MARK_OF_ROOT } else { MARK_OF_USERS };
    match nix::unistd::mkdir(directory, Mode::from_bits_truncate(0o755)) {
        // Somebody has made it, or did so just now; a mark it carries may change its meaning, never appear.
        Err(Errno::EEXIST) if Mark::of(directory).is_none() || mark == Mark::Parent => {
            return Ok(Answer::AlreadyThere);
        }
        Err(Errno::EEXIST) => {
            set_mark(directory, name, mark)?;
            return Ok(Answer::AlreadyThere);
        }
        answer => {
            answer.map_err(|errno| Refusal::at(format!("mkdir({}, 0755)", quoted(directory)), errno))?
        }
    }
    match set_mark(directory, name, mark) {
        Ok(()) => Ok(Answer::zero()),
        Err(refusal) => {
            // Without its mark it could never be removed by us.
            let _ = std::fs::remove_dir(directory);
            Err(refusal)
        }
    }
}

fn set_mark(directory: &Path, name: &std::ffi::CStr, mark: Mark) -> Result<(), Refusal> {
    let file = File::open(directory)?;
    set_xattr(Named::Open(file.as_fd()), name, mark.text().as_bytes()).map_err(|errno| {
        Refusal::at(format!("setxattr({}, {name:?}, \"{}\")", quoted(directory), mark.text()), errno)
    })
}

pub fn lock(directory: &Path) -> Result<Flock<File>, Refusal> {
    let call = || format!("flock({}, LOCK_EX|LOCK_NB)", quoted(directory));
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let file = open(directory, flags, Mode::empty()).map_err(|errno| Refusal::at(call(), errno))?;
    Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| Refusal::at(call(), errno))
}

/// Up to ten times, a hundredth of a second apart.
pub fn retry<T>(attempt: impl Fn() -> Result<T, Refusal>) -> Result<T, Refusal> {
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

pub fn move_members(from: &Path, to: &Path) -> Result<(), Refusal> {
    let door = to.join("cgroup.procs");
    for process in group::members(from) {
        match write_file(&door, &process.to_string()) {
            // It has ended meanwhile.
            Err(Refusal { errno: Some(Errno::ESRCH), .. }) => {}
            answer => drop(answer.map_err(|refusal| refusal_at(&door, &process.to_string(), refusal))?),
        }
    }
    Ok(())
}

/// Removes a group in every hierarchy, unless another cgset waits for a program in it.
pub fn remove(directories: &[(PathBuf, PathBuf)], home: &Path, state: &mut State) -> Result<Answer, Refusal> {
    let _held = match (&state.lock, home.is_dir()) {
        (None, true) => Some(lock(home)?),
        _ => None,
    };
    let mut is_made = false;
    for (mount, directory) in directories {
        is_made |= group::remove(directory)?;
        group::remove_parents(directory, mount);
    }
    Ok(if is_made { Answer::zero() } else { Answer::AlreadyThere })
}
