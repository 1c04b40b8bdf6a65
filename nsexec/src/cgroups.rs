//! The control groups of a process that is joined: where they are from here, and whether one holds it still. It only looks.

use chain::{Failure, Mount, mountinfo};
use std::path::{Component, Path, PathBuf};

/// One line of `/proc/PID/cgroup`: cgroups(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of version 1, those of the hierarchy, or its name; none of version 2.
    controllers: Vec<String>,
    /// From the root of what this process sees of the hierarchy.
    path: PathBuf,
}

/// The groups in the text of such a file.
pub fn places(text: &str) -> Vec<Place> {
    let place = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next()?.split(',').filter(|name| !name.is_empty());
        Some(Place { controllers: names.map(str::to_owned).collect(), path: fields.next()?.into() })
    };
    text.lines().filter_map(place).collect()
}

impl Place {
    /// Its directory, if it can be seen in these mounts.
    fn directory(&self, mounts: &[Mount]) -> Option<PathBuf> {
        mounts.iter().filter(|mount| self.is_of(mount)).find_map(|mount| {
            let below = self.path.strip_prefix(&mount.root).ok()?;
            let is_plain = below.components().all(|part| matches!(part, Component::Normal(_)));
            is_plain.then(|| mount.point.join(below))
        })
    }

    fn is_of(&self, mount: &Mount) -> bool {
        match self.controllers.is_empty() {
            true => mount.kind == "cgroup2",
            false => {
                mount.kind == "cgroup"
                    && self.controllers.iter().all(|name| mount.super_options.contains(name))
            }
        }
    }
}

/// The directories of those groups that this process is not in.
///
/// # Errors
/// One of them is nowhere to be seen.
pub fn to_enter(places: &[Place]) -> Result<Vec<PathBuf>, Failure> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let others = others(places, &self::places(&own));
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let mounts = mountinfo();
    let directory = |place: &Place| place.directory(&mounts).ok_or_else(|| unseen(place));
    others.iter().map(directory).collect()
}

fn others(places: &[Place], own: &[Place]) -> Vec<Place> {
    places.iter().filter(|place| !own.contains(place)).cloned().collect()
}

fn unseen(place: &Place) -> Failure {
    let hierarchy = match place.controllers.is_empty() {
        true => "version 2".into(),
        false => place.controllers.join(","),
    };
    let mount = match place.controllers.is_empty() {
        true => "mount -t cgroup2 none DIR".into(),
        false => format!("mount -t cgroup -o {hierarchy} none DIR"),
    };
    Failure::new(format!(
        "the control group {} of {hierarchy} cannot be seen from here",
        place.path.display()
    ))
    .why("it uses what the others there use, and is limited with them")
    .hint(format!("mount that hierarchy: {mount}"))
}

/// The outermost control group that holds those in it still, if one of these does.
pub fn frozen(places: &[Place]) -> Option<PathBuf> {
    let is_candidate = |place: &&Place| {
        place.controllers.is_empty() || place.controllers.iter().any(|name| name == "freezer")
    };
    let candidates: Vec<&Place> = places.iter().filter(is_candidate).collect();
    let mounts = if candidates.is_empty() { Vec::new() } else { mountinfo() };
    candidates.into_iter().find_map(|place| {
        let directory = place.directory(&mounts)?;
        let depth = place.path.components().count();
        let above: Vec<&Path> = directory.ancestors().take(depth).collect();
        let group = above.into_iter().rev().find(|group| is_frozen(group))?;
        let mount = mounts.iter().find(|mount| place.is_of(mount) && group.starts_with(&mount.point));
        let name = mount.and_then(|mount| group.strip_prefix(&mount.point).ok()).unwrap_or(group);
        Some(name.into())
    })
}

/// `freezer.self_freezing` of version 1, `cgroup.freeze` of version 2: what was asked for in this very group.
fn is_frozen(group: &Path) -> bool {
    let asks = |file: &str| std::fs::read_to_string(group.join(file)).is_ok_and(|text| text.trim() == "1");
    asks("freezer.self_freezing") || asks("cgroup.freeze")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"25 24 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
        27 24 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        28 24 0:26 /lab /mnt rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_group_is_found_where_its_hierarchy_is_mounted() {
        let found: Vec<Option<PathBuf>> =
            places("4:cpu,cpuacct:/web\n2:name=systemd:/a:b\n0::/lab/x\n3:pids:/web\n5:cpu:/../out\n")
                .iter()
                .map(|place| place.directory(&chain::mounts_in(MOUNTS)))
                .collect();
        let expected = ["/sys/fs/cgroup/cpu/web", "/sys/fs/cgroup/systemd/a:b", "/mnt/x"];
        assert_eq!(found[..3], expected.map(|path| Some(PathBuf::from(path))));
        assert_eq!(found[3..], [None, None]);
    }

    #[test]
    fn only_other_groups_are_entered() {
        let (its, ours) = (places("4:cpu:/web\n0::/\n"), places("4:cpu:/\n0::/\n"));
        assert_eq!(others(&its, &ours), places("4:cpu:/web\n"));
        assert!(others(&its, &its).is_empty());
    }
}
