//! A process to join, as it is seen from here: its namespaces, root, control groups, ids and privileges. It only looks.

use crate::status::Status;
use chain::{CapSet, Failure, Kind, be_root, quoted};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat, stat};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Why a process is looked at.
const WHY: &str = "what a process is in can be joined as long as it lives";

/// What is to be joined, held open so that it stays this process's whatever becomes of its number.
#[derive(Debug)]
pub struct Process {
    pub number: Pid,
    /// pidfd_open(2), twice: a PID namespace is joined before the others.
    pub pidfds: [OwnedFd; 2],
    /// The kinds of namespace in which it is not where we are.
    pub differs: Vec<Kind>,
    /// Its root directory and its working directory.
    pub root: OwnedFd,
    pub working_directory: OwnedFd,
    /// Paths mean something else there than here.
    pub has_another_root: bool,
    /// The control groups it is in and we are not: their `cgroup.procs`.
    pub groups: Vec<PathBuf>,
    /// The control group that holds it still.
    pub frozen: Option<PathBuf>,
    /// Its user and group, as its user namespace has them; none where that has no number for them.
    pub ids: Option<(u32, u32)>,
    /// Its user and group are ours, too.
    pub has_our_ids: bool,
    /// `/proc/PID/setgroups` says deny.
    pub keeps_groups: bool,
    pub status: Status,
    /// This process, for comparison.
    pub own: Status,
    /// The caller's TERM.
    pub terminal: Option<OsString>,
}

impl Process {
    /// Looks at process `value`, a PID in the caller's /proc.
    ///
    /// # Errors
    /// There is none, it cannot be joined, or not be looked at.
    pub fn look(value: &OsStr) -> Result<Process, Failure> {
        let number = number(value)?;
        let own = Status::read(Path::new("/proc/self")).ok_or_else(|| {
            Failure::new("/proc/self/status cannot be read").why(WHY).hint("is /proc mounted here?")
        })?;
        if own.numbers != [Pid::this().as_raw()] {
            return Err(Failure::new("the /proc here shows another PID namespace than this process is in")
                .why(WHY)
                .hint("mount one that shows its own: mount -t proc proc /proc, or start nsexec where ps shows the process"));
        }
        let pidfds = [pidfd(number)?, pidfd(number)?];
        let directory = PathBuf::from(format!("/proc/{number}"));
        let status = Status::read(&directory).ok_or_else(|| absent(number))?;
        refuse_what_cannot_be_joined(number, &status)?;
        let differs = differing(&directory, number)?;
        let at = |name: &str| {
            let path = directory.join(name);
            open(&path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                .map_err(|errno| not_to_be_seen(&path, errno))
        };
        let (root, working_directory) = (at("root")?, at("cwd")?);
        let is_ours = fstat(&root).is_ok_and(|its| {
            stat("/").is_ok_and(|ours| (ours.st_dev, ours.st_ino) == (its.st_dev, its.st_ino))
        });
        let in_other_users = differs.contains(&Kind::User);
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        let ids = match in_other_users {
            true => inside(&read("uid_map"), status.uid).zip(inside(&read("gid_map"), status.gid)),
            false => Some((status.uid, status.gid)),
        };
        let places = chain::cgroups_in(&std::fs::read(directory.join("cgroup")).unwrap_or_default());
        let process = Process {
            number,
            pidfds,
            has_another_root: differs.contains(&Kind::Mount) || !is_ours,
            root,
            working_directory,
            groups: crate::cgroups::to_enter(&places)?,
            frozen: crate::cgroups::frozen(&places),
            ids,
            has_our_ids: (status.uid, status.gid) == (own.uid, own.gid),
            keeps_groups: in_other_users && read("setgroups").trim() == "deny",
            differs,
            status,
            own,
            terminal: std::env::var_os("TERM"),
        };
        // If it lives still, all that was read above was its own and not that of a later process of this number.
        match chain::exists(&process.pidfds[0]) {
            true => Ok(process),
            false => Err(absent(number)),
        }
    }
}

fn number(value: &OsStr) -> Result<Pid, Failure> {
    let parsed = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match parsed.and_then(|text| text.parse().ok()) {
        Some(number) if number > 0 && number != std::process::id() as i32 => Ok(Pid::from_raw(number)),
        Some(number) if number > 0 => {
            Err(Failure::new(format!("--join {number}: that is nsexec itself")).hint("it is in its own namespaces already"))
        }
        _ => Err(Failure::new(format!("--join {}: not a process number", quoted(value)))
            .hint("the PID of one of the processes to be with; --net=FILE and the like join what is bound on a file")),
    }
}

fn absent(number: Pid) -> Failure {
    Failure::new(format!("--join {number}: there is no such process"))
        .why(WHY)
        .hint("it may have ended; ps ax lists those that are here")
}

fn pidfd(number: Pid) -> Result<OwnedFd, Failure> {
    chain::pidfd_open(number).map_err(|errno| match errno {
        Errno::ESRCH => absent(number),
        // A thread has a number as well; the kernel says one or the other, by its age.
        Errno::EINVAL | Errno::ENOENT => {
            let leader = Status::read(Path::new(&format!("/proc/{number}"))).map(|status| status.process);
            let whose =
                leader.map(|process| format!("it is a thread of process {process}: --join {process}"));
            let failure = Failure::refused(format!("pidfd_open({number}, 0)"), errno).why(WHY);
            whose.into_iter().fold(failure, Failure::hint)
        }
        errno => Failure::refused(format!("pidfd_open({number}, 0)"), errno).why(WHY),
    })
}

fn refuse_what_cannot_be_joined(number: Pid, status: &Status) -> Result<(), Failure> {
    if status.is_kernel_thread {
        return Err(Failure::new(format!(
            "--join {number}: that is a thread of the kernel, {}",
            status.name
        ))
        .why(WHY)
        .hint("it is in no namespaces but the machine's own"));
    }
    if matches!(status.state, 'Z' | 'X') {
        return Err(Failure::new(format!("--join {number}: that process has ended")).why(WHY).hint(
            "it is in no namespace any more; what is left of it waits for its parent to ask how it ended",
        ));
    }
    Ok(())
}

/// The kinds of namespace in which a process is not where this one is.
fn differing(directory: &Path, number: Pid) -> Result<Vec<Kind>, Failure> {
    let mut differs = Vec::new();
    for kind in Kind::ALL {
        let own = match kind {
            Kind::Pid => "/proc/self/ns/pid_for_children".into(),
            _ => format!("/proc/self/ns/{}", kind.file()),
        };
        // A kernel that was built without a kind has no file for it.
        let Ok(own) = stat(own.as_str()) else { continue };
        let path = directory.join("ns").join(kind.file());
        match stat(&path) {
            Ok(its) if (its.st_dev, its.st_ino) == (own.st_dev, own.st_ino) => {}
            Ok(_) => differs.push(kind),
            Err(Errno::ENOENT | Errno::ESRCH) => return Err(absent(number)),
            Err(errno) => return Err(not_to_be_seen(&path, errno)),
        }
    }
    Ok(differs)
}

fn not_to_be_seen(path: &Path, errno: Errno) -> Failure {
    let failure = Failure::refused(format!("open({})", quoted(path)), errno).why(WHY);
    match errno {
        Errno::EACCES | Errno::EPERM => failure.hint(format!(
            "that process is not yours, or has more privileges than you: {}",
            be_root("CAP_SYS_PTRACE")
        )),
        _ => failure,
    }
}

/// The id that a map of user_namespaces(7), as it is read from here, gives to our id `outside`.
fn inside(map: &str, outside: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[first, first_outside, count] = numbers.as_slice() else { return None };
        let offset = outside.checked_sub(first_outside).filter(|offset| *offset < count)?;
        first.checked_add(offset)
    })
}

impl Process {
    /// What the program's process may use there: no more than the process that is joined, and no more than we have.
    pub fn allowed(&self) -> chain::Capabilities {
        let ours =
            if self.differs.contains(&Kind::User) { CapSet::ALL } else { self.own.capabilities.permitted };
        let its = self.status.capabilities;
        let permitted = its.permitted.and(ours);
        chain::Capabilities {
            effective: its.effective.and(permitted),
            permitted,
            inheritable: its.inheritable.and(permitted),
            ambient: its.ambient.and(its.inheritable).and(permitted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_the_extent_it_lies_in() {
        let map = "         0     100000      65536\n     70000       1000          1\n";
        assert_eq!(inside(map, 100_000), Some(0));
        assert_eq!(inside(map, 165_535), Some(65_535));
        assert_eq!(inside(map, 165_536), None);
        assert_eq!(inside(map, 1000), Some(70_000));
        assert_eq!(inside("0 0 4294967295\n", 33), Some(33));
        assert_eq!(inside("", 0), None);
    }

    #[test]
    fn only_a_process_number_is_one() {
        assert_eq!(number(OsStr::new("7")).unwrap(), Pid::from_raw(7));
        for word in ["", "0", "-1", "web", "99999999999", "7 "] {
            assert!(
                number(OsStr::new(word)).unwrap_err().to_string().contains("not a process number"),
                "{word:?}"
            );
        }
        let own = std::process::id().to_string();
        assert!(number(OsStr::new(&own)).unwrap_err().to_string().contains("nsexec itself"));
    }
}
