//! The control groups of a process that is joined: where they are from here, and whether one holds it still. It only looks.

use chain::{Cgroup, Failure, cgroups_of, mountinfo};
use std::path::{Path, PathBuf};

/// The directories of those groups that this process is not in.
///
/// # Errors
/// One of them is nowhere to be seen.
pub fn to_enter(places: &[Cgroup]) -> Result<Vec<PathBuf>, Failure> {
    let others = others(places, &cgroups_of("self"));
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let mounts = mountinfo();
    let directory = |place: &Cgroup| place.directory(&mounts).ok_or_else(|| unseen(place));
    others.iter().map(directory).collect()
}

fn others(places: &[Cgroup], own: &[Cgroup]) -> Vec<Cgroup> {
    places.iter().filter(|place| !own.contains(place)).cloned().collect()
}

fn unseen(place: &Cgroup) -> Failure {
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
pub fn frozen(places: &[Cgroup]) -> Option<PathBuf> {
    let is_candidate = |place: &&Cgroup| {
        place.controllers.is_empty() || place.controllers.iter().any(|name| name == "freezer")
    };
    let candidates: Vec<&Cgroup> = places.iter().filter(is_candidate).collect();
    let mounts = if candidates.is_empty() { Vec::new() } else { mountinfo() };
    candidates.into_iter().find_map(|place| {
        let directory = place.directory(&mounts)?;
        let depth = place.path.components().count();
        let above: Vec<&Path> = directory.ancestors().take(depth).collect();
        let group = above.into_iter().rev().find(|group| is_frozen(group))?;
        let mount = mounts.iter().find(|mount| place.is_on(mount) && group.starts_with(&mount.point));
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
    use chain::cgroups_in;

    #[test]
    fn only_other_groups_are_entered() {
        let (its, ours) = (cgroups_in(b"4:cpu:/web\n0::/\n"), cgroups_in(b"4:cpu:/\n0::/\n"));
        assert_eq!(others(&its, &ours), cgroups_in(b"4:cpu:/web\n"));
        assert!(others(&its, &its).is_empty());
    }
}
