//! A control group as a directory: its members, ending them, removing it.

use crate::label::shown;
use crate::mark::Mark;
use crate::tree::{Hierarchy, Version};
use chain::{Refusal, quoted};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A group that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub directory: PathBuf,
    pub mark: Option<Mark>,
    pub members: Vec<u32>,
    /// The names of the groups in it.
    pub children: Vec<OsString>,
}

impl Group {
    /// Looks at a directory; none where there is no group.
    pub fn look(directory: PathBuf) -> Option<Group> {
        directory.is_dir().then(|| Group {
            mark: Mark::of(&directory),
            members: members(&directory),
            children: children(&directory),
            directory,
        })
    }

    /// Whether a cgset that was killed has left it: it went with a program, and there is no process in it or below it. Groups
    /// in it that are not of cgset's making were that program's.
    pub fn is_left_behind(&self) -> bool {
        let below = || walk(&self.directory).into_iter().skip(1).filter_map(Group::look);
        self.mark == Some(Mark::Transient)
            && self.members.is_empty()
            && below().all(|inner| inner.mark.is_none() && inner.members.is_empty())
    }
}

/// The processes in a group, by `cgroup.procs`; a thread counts as its process.
pub fn members(directory: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let mut members: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    members.sort_unstable();
    members.dedup();
    members
}

/// A group and every group in it, each before those in it, by name.
pub fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut unseen = vec![directory.to_path_buf()];
    while let Some(directory) = unseen.pop() {
        unseen.extend(children(&directory).iter().rev().map(|name| directory.join(name)));
        found.push(directory);
    }
    found
}

/// The processes in a group and in those below it.
pub fn members_of_all(directory: &Path) -> Vec<u32> {
    let mut all: Vec<u32> = walk(directory).iter().flat_map(|one| members(one)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The processes in a group and in those below it that stay there by themselves. Who was killed with the program is there
/// for a moment longer, and so is who ends now. Between its last call and being on the way out a process shows nothing, so
/// who seems to stay is looked at twice.
pub fn staying(directory: &Path) -> Vec<u32> {
    let look = || -> Vec<u32> {
        members_of_all(directory).into_iter().filter(|process| !is_ending(*process)).collect()
    };
    let mut staying = look();
    if !staying.is_empty() {
        std::thread::sleep(Duration::from_millis(2));
        let still = look();
        staying.retain(|process| still.contains(process));
    }
    staying
}

/// Whether every thread of a process is on the way out. The first may have ended long before the others.
fn is_ending(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let stats: Vec<String> =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok()).collect();
    !stats.is_empty() && stats.iter().all(|stat| tells_end(stat))
}

/// Whether a thread's `stat`, as in proc(5), tells of its end: it is a zombie, exits, or SIGKILL waits for it or is what its
/// process is going to have ended by. A busy machine may keep one from its way out for long after it has taken that.
fn tells_end(stat: &str) -> bool {
    const PF_EXITING: u64 = 0x4;
    const SIGKILL: u64 = 1 << (Signal::SIGKILL as u64 - 1);
    // The name stands in brackets and may hold any character; the third field follows it.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.trim_end().parse::<u64>().ok());
    let has = |number, bit| field(number).is_some_and(|bits| bits & bit != 0);
    let is_killed = field(52) == Some(Signal::SIGKILL as u64);
    matches!(fields[0], "Z" | "X") || has(9, PF_EXITING) || has(31, SIGKILL) || is_killed
}

/// The names of the groups in a group.
pub fn children(directory: &Path) -> Vec<OsString> {
    // A directory is linked by its name, by its own dot, and by the two dots of each directory in it.
    if directory.metadata().is_ok_and(|about| about.nlink() == 2) {
        return Vec::new();
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<OsString> = groups.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// Names of groups for a message.
pub fn named(children: &[OsString]) -> String {
    children.iter().map(|name| shown(name.as_bytes())).collect::<Vec<_>>().join(", ")
}

/// Process ids for a message.
pub fn listed(members: &[u32]) -> String {
    let shown: Vec<String> = members.iter().take(10).map(u32::to_string).collect();
    match members.len() {
        0..=10 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - 10),
    }
}

/// The file that freezes a group, with the values that do and undo it.
pub fn freezer_file(version: Version) -> (&'static str, &'static str, &'static str) {
    match version {
        Version::One => ("freezer.state", "FROZEN", "THAWED"),
        Version::Two => ("cgroup.freeze", "1", "0"),
    }
}

/// How long the kernel gets to stop, end or let go of processes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long those who are to be killed get to stop. Who is on the way out never does, nor who another cgset lets go on.
const MOMENT: Duration = Duration::from_millis(50);

/// Waits until `is_so`, in small steps. False when it took too long.
fn wait_until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !is_so() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Stops every process of a group, or lets them go on, and waits until that is so.
pub fn set_frozen(directory: &Path, version: Version, frozen: bool) -> Result<(), Refusal> {
    let (path, value) = write_frozen(directory, version, frozen)?;
    match wait_until(PATIENCE, || is_frozen(directory, version) == frozen) {
        true => Ok(()),
        false => Err(Refusal::at(format!("write({}, \"{value}\")", quoted(&path)), Errno::ETIMEDOUT)),
    }
}

/// Tells a group to stop, or to go on. Returns what was written where.
fn write_frozen(
    directory: &Path,
    version: Version,
    frozen: bool,
) -> Result<(PathBuf, &'static str), Refusal> {
    let (file, freeze, thaw) = freezer_file(version);
    let path = directory.join(file);
    let value = if frozen { freeze } else { thaw };
    std::fs::write(&path, value).map_err(|error| at_write(&path, value, &error))?;
    Ok((path, value))
}

/// Whether every process of a group is stopped.
pub fn is_frozen(directory: &Path, version: Version) -> bool {
    let read = |file| std::fs::read_to_string(directory.join(file)).unwrap_or_default();
    match version {
        Version::One => read("freezer.state").trim() == "FROZEN",
        Version::Two => read("cgroup.events").lines().any(|line| line == "frozen 1"),
    }
}

fn at_write(path: &Path, value: &str, error: &std::io::Error) -> Refusal {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    Refusal::at(format!("write({}, \"{value}\")", quoted(path)), errno)
}

/// Ends every process in a group and in those below it, and waits until all are empty. Frozen meanwhile, none can fork
/// away from it. Returns those it found.
pub fn end_members(home: &Path, freezer: Option<(&Path, Version)>) -> Result<Vec<u32>, Refusal> {
    let found = members_of_all(home);
    if found.is_empty() {
        return Ok(found);
    }
    let all_at_once = home.join("cgroup.kill");
    if all_at_once.exists() {
        std::fs::write(&all_at_once, "1").map_err(|error| at_write(&all_at_once, "1", &error))?;
    }
    let is_empty = wait_until(PATIENCE, || {
        if !members_of_all(home).is_empty() && !all_at_once.exists() {
            kill_frozen(home, freezer);
        }
        members_of_all(home).is_empty()
    });
    match is_empty {
        true => Ok(found),
        false => Err(Refusal::said(format!("still there: {}", listed(&members_of_all(home))))),
    }
}

fn kill_frozen(home: &Path, freezer: Option<(&Path, Version)>) {
    let set = |frozen| freezer.map(|(directory, version)| write_frozen(directory, version, frozen));
    let _ = set(true);
    let is_frozen = || freezer.is_none_or(|(directory, version)| is_frozen(directory, version));
    wait_until(MOMENT, || is_frozen() || members_of_all(home).is_empty());
    for process in members_of_all(home) {
        let _ = kill(Pid::from_raw(process as i32), Signal::SIGKILL);
    }
    // Version 1 delivers even SIGKILL to who is thawed only.
    let _ = set(false);
}

/// rmdir(2) of a group whose last process may not be gone quite yet. False where it was gone before.
pub fn remove(directory: &Path) -> Result<bool, Refusal> {
    let mut outcome = Ok(true);
    wait_until(PATIENCE, || {
        outcome =
            match std::fs::remove_dir(directory).map_err(|error| error.raw_os_error().map(Errno::from_raw)) {
                Ok(()) => Ok(true),
                Err(Some(Errno::ENOENT)) => Ok(false),
                Err(errno) => {
                    let errno = errno.unwrap_or(Errno::UnknownErrno);
                    Err(Refusal::at(format!("rmdir({})", quoted(directory)), errno))
                }
            };
        let is_busy = matches!(&outcome, Err(refusal) if refusal.errno == Some(Errno::EBUSY));
        !is_busy || !members(directory).is_empty() || !children(directory).is_empty()
    });
    outcome
}

/// Removes what was made on the way to a group, from below, as far as nothing else is in it.
pub fn remove_parents(directory: &Path, mount: &Path) {
    for parent in directory.ancestors().skip(1).take_while(|parent| *parent != mount) {
        if Mark::of(parent) != Some(Mark::Parent) || std::fs::remove_dir(parent).is_err() {
            return;
        }
    }
}

/// The file through which a process joins: `tasks` takes 0 for the thread that writes, and no lock over all groups.
pub fn door(hierarchy: &Hierarchy, group: &Path) -> PathBuf {
    let file = if hierarchy.version == Version::One { "tasks" } else { "cgroup.procs" };
    hierarchy.mount.join(group).join(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn the_end_of_a_process_is_told_from_its_stat() {
        let ending = |state, flags, pending, code| {
            let zeros = "0 ".repeat(20);
            format!(
                "7 (a) Z (b) {state} 1 7 7 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 0 0 0 0 0 0 {pending} {zeros}{code}\n"
            )
        };
        let stat = |state, flags, pending| ending(state, flags, pending, 0);
        assert!(!tells_end(&stat("S", 4194304, 0)));
        assert!(!tells_end(&stat("R", 4194304, 1 << 14)));
        assert!(tells_end(&stat("R", 4194304, 1 << 8)));
        assert!(tells_end(&stat("R", 4194308, 0)));
        assert!(tells_end(&stat("Z", 4194304, 0)));
        assert!(tells_end(&ending("R", 4194304, 0, 9)));
        // Stopped by SIGTTIN, or by SIGSTOP.
        assert!(!tells_end(&ending("T", 4194304, 0, 21)) && !tells_end(&ending("T", 4194304, 0, 19)));
        assert!(!tells_end(""));
        assert!(!is_ending(std::process::id()));
    }

    #[test]
    fn a_group_is_walked_by_name_whatever_its_bytes() {
        let top = std::env::temp_dir().join(format!("cgset-walk-{}", std::process::id()));
        let odd = top.join("b").join(OsStr::from_bytes(b"x\xff"));
        std::fs::create_dir_all(odd.join("in")).unwrap();
        std::fs::create_dir_all(top.join("a")).unwrap();
        let expected = [top.clone(), top.join("a"), top.join("b"), odd.clone(), odd.join("in")];
        assert_eq!(walk(&top), expected);
        assert_eq!(named(&children(&top.join("b"))), "x\\xff");
        std::fs::remove_dir_all(&top).unwrap();
    }
}
