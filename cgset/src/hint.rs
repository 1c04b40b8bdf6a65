//! Why the kernel said no to a group or to one of its files, and what helps.

use crate::call::Call;
use crate::group::{listed, members};
use crate::knobs::refusal;
use crate::moving::process_of;
use chain::{Refusal, be_root, quoted};
use nix::errno::Errno;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The cause and the cure, where the machine can be asked for them.
pub fn of(call: &Call, refusal: &Refusal) -> Option<String> {
    let errno = refusal.errno?;
    match call {
        Call::MakeGroup { directory, .. } => match errno {
            Errno::EWOULDBLOCK if directory.is_dir() => Some(somebody_waits(directory)),
            _ => why_not_made(directory, errno),
        },
        Call::RemoveGroup { directories, .. } => {
            if errno == Errno::EWOULDBLOCK {
                return directories.first().map(|(_, directory)| somebody_waits(directory));
            }
            why_not_removed(directories.iter().map(|(_, one)| one.as_path()), errno)
        }
        Call::EnableControllers { directory, .. } => why_not_enabled(directory, errno),
        Call::WriteKnob { path, .. } => refusal::of(path, errno).or_else(|| why_not_written(path, errno)),
        Call::SetDevices { .. } => refusal::of_program(errno),
        Call::MoveProcess { found, groups } => why_not_moved(found.process, groups, errno),
        Call::Mount(call) => call.hint(errno),
        Call::Join { doors } => why_not_joined(doors, errno),
        Call::SetFrozen { directory, .. } => match errno {
            Errno::EACCES | Errno::EPERM => Some(not_yours(directory)),
            Errno::ETIMEDOUT => Some("a process in it hangs in the kernel: see the state D in ps".into()),
            _ => None,
        },
        _ => None,
    }
}

fn somebody_waits(directory: &Path) -> String {
    format!(
        "another cgset waits for a program in {}: choose another name, or cgset --kill ends it",
        quoted(directory)
    )
}

/// Whose the nearest directory is that is there.
fn not_yours(directory: &Path) -> String {
    let there = directory.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("/"));
    let owner = there.metadata().map_or(0, |about| about.uid());
    let two = there.join("cgroup.controllers").exists();
    let delegation = match two {
        true => {
            ", or let systemd hand a part of the tree on to you: systemd-run --user --scope -p Delegate=yes cgset …"
        }
        false => "; version 1 hands nothing on by itself",
    };
    format!("{} belongs to user {owner}: {}{delegation}", quoted(there), be_root("CAP_DAC_OVERRIDE"))
}

fn why_not_made(directory: &Path, errno: Errno) -> Option<String> {
    match errno {
        Errno::EACCES | Errno::EPERM => Some(not_yours(directory)),
        Errno::EROFS => Some("control groups are read-only here, as in a container: run it outside".into()),
        Errno::EAGAIN => Some(
            "a group above allows no more below it: see cgroup.max.descendants and cgroup.max.depth".into(),
        ),
        Errno::ENOTDIR | Errno::EEXIST => {
            Some("a file of the group above has that name: choose another".into())
        }
        Errno::EOPNOTSUPP => {
            Some("this file system keeps no extended attributes, so the group could not be marked".into())
        }
        _ => None,
    }
}

fn why_not_removed<'a>(mut directories: impl Iterator<Item = &'a Path>, errno: Errno) -> Option<String> {
    if matches!(errno, Errno::EACCES | Errno::EPERM) {
        return directories.next().map(not_yours);
    }
    directories
        .find_map(|directory| match members(directory) {
            busy if !busy.is_empty() => {
                Some(format!("these processes are in it: {}; cgset --kill ends them", listed(&busy)))
            }
            _ => None,
        })
        .or_else(|| Some("there are groups below it: remove those first".into()))
}

fn why_not_enabled(directory: &Path, errno: Errno) -> Option<String> {
    match errno {
        Errno::EBUSY => Some(format!(
            "version 2 lets a group hold processes or hand controllers on, not both, and {} holds {}: --leaf NAME moves them into a group beside",
            quoted(directory),
            listed(&members(directory))
        )),
        Errno::ENOENT => Some(format!(
            "what is above hands no such controller on: see {}",
            quoted(directory.join("cgroup.controllers"))
        )),
        Errno::EACCES | Errno::EPERM => Some(not_yours(directory)),
        _ => None,
    }
}

fn why_not_written(path: &Path, errno: Errno) -> Option<String> {
    let directory = path.parent()?;
    match errno {
        Errno::ENOENT if directory.is_dir() => {
            Some(format!("this kernel has no file of that name there: {}", similar(path)))
        }
        Errno::EACCES | Errno::EPERM if path.metadata().is_ok_and(|about| about.mode() & 0o222 == 0) => {
            Some("that file is for reading only".into())
        }
        Errno::EACCES | Errno::EPERM => Some(not_yours(directory)),
        Errno::EBUSY => Some("the group uses more than that already, and cannot give it back".into()),
        Errno::EINVAL | Errno::ERANGE => {
            let now = std::fs::read_to_string(path).unwrap_or_default();
            let now = now.trim_end();
            let holds = if now.is_empty() { String::new() } else { format!("; it holds {}", quoted(now)) };
            Some(format!("the kernel takes no such value there{holds}"))
        }
        _ => None,
    }
}

/// The files of the same controller that can be written.
fn similar(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix = format!("{}.", name.split('.').next().unwrap_or_default());
    let entries = std::fs::read_dir(path.parent().unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    let mut files: Vec<String> = entries
        .filter(|entry| entry.metadata().is_ok_and(|about| about.is_file() && about.mode() & 0o222 != 0))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|file| file.starts_with(&prefix))
        .collect();
    files.sort();
    match files.is_empty() {
        true => format!("it has none that begins with {prefix}"),
        false => format!("it has {}", files.join(", ")),
    }
}

fn why_not_moved(process: u32, groups: &[PathBuf], errno: Errno) -> Option<String> {
    match (errno, process_of(process)) {
        (_, Some(whole)) => {
            Some(format!("{process} is a thread of process {whole}, which moves as a whole: --move {whole}"))
        }
        (Errno::ESRCH, None) => Some("there is no such process (any more)".into()),
        (Errno::EINVAL, None) => {
            Some("a thread of the kernel that is bound to a CPU stays where it is; so does a real-time process (version 1) where cpu.rt_runtime_us is 0".into())
        }
        _ => {
            let doors: Vec<PathBuf> = groups.iter().map(|group| group.join("cgroup.procs")).collect();
            why_not_joined(&doors, errno)
        }
    }
}

fn why_not_joined(doors: &[PathBuf], errno: Errno) -> Option<String> {
    let directory = doors.first()?.parent()?;
    match errno {
        Errno::EACCES | Errno::EPERM => Some(not_yours(directory)),
        Errno::ENOSPC => Some("the group has no CPU or no memory node: give --cpuset and --cpuset-mems".into()),
        Errno::EBUSY | Errno::EOPNOTSUPP => Some("it hands controllers on to groups below it, and may hold no process itself: name a group below it".into()),
        Errno::EAGAIN => Some("its processes are as many as pids.max allows".into()),
        Errno::EINVAL => Some("a process with a real-time priority needs cpu.rt_runtime_us in its group".into()),
        _ => None,
    }
}
