//! What a report needs: where its numbers are counted, and a file that can be written.

use super::on_the_way;
use crate::group::members;
use crate::tree::{Hierarchy, Tree, Version};
use chain::Failure;
use nix::errno::Errno;
use nix::unistd::AccessFlags;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Whether a hierarchy counts what a report shows: version 2 does by itself.
pub fn counts(hierarchy: &Hierarchy) -> bool {
    let has = |name: &str| hierarchy.controllers.iter().any(|known| known == name);
    hierarchy.version == Version::Two || ["cpu", "cpuacct", "memory", "blkio"].into_iter().any(has)
}

/// The controllers of version 2 that count for a report, as far as they can be handed on down to the group without moving
/// anybody: a report is no reason to fail.
pub fn countable(tree: &Tree, group: &Path) -> Vec<String> {
    let Some(two) = tree.hierarchies.iter().find(|one| one.version == Version::Two) else {
        return Vec::new();
    };
    let mut names: Vec<String> = ["cpu", "io", "memory", "pids"].map(str::to_owned).into();
    names.retain(|name| two.controllers.contains(name));
    let way = on_the_way(two, group);
    for directory in way[..way.len() - 1].iter().filter(|directory| directory.is_dir()) {
        let control = directory.join("cgroup.subtree_control");
        let on = std::fs::read_to_string(&control).unwrap_or_default();
        let may_hold = *directory == two.mount || members(directory).is_empty();
        let can_hand_on = may_hold && nix::unistd::access(&control, AccessFlags::W_OK).is_ok();
        names.retain(|name| can_hand_on || on.split_whitespace().any(|known| known == name));
    }
    names
}

/// A report that cannot be written is better told before the program runs. Whether its file is a FIFO.
pub fn check_report(file: Option<&Path>) -> Result<bool, Failure> {
    let Some(file) = file else { return Ok(false) };
    if file.as_os_str().is_empty() {
        return Err(Failure::new("--report=: no name of a file").hint("--report by itself writes on stderr"));
    }
    let place = match (file.exists(), file.parent()) {
        (true, _) => file,
        (false, Some(parent)) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let refused = match nix::unistd::access(place, AccessFlags::W_OK) {
        Err(errno) => Some(errno),
        Ok(()) => file.is_dir().then_some(Errno::EISDIR),
    };
    match refused {
        Some(errno) => Err(Failure::new(format!("--report={}: {}", file.display(), chain::in_words(errno)))
            .hint("give a file that can be written, as in --report=run.json")),
        None => Ok(file.metadata().is_ok_and(|about| about.file_type().is_fifo())),
    }
}
