//! Hierarchies of version 1 as a whole: mounting one, taking it away, and what stands in the way.

use crate::controllers::{OWN_CGROUPS, together};
use crate::mark::{MARK_OF_ROOT, Mark};
use crate::place::sorted;
use crate::tree::{Hierarchy, Version};
use chain::{Answer, Named, Refusal, mountinfo, quoted, set_xattr};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is mounted, as mountinfo(5) names it: by that a mount is known for cgset's.
pub const SOURCE: &str = "boxutils";

/// What stands between the commas of mount(8)'s `-o`.
pub fn options(controllers: &[String]) -> String {
    let list = controllers.join(",");
    if list.starts_with("name=") { format!("none,{list}") } else { list }
}

/// mkdir(2) of the mount point; its mark lets it go with the hierarchy. A file system that keeps none keeps the directory.
pub fn make_directory(directory: &Path) -> Result<Answer, Refusal> {
    nix::unistd::mkdir(directory, nix::sys::stat::Mode::from_bits_truncate(0o755))?;
    let _ = mark(directory);
    Ok(Answer::zero())
}

/// rmdir(2) of a mount point that [`make_directory`] made; any other stays.
pub fn remove_directory(directory: &Path) -> Result<Answer, Refusal> {
    match Mark::of(directory) {
        Some(Mark::Hierarchy) => {
            nix::unistd::unlinkat(nix::fcntl::AT_FDCWD, directory, nix::unistd::UnlinkatFlags::RemoveDir)?;
            Ok(Answer::zero())
        }
        _ => Ok(Answer::AlreadyThere),
    }
}

fn mark(directory: &Path) -> Result<(), Refusal> {
    let file = File::open(directory)?;
    Ok(set_xattr(Named::Open(file.as_fd()), MARK_OF_ROOT, Mark::Hierarchy.text().as_bytes())?)
}

/// mount(2) of a hierarchy; a new one is marked at its root, for only what cgset made is taken away by it.
pub fn mount_hierarchy(controllers: &[String], directory: &Path, is_new: bool) -> Result<(), Refusal> {
    attach(controllers, directory)?;
    if !is_new {
        return Ok(());
    }
    mark(directory).inspect_err(|_| {
        let _ = umount2(directory, MntFlags::UMOUNT_NOFOLLOW);
    })
}

fn attach(controllers: &[String], directory: &Path) -> Result<(), Errno> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(SOURCE), directory, Some("cgroup"), flags, Some(options(controllers).as_str()))
}

/// How long the kernel may take to let go of groups that were removed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the controllers are on no hierarchy. Groups that were removed just before can outlive the last mount for a
/// moment, and with them their hierarchy stays for good, unless it is mounted and unmounted once more.
pub fn await_release(controllers: &[String], directory: &Path) -> Result<Answer, Refusal> {
    let end = Instant::now() + PATIENCE;
    let is_held = || {
        let own = std::fs::read_to_string(OWN_CGROUPS).unwrap_or_default();
        controllers.iter().any(|name| together(&own, name).is_some())
    };
    let mut pause = Duration::from_millis(1);
    while is_held() {
        if Instant::now() > end {
            return Err(Errno::ETIMEDOUT.into());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
        if is_held() && attach(controllers, directory).is_ok() {
            umount2(directory, MntFlags::UMOUNT_NOFOLLOW)?;
        }
    }
    Ok(Answer::zero())
}

/// Rule 2 as it applies here: on which hierarchy the controllers are that cannot be had.
pub fn why_not_mounted(controllers: &[String], errno: Errno) -> Option<String> {
    match errno {
        Errno::EPERM | Errno::EACCES => {
            Some("a hierarchy is the machine's, with all its processes in it: root alone mounts one, outside any user namespace".into())
        }
        Errno::ENODEV => Some("this kernel was built without version 1".into()),
        Errno::EBUSY => Some(why_busy(controllers)),
        _ => None,
    }
}

fn why_busy(controllers: &[String]) -> String {
    let own = std::fs::read_to_string(OWN_CGROUPS).unwrap_or_default();
    let mounted = mountinfo();
    let hierarchies: Vec<Hierarchy> = mounted
        .into_iter()
        .filter_map(|mount| {
            Hierarchy::of_mount(mount, &|at| {
                std::fs::read_to_string(at.join("cgroup.subtree_control")).unwrap_or_default()
            })
        })
        .collect();
    let place = |version: Version, names: &[String]| {
        let is_it = |one: &&Hierarchy| {
            one.version == version && names.iter().all(|name| one.controllers.contains(name))
        };
        match hierarchies.iter().find(is_it) {
            Some(one) => format!("mounted at {}", quoted(&one.mount)),
            None => "mounted nowhere that is seen from here".into(),
        }
    };
    const RULE: &str = "a controller is on one hierarchy only, with those it was first mounted with";
    for name in controllers {
        match together(&own, name) {
            Some(names) if sorted(names.clone()) != controllers => {
                let with: Vec<&str> =
                    names.iter().filter(|other| *other != name).map(String::as_str).collect();
                let with = if with.is_empty() { "alone".into() } else { format!("with {}", with.join(", ")) };
                return format!("{RULE}: {name} is on one {with}, {}", place(Version::One, &names));
            }
            _ => {}
        }
    }
    let twos = hierarchies.iter().find(|one| one.version == Version::Two);
    let handed_on = |name: &str| if name == "blkio" { "io".to_owned() } else { name.to_owned() };
    let taken =
        controllers.iter().find(|name| twos.is_some_and(|two| two.controllers.contains(&handed_on(name))));
    match (taken, twos) {
        (Some(name), Some(two)) => {
            let control = two.mount.join("cgroup.subtree_control");
            format!(
                "{RULE}: {name} is in use in version 2; nothing below {} may use it: echo -{} > {}",
                quoted(&two.mount),
                handed_on(name),
                control.display()
            )
        }
        _ => format!(
            "{RULE}, and one that was unmounted with groups in it goes on: mount it as it was, remove them, unmount it"
        ),
    }
}
