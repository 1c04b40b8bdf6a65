//! A process that is moved by itself, in every hierarchy of a group, and where it came from.

use crate::call::write_file;
use crate::tree::{Hierarchy, Version};
use chain::{Refusal, exists, pidfd_open, quoted};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

/// The group of a process in each of these hierarchies: proc_pid_cgroup(5). None where it is outside of what is mounted.
pub fn homes(process: u32, hierarchies: &[Hierarchy]) -> Vec<Option<PathBuf>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    hierarchies.iter().map(|one| home(&text, one)).collect()
}

fn home(text: &str, hierarchy: &Hierarchy) -> Option<PathBuf> {
    let place = text.lines().find_map(|line| {
        let (id, rest) = line.split_once(':')?;
        let (controllers, place) = rest.split_once(':')?;
        let is_it = match hierarchy.version {
            Version::Two => id == "0",
            Version::One => {
                let first = hierarchy.controllers.first()?;
                controllers.split(',').any(|name| name == first)
            }
        };
        is_it.then_some(place)
    })?;
    let place = place.strip_prefix('/')?;
    let is_inside = !Path::new(place).starts_with("..") && !place.ends_with(" (deleted)");
    is_inside.then(|| hierarchy.mount.join(place))
}

/// Writes a process to `cgroup.procs` of each group. The kernel takes a number, and a number can be given to the next
/// process: the handle tells whether it was this one's all the time. Where a group is refused, it goes back from those
/// before to `homes`.
pub fn move_process(process: u32, groups: &[PathBuf], homes: &[Option<PathBuf>]) -> Result<(), Refusal> {
    let handle = pidfd_open(Pid::from_raw(process as i32))
        .map_err(|errno| Refusal::at(format!("pidfd_open({process}, 0)"), errno))?;
    for (at, group) in groups.iter().enumerate() {
        if let Err(refusal) = enter(process, group) {
            for home in homes.iter().take(at).flatten() {
                let _ = enter(process, home);
            }
            return Err(refusal);
        }
    }
    match exists(&handle) {
        false => Err(Refusal::at(format!("write({{cgroup.procs}}, \"{process}\")"), Errno::ESRCH)),
        true => Ok(()),
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

    #[test]
    fn a_process_is_where_its_line_says() {
        let text =
            "9:name=systemd:/init\n4:net_cls,net_prio:/a:b\n3:cpu:/../out\n2:pids:/x (deleted)\n0::/\n";
        let at = |version, controllers: &[&str]| {
            let controllers = controllers.iter().map(|name| (*name).into()).collect();
            home(text, &Hierarchy { version, mount: "/cg".into(), controllers })
        };
        assert_eq!(at(Version::One, &["net_cls", "net_prio"]), Some("/cg/a:b".into()));
        assert_eq!(at(Version::One, &["name=systemd"]), Some("/cg/init".into()));
        assert_eq!(at(Version::Two, &[]), Some("/cg/".into()));
        assert_eq!(at(Version::One, &["cpu"]), None);
        assert_eq!(at(Version::One, &["pids"]), None);
        assert_eq!(at(Version::One, &["memory"]), None);
    }
}
