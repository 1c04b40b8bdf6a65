//! The control groups of a process: proc_pid_cgroup(5), read in one place.

use crate::mountinfo::Mount;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The group of a process in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Of version 1 those of the hierarchy, or `name=NAME`; none of version 2.
    pub controllers: Vec<String>,
    /// From the root of what this process sees of the hierarchy.
    pub path: PathBuf,
}

/// The groups of a process, `process` being its directory in /proc; none where there is no such process.
pub fn cgroups_of(process: &str) -> Vec<Cgroup> {
    cgroups_in(&std::fs::read(Path::new("/proc").join(process).join("cgroup")).unwrap_or_default())
}

/// The groups in a text of that form: `id:controllers:path`; a line that has another is left out.
pub fn cgroups_in(text: &[u8]) -> Vec<Cgroup> {
    let group = |line: &[u8]| {
        let mut fields = line.splitn(3, |&byte| byte == b':').skip(1);
        let controllers = String::from_utf8_lossy(fields.next()?).into_owned();
        let names = controllers.split(',').filter(|name| !name.is_empty());
        let path = OsStr::from_bytes(fields.next()?).into();
        Some(Cgroup { controllers: names.map(str::to_owned).collect(), path })
    };
    text.split(|&byte| byte == b'\n').filter_map(group).collect()
}

impl Cgroup {
    /// Its directory, if it can be seen in these mounts: not where it is outside of what they show, nor where it is gone.
    pub fn directory(&self, mounts: &[Mount]) -> Option<PathBuf> {
        if self.path.as_os_str().as_bytes().ends_with(b" (deleted)") {
            return None;
        }
        mounts.iter().filter(|mount| self.is_on(mount)).find_map(|mount| {
            let below = self.path.strip_prefix(&mount.root).ok()?;
            let is_plain = below.components().all(|part| matches!(part, Component::Normal(_)));
            is_plain.then(|| mount.point.join(below))
        })
    }

    /// Whether a mount is one of its hierarchy.
    pub fn is_on(&self, mount: &Mount) -> bool {
        match self.controllers.is_empty() {
            true => mount.kind == "cgroup2",
            false => {
                mount.kind == "cgroup"
                    && self.controllers.iter().all(|name| mount.super_options.contains(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"25 24 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
        27 24 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        28 24 0:26 /lab /mnt rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_group_is_found_where_its_hierarchy_is_mounted() {
        let found: Vec<Option<PathBuf>> = cgroups_in(
            b"4:cpu,cpuacct:/web\n2:name=systemd:/a:b\n0::/lab/x\n3:pids:/web\n5:cpu:/../out\n\
            4:cpu,cpuacct:/x (deleted)\n0::/other\nnonsense\n",
        )
        .iter()
        .map(|group| group.directory(&crate::mounts_in(MOUNTS)))
        .collect();
        let expected = ["/sys/fs/cgroup/cpu/web", "/sys/fs/cgroup/systemd/a:b", "/mnt/x"];
        assert_eq!(found[..3], expected.map(|path| Some(PathBuf::from(path))));
        assert_eq!(found[3..], [None, None, None, None]);
        assert_eq!(cgroups_in(b"1:cpu:/\xff\n")[0].path.as_os_str().as_bytes(), b"/\xff");
    }
}
