//! Where there is no room for a chain: a control group that allows fewer processes than its tools take, or less memory.

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

/// The whole chain takes half of this until its program runs, and a program that is small starts in it.
pub const A_START: u64 = 4 << 20;
/// What is said of a limit below that.
pub const TOO_LITTLE: &str = "so little hardly holds the start of a program, nor that of each tool of a chain before it: --memory 16M leaves room for them";

/// The limit that execve(2) has met by this answer. It copies the arguments first, and says E2BIG where there is no memory
/// for these; `is_short`: that is not their own length.
pub(crate) fn why_no_memory(errno: Errno, is_short: bool) -> Option<String> {
    match errno {
        Errno::ENOMEM => small_group(&own_groups(None)),
        Errno::E2BIG if is_short => small_group(&own_groups(None)),
        _ => None,
    }
}

/// The first of these groups, and of those around each, that has less memory than a start takes, in words.
fn small_group(groups: &[PathBuf]) -> Option<String> {
    groups.iter().flat_map(|group| group.ancestors()).find_map(|group| {
        ["memory.max", "memory.limit_in_bytes"].into_iter().find_map(|file| {
            // Without a limit the one of version 2 says max, the other a number beyond any memory.
            let max: u64 = std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()?;
            (max < A_START).then(|| format!("{file} of {} is {max}: {TOO_LITTLE}", quoted(group)))
        })
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
    fn too_little_memory_is_found_in_either_version_and_enough_is_not() {
        let top = std::env::temp_dir().join(format!("chain-memory-{}", std::process::id()));
        let group = top.join("lab/web");
        std::fs::create_dir_all(&group).unwrap();
        let groups = [group];
        for (file, unlimited) in [("memory.max", "max"), ("memory.limit_in_bytes", "9223372036854771712")] {
            std::fs::write(top.join("lab/web").join(file), unlimited).unwrap();
            for (limit, is_small) in
                [("0\n", true), ("8192\n", true), ("4194304\n", false), (unlimited, false)]
            {
                std::fs::write(top.join("lab").join(file), limit).unwrap();
                let found = small_group(&groups);
                assert_eq!(found.is_some(), is_small, "{file} {limit}");
                let start = format!("{file} of {} is {}: so little", quoted(top.join("lab")), limit.trim());
                assert!(found.is_none_or(|text| text.starts_with(&start)));
            }
        }
        assert_eq!(why_no_memory(Errno::E2BIG, false), None);
        std::fs::remove_dir_all(&top).unwrap();
    }

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
