//! A process that is moved by itself, in every hierarchy of a group, and where it came from.

use crate::call::write_file;
use crate::tree::{Hierarchy, Version};
use chain::{Cgroup, Mount, Refusal, cgroups_of, exists, mountinfo, pidfd_open, quoted};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A process that is to be moved, as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub process: u32,
    /// Which of all that may have its number: none where there was no process.
    pub handle: Option<Rc<OwnedFd>>,
    /// Its group in each hierarchy; none where it is outside of what is mounted.
    pub homes: Vec<Option<PathBuf>>,
}

impl Found {
    /// Looks for a process, and where it is in each of these hierarchies.
    pub fn look(process: u32, hierarchies: &[Hierarchy]) -> Found {
        let handle = pidfd_open(Pid::from_raw(process as i32)).ok().map(Rc::new);
        let (groups, mounts) = (cgroups_of(&process.to_string()), mountinfo());
        let homes = hierarchies.iter().map(|one| home(&groups, one, &mounts)).collect();
        Found { process, handle, homes }
    }
}

fn home(groups: &[Cgroup], hierarchy: &Hierarchy, mounts: &[Mount]) -> Option<PathBuf> {
    let is_it = |group: &&Cgroup| match (hierarchy.version, hierarchy.controllers.first()) {
        (Version::Two, _) => group.controllers.is_empty(),
        (Version::One, first) => first.is_some_and(|first| group.controllers.contains(first)),
    };
    let here: Vec<Mount> = mounts.iter().filter(|mount| mount.point == hierarchy.mount).cloned().collect();
    groups.iter().find(is_it)?.directory(&here)
}

/// Writes a process to `cgroup.procs` of each group. The kernel takes a number, and a number can be given to the next
/// process: the handle, older than all that is known of the process, tells whether it is this one's still. Where a group is
/// refused, or the process ends meanwhile, what has that number goes back from those before to its homes.
pub fn move_process(found: &Found, groups: &[PathBuf]) -> Result<(), Refusal> {
    let process = found.process;
    let gone = || Refusal::at(format!("pidfd_open({process}, 0)"), Errno::ESRCH);
    let handle = found.handle.as_ref().filter(|handle| exists(handle)).ok_or_else(gone)?;
    for (at, group) in groups.iter().enumerate() {
        if let Err(refusal) = enter(process, group) {
            go_home(found, at);
            return Err(refusal);
        }
    }
    match exists(handle) {
        true => Ok(()),
        false => {
            go_home(found, groups.len());
            Err(Refusal::at(format!("write({{cgroup.procs}}, \"{process}\")"), Errno::ESRCH))
        }
    }
}

fn go_home(found: &Found, moved: usize) {
    for home in found.homes.iter().take(moved).flatten() {
        let _ = enter(found.process, home);
    }
}

fn enter(process: u32, group: &Path) -> Result<(), Refusal> {
    let door = group.join("cgroup.procs");
    let written = write_file(&door, &process.to_string());
    written.map(drop).map_err(|refusal| Refusal {
        call: Some(refusal.call.unwrap_or_else(|| format!("write({}, \"{process}\")", quoted(&door)))),
        ..refusal
    })
}

/// The process a thread belongs to, if the number is that of another thread than its first.
pub fn process_of(thread: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let process = text.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()?;
    (process != thread).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chain::{cgroups_in, mounts_in};

    #[test]
    fn a_process_is_where_its_line_says_seen_from_what_is_mounted() {
        let groups = cgroups_in(
            b"9:name=systemd:/init\n4:net_cls,net_prio:/a:b\n3:cpu:/docker/7/web\n2:pids:/x (deleted)\n0::/\n",
        );
        let mounts = mounts_in(
            b"1 0 0:1 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n\
            2 0 0:2 / /cg/net rw - cgroup cgroup rw,net_cls,net_prio\n\
            3 0 0:3 /docker/7 /cg/cpu rw - cgroup cgroup rw,cpu\n\
            4 0 0:4 / /cg/pids rw - cgroup cgroup rw,pids\n5 0 0:5 / /cg/unified rw - cgroup2 cgroup2 rw\n",
        );
        let at = |version, mount: &str, controllers: &[&str]| {
            let controllers = controllers.iter().map(|name| (*name).into()).collect();
            home(&groups, &Hierarchy { version, mount: mount.into(), controllers }, &mounts)
        };
        assert_eq!(at(Version::One, "/cg/net", &["net_cls", "net_prio"]), Some("/cg/net/a:b".into()));
        assert_eq!(at(Version::One, "/cg/systemd", &["name=systemd"]), Some("/cg/systemd/init".into()));
        assert_eq!(at(Version::Two, "/cg/unified", &[]), Some("/cg/unified/".into()));
        assert_eq!(at(Version::One, "/cg/cpu", &["cpu"]), Some("/cg/cpu/web".into()));
        assert_eq!(at(Version::One, "/cg/pids", &["pids"]), None);
        assert_eq!(at(Version::One, "/cg/memory", &["memory"]), None);
    }

    #[test]
    fn a_number_that_is_another_s_by_now_is_not_moved() {
        let group = std::env::temp_dir().join(format!("cgset-moved-{}", std::process::id()));
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(group.join("cgroup.procs"), "").unwrap();
        let written = || std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let found = Found::look(child.id(), &[]);
        assert!(move_process(&found, std::slice::from_ref(&group)).is_ok());
        assert_eq!(written(), child.id().to_string());
        std::fs::write(group.join("cgroup.procs"), "").unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let refusal = move_process(&found, std::slice::from_ref(&group)).unwrap_err();
        assert_eq!((refusal.errno, written().as_str()), (Some(Errno::ESRCH), ""));
        std::fs::remove_dir_all(&group).unwrap();
    }
}
