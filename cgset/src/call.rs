//! Every call cgset makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what
//! to do when the kernel says no.

use crate::group::{self, MARK_OF_ROOT, MARK_OF_USERS, Mark, listed};
use crate::stat;
use crate::tree::{Hierarchy, Version};
use chain::{Answer, Named, Refusal, Shell, print_data, quoted, say, set_xattr};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::Mode;
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// A call; each variant is named after the system call or the file.
#[derive(Debug)]
pub enum Call {
    /// `cgroup.subtree_control`
    EnableControllers { directory: PathBuf, names: Vec<String> },
    /// mkdir(2), setxattr(2)
    MakeGroup { directory: PathBuf, mark: Mark, by_root: bool },
    /// flock(2) of the group's directory
    LockGroup { directory: PathBuf },
    /// A file of the group
    WriteKnob { path: PathBuf, value: String, if_there: bool },
    /// `cgroup.procs`, a write for each process
    MoveMembers { from: PathBuf, to: PathBuf },
    /// `tasks` or `cgroup.procs`: 0 is the one who writes
    Join { doors: Vec<PathBuf> },
    /// `memory.oom_control` or `memory.events`
    ReportOom { name: String, directory: PathBuf, version: Version },
    /// `cgroup.kill`, or kill(2) of each while they are frozen
    EndMembers { name: String, home: PathBuf, freezer: Option<(PathBuf, Version)>, say_so: bool },
    /// rmdir(2) in each hierarchy, and of what was made on the way
    RemoveGroup { directories: Vec<(PathBuf, PathBuf)>, home: PathBuf, leave_if_busy: bool },
    /// `freezer.state` or `cgroup.freeze`
    SetFrozen { directory: PathBuf, version: Version, frozen: bool },
    /// `cgroup.procs`
    PrintMembers { directories: Vec<PathBuf> },
    /// The files that count
    PrintStat { name: String, groups: Vec<(Hierarchy, PathBuf)>, json: bool },
}

/// What one call keeps for others.
#[derive(Default)]
pub struct State {
    /// Held until this process ends: nobody else takes the group over or removes it.
    lock: Option<Flock<File>>,
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::EnableControllers { directory, names } => {
                let text: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
                write!(
                    f,
                    "write({}, \"{}\")",
                    quoted(directory.join("cgroup.subtree_control")),
                    text.join(" ")
                )
            }
            Call::MakeGroup { directory, mark, by_root } => {
                let name = if *by_root { MARK_OF_ROOT } else { MARK_OF_USERS };
                write!(
                    f,
                    "mkdir({0}, 0755)\nsetxattr({0}, {1:?}, \"{2}\")",
                    quoted(directory),
                    name,
                    mark.text()
                )
            }
            Call::LockGroup { directory } => write!(f, "flock({}, LOCK_EX|LOCK_NB)", quoted(directory)),
            Call::WriteKnob { path, value, .. } => write!(f, "write({}, {})", quoted(path), quoted(value)),
            Call::MoveMembers { from, to } => {
                write!(
                    f,
                    "write({}, {{each of {}}})",
                    quoted(to.join("cgroup.procs")),
                    quoted(from.join("cgroup.procs"))
                )
            }
            Call::Join { doors } => {
                let lines: Vec<String> =
                    doors.iter().map(|door| format!("write({}, \"0\")", quoted(door))).collect();
                f.write_str(&lines.join("\n"))
            }
            Call::ReportOom { directory, version, .. } => {
                write!(f, "read({})", quoted(directory.join(stat::oom_file(*version))))
            }
            Call::EndMembers { home, .. } => {
                write!(f, "kill({{each of {}}}, SIGKILL)", quoted(home.join("cgroup.procs")))
            }
            Call::RemoveGroup { directories, .. } => {
                let lines: Vec<String> =
                    directories.iter().map(|(_, one)| format!("rmdir({})", quoted(one))).collect();
                f.write_str(&lines.join("\n"))
            }
            Call::SetFrozen { directory, version, frozen } => {
                let (file, freeze, thaw) = group::freezer_file(*version);
                write!(
                    f,
                    "write({}, \"{}\")",
                    quoted(directory.join(file)),
                    if *frozen { freeze } else { thaw }
                )
            }
            Call::PrintMembers { directories } => {
                let lines: Vec<String> = directories
                    .iter()
                    .map(|one| format!("read({})", quoted(one.join("cgroup.procs"))))
                    .collect();
                f.write_str(&lines.join("\n"))
            }
            Call::PrintStat { groups, .. } => {
                let lines: Vec<String> = groups
                    .iter()
                    .map(|(_, one)| format!("read({{the counters in {}}})", quoted(one)))
                    .collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        crate::shell::of(self)
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::EnableControllers { directory, names } => {
                let text: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
                return write_file(&directory.join("cgroup.subtree_control"), &text.join(" "));
            }
            Call::MakeGroup { directory, mark, by_root } => return make(directory, *mark, *by_root),
            // Who removes what is left behind looks whether it is locked, and holds it for that moment.
            Call::LockGroup { directory } => state.lock = Some(retry(|| lock(directory))?),
            Call::WriteKnob { path, value, if_there } => {
                return match write_file(path, value) {
                    Err(Refusal { errno: Some(Errno::ENOENT), .. }) if *if_there => Ok(Answer::AlreadyThere),
                    answer => answer,
                };
            }
            Call::MoveMembers { from, to } => move_members(from, to)?,
            Call::Join { doors } => {
                for door in doors {
                    write_file(door, "0").map_err(|refusal| refusal_at(door, "0", refusal))?;
                }
                return Ok(Answer::Made("1".into()));
            }
            Call::ReportOom { name, directory, version } => {
                if let Some(line) = stat::oom_line(name, directory, *version) {
                    say(&line);
                }
            }
            Call::EndMembers { name, home, freezer, say_so } => {
                let freezer = freezer.as_ref().map(|(directory, version)| (directory.as_path(), *version));
                let ended = group::end_members(home, freezer)?;
                if *say_so && !ended.is_empty() {
                    say(&format!(
                        "cgset: {name}: still in the group when the program had ended, and killed: {}\n",
                        listed(&ended)
                    ));
                }
                if ended.is_empty() {
                    return Ok(Answer::AlreadyThere);
                }
            }
            Call::RemoveGroup { directories, home, leave_if_busy } => {
                return match remove(directories, home, state) {
                    Err(Refusal { errno: Some(Errno::EWOULDBLOCK | Errno::EBUSY), .. }) if *leave_if_busy => {
                        Ok(Answer::AlreadyThere)
                    }
                    answer => answer,
                };
            }
            Call::SetFrozen { directory, version, frozen } => {
                group::set_frozen(directory, *version, *frozen)?
            }
            Call::PrintMembers { directories } => {
                let mut all: Vec<u32> = directories.iter().flat_map(|one| group::members(one)).collect();
                all.sort_unstable();
                all.dedup();
                let text: String = all.iter().map(|process| format!("{process}\n")).collect();
                print_data(text.as_bytes())?;
                return Ok(Answer::Made(format!("{} processes", all.len())));
            }
            Call::PrintStat { name, groups, json } => {
                print_data(stat::of(name, groups).text(*json).as_bytes())?;
            }
        }
        Ok(Answer::zero())
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        crate::hint::of(self, refusal)
    }
}

/// One write(2) to an interface file, which the kernel takes whole or not at all. A file that is missing is never made.
fn write_file(path: &Path, text: &str) -> Result<Answer, Refusal> {
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

/// One of several writes was refused: which.
fn refusal_at(path: &Path, text: &str, refusal: Refusal) -> Refusal {
    let call = refusal.call.unwrap_or_else(|| format!("write({}, \"{text}\")", quoted(path)));
    Refusal { call: Some(call), ..refusal }
}

fn make(directory: &Path, mark: Mark, by_root: bool) -> Result<Answer, Refusal> {
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

fn lock(directory: &Path) -> Result<Flock<File>, Refusal> {
    let call = || format!("flock({}, LOCK_EX|LOCK_NB)", quoted(directory));
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let file = open(directory, flags, Mode::empty()).map_err(|errno| Refusal::at(call(), errno))?;
    Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| Refusal::at(call(), errno))
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

fn move_members(from: &Path, to: &Path) -> Result<(), Refusal> {
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
fn remove(directories: &[(PathBuf, PathBuf)], home: &Path, state: &mut State) -> Result<Answer, Refusal> {
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
