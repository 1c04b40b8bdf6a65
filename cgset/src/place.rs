//! A directory that is, or is to be, the root of a hierarchy of version 1: what is there, and what was asked for.

use crate::controllers::{NS, OWN_CGROUPS, together};
use crate::group::{Group, walk};
use crate::label::shown;
use crate::mark::Mark;
use crate::mounting::SOURCE;
use crate::tree::{Hierarchy, Version};
use chain::{Failure, mountinfo};
use std::path::{Path, PathBuf};

/// What is known about a directory that is or is to be the root of a hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Without links and dots, as far as it is there.
    pub directory: PathBuf,
    /// What was asked for, sorted: controllers, or `name=NAME`.
    pub controllers: Vec<String>,
    /// It is there; of a directory, whether anything is in it.
    pub entries: Option<Entries>,
    /// What is mounted there: the type of file system, and the controllers if it is a hierarchy of version 1.
    pub mounted: Option<(String, Vec<String>)>,
    /// By cgset: the mount, whoever made the hierarchy.
    pub is_own_mount: bool,
    /// The same hierarchy is mounted at these other places, too.
    pub elsewhere: Vec<PathBuf>,
    /// No hierarchy carries just these, so it will be a new one.
    pub is_new: bool,
    /// The mark on the root of what is mounted there.
    pub mark: Option<Mark>,
    /// The groups in it, those in others first.
    pub groups: Vec<Group>,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    None,
    Some,
    NoDirectory,
}

impl Place {
    /// Looks; changes nothing. `list` is CTRL[,CTRL].
    ///
    /// # Errors
    /// A word of it is no controller of this kernel.
    pub fn look(list: &str, directory: &Path) -> Result<Place, Failure> {
        let mut controllers: Vec<String> = list.split(',').map(str::to_owned).collect();
        controllers.sort();
        controllers.dedup();
        let proc_cgroups = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
        for name in &controllers {
            refuse_unknown(name, &proc_cgroups)?;
        }
        if controllers.len() > 1 && controllers.iter().any(|name| name.starts_with("name=")) {
            return Err(Failure::new(format!("--hierarchy {list}: a name and controllers"))
                .hint("a hierarchy of controllers needs no name, and one with a name carries none here"));
        }
        let directory = resolved(directory);
        let mounts = mountinfo();
        let hierarchy_of = |mount: &chain::Mount| {
            let one = Hierarchy::of_mount(mount.clone(), &|_| String::new())?;
            (one.version == Version::One).then(|| sorted(one.controllers))
        };
        let mounted = mounts.iter().rfind(|mount| mount.point == directory);
        let carried = mounted.and_then(hierarchy_of);
        let is_same = |mount: &&chain::Mount| {
            hierarchy_of(mount).as_ref() == Some(&controllers) && mount.point != directory
        };
        let elsewhere = mounts.iter().filter(is_same).map(|mount| mount.point.clone()).collect();
        let own = std::fs::read_to_string(OWN_CGROUPS).unwrap_or_default();
        let groups = if carried.is_some() { groups_below(&directory) } else { Vec::new() };
        Ok(Place {
            is_new: together(&own, &controllers[0]).map(sorted).as_ref() != Some(&controllers),
            entries: entries(&directory),
            is_own_mount: mounted.is_some_and(|mount| mount.source == SOURCE),
            mounted: mounted.map(|mount| (mount.kind.clone(), carried.unwrap_or_default())),
            mark: Mark::of(&directory),
            directory,
            controllers,
            elsewhere,
            groups,
        })
    }
}

/// Sets of controllers are compared in order.
pub fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn refuse_unknown(name: &str, proc_cgroups: &str) -> Result<(), Failure> {
    let refused = |what: &str, hint: String| {
        Err(Failure::new(format!("--hierarchy {}: {what}", shown(name.as_bytes()))).hint(hint))
    };
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    if let Some(own) = name.strip_prefix("name=") {
        return match is_word(own) {
            true => Ok(()),
            false => {
                refused("no name of a hierarchy", "letters, digits, dots, _ and -, as in name=lab".into())
            }
        };
    }
    let rows = || {
        proc_cgroups
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
    };
    let known: Vec<&str> = rows().filter_map(|row| row.first().copied()).collect();
    match (name, rows().find(|row| row.first() == Some(&name)).as_deref()) {
        (_, Some([_, _, _, "0"])) => {
            refused("switched off when the machine was started", "see cgroup_disable in /proc/cmdline".into())
        }
        (_, Some(_)) => Ok(()),
        ("ns", None) => refused("no controller of this kernel", format!("ns {}", NS)),
        ("io", None) => refused("no controller of version 1", "there it is called blkio".into()),
        (_, None) if known.is_empty() => {
            refused("this kernel has no version 1", "/proc/cgroups is missing or empty".into())
        }
        (_, None) => refused("no controller of this kernel", format!("it has {}", known.join(", "))),
    }
}

/// The path without links and dots; of what is missing at its end, as it was typed.
fn resolved(directory: &Path) -> PathBuf {
    let whole = std::path::absolute(directory).unwrap_or_else(|_| directory.into());
    for parent in whole.ancestors() {
        if let Ok(there) = parent.canonicalize() {
            return match whole.strip_prefix(parent) {
                Ok(rest) if !rest.as_os_str().is_empty() => there.join(rest),
                _ => there,
            };
        }
    }
    whole
}

fn entries(directory: &Path) -> Option<Entries> {
    let about = directory.metadata().ok()?;
    if !about.is_dir() {
        return Some(Entries::NoDirectory);
    }
    let is_empty = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    Some(if is_empty { Entries::None } else { Entries::Some })
}

/// Every group of a hierarchy but its root, the innermost first.
fn groups_below(root: &Path) -> Vec<Group> {
    walk(root).into_iter().skip(1).rev().filter_map(Group::look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_controller_is_told_why() {
        let rows = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t0\t1\t0\n";
        let refusal = |name| refuse_unknown(name, rows).unwrap_err().to_string();
        assert!(refuse_unknown("cpu", rows).is_ok() && refuse_unknown("name=lab", rows).is_ok());
        assert!(refusal("ns").contains("no controller of this kernel\nhint: ns left Linux in 3.0"));
        assert!(refusal("io").ends_with("hint: there it is called blkio"));
        assert!(refusal("memory").contains("switched off when the machine was started"));
        assert!(refusal("moon").ends_with("no controller of this kernel\nhint: it has cpu, memory"));
        assert!(refusal("").ends_with("hint: it has cpu, memory"));
        assert!(refusal("name=a b").contains("no name of a hierarchy"));
        assert!(refuse_unknown("cpu", "").unwrap_err().to_string().contains("this kernel has no version 1"));
    }

    #[test]
    fn a_path_is_the_same_with_dots_and_with_what_is_missing_at_its_end() {
        assert_eq!(resolved(Path::new("/proc/../etc/./nothing/here")), Path::new("/etc/nothing/here"));
        assert_eq!(resolved(Path::new("/")), Path::new("/"));
    }
}
