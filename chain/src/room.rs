//! Where there is no room for a chain: a control group that allows fewer processes than its tools take.

use crate::cgroup::cgroups_of;
use crate::mountinfo::mountinfo;
use crate::strace::quoted;
use nix::errno::Errno;
use std::path::{Path, PathBuf};

/// Enough for any chain and a small program: each tool that waits is a process, and so is a reaper.
const PROCESSES: u64 = 16;

/// The limit that clone(2) has met by this answer. The new process counts in the group it is born in: this one's, or
/// `birthplace`.
pub(crate) fn why_no_process(errno: Errno, birthplace: Option<&Path>) -> Option<String> {
    if errno != Errno::EAGAIN {
        return None;
    }
    Some(match full_group(&own_groups(birthplace)) {
        Some((group, max)) => format!(
            "pids.max of {} is {max}, and each tool of a chain that waits is a process, too: cgset --pids {} leaves room for them",
            quoted(group),
            if max < PROCESSES { PROCESSES } else { 2 * max }
        ),
        None => format!(
            "a limit on processes is reached: pids.max of the control group (cgset --pids {PROCESSES} leaves room for a chain), or ulimit -u"
        ),
    })
}

fn own_groups(birthplace: Option<&Path>) -> Vec<PathBuf> {
    let mounts = mountinfo();
    let own = cgroups_of("self").into_iter().filter_map(|group| group.directory(&mounts));
    birthplace.map(Path::to_path_buf).into_iter().chain(own).collect()
}

/// The first of these groups, and of those around each, that takes no more processes, and how many it takes.
fn full_group(groups: &[PathBuf]) -> Option<(&Path, u64)> {
    let number = |group: &Path, file| std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
    groups.iter().flat_map(|group| group.ancestors()).find_map(|group| {
        // Without a limit the file says max.
        let (now, max): (u64, u64) = (number(group, "pids.current")?, number(group, "pids.max")?);
        (now >= max).then_some((group, max))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_found_in_the_group_or_in_one_around_it() {
        let top = std::env::temp_dir().join(format!("chain-room-{}", std::process::id()));
        let group = top.join("lab/web");
        std::fs::create_dir_all(&group).unwrap();
        let write = |path: &str, text: &str| std::fs::write(top.join(path), text).unwrap();
        for (directory, max, now) in [("lab/web", "max\n", "3\n"), ("lab", "3\n", "3\n")] {
            write(&format!("{directory}/pids.max"), max);
            write(&format!("{directory}/pids.current"), now);
        }
        let hint = why_no_process(Errno::EAGAIN, Some(&group)).unwrap();
        assert!(
            hint.contains("lab\" is 3, and each") && hint.contains(": cgset --pids 16 leaves room"),
            "{hint}"
        );
        write("lab/pids.max", "20\n");
        write("lab/pids.current", "20\n");
        let hint = why_no_process(Errno::EAGAIN, Some(&group)).unwrap();
        assert!(
            hint.contains("lab\" is 20, and each") && hint.contains(": cgset --pids 40 leaves room"),
            "{hint}"
        );
        write("lab/pids.current", "19\n");
        assert_eq!(full_group(std::slice::from_ref(&group)), None);
        assert_eq!(why_no_process(Errno::EPERM, Some(&group)), None);
        std::fs::remove_dir_all(&top).unwrap();
    }
}
