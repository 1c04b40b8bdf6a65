//! The calls about hierarchies of version 1 as a whole: mounting one, taking it away, and what stands in the way.

use crate::controllers::{OWN_CGROUPS, together};
use crate::mark::{MARK_OF_ROOT, Mark};
use crate::place::sorted;
use crate::shell::{joined, lines, marked, text};
use crate::tree::{Hierarchy, Version};
use chain::{Answer, Named, Refusal, Shell, join, mountinfo, quote, quoted, set_xattr};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is mounted, as mountinfo(5) names it: by that a mount is known for cgset's.
pub const SOURCE: &str = "boxutils";

/// A call; each variant is named after the system call or the file.
#[derive(Debug)]
pub enum MountCall {
    /// mkdir(2) of a mount point
    MakeDirectory { directory: PathBuf },
    /// rmdir(2) of one that was made
    RemoveDirectory { directory: PathBuf },
    /// mount(2)
    MountHierarchy { controllers: Vec<String>, directory: PathBuf, is_new: bool },
    /// umount2(2)
    UnmountHierarchy { directory: PathBuf },
    /// `/proc/self/cgroup`
    AwaitRelease { controllers: Vec<String>, directory: PathBuf },
}

impl Display for MountCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            MountCall::MakeDirectory { directory } => write!(f, "mkdir({}, 0755)", quoted(directory)),
            MountCall::RemoveDirectory { directory } => write!(f, "rmdir({})", quoted(directory)),
            MountCall::MountHierarchy { controllers, directory, .. } => write!(
                f,
                "mount(\"{SOURCE}\", {}, \"cgroup\", MS_NOSUID|MS_NODEV|MS_NOEXEC, {})",
                quoted(directory),
                quoted(options(controllers))
            ),
            MountCall::UnmountHierarchy { directory } => {
                write!(f, "umount2({}, UMOUNT_NOFOLLOW)", quoted(directory))
            }
            MountCall::AwaitRelease { controllers, .. } => {
                write!(f, "read(\"{OWN_CGROUPS}\") until {} is on no hierarchy", controllers.join(","))
            }
        }
    }
}

impl MountCall {
    /// The classic command that does the same.
    pub fn shell(&self) -> Shell {
        match self {
            MountCall::MakeDirectory { directory } => {
                lines([text(&["mkdir "], directory, ""), marked(Mark::Hierarchy, directory, MARK_OF_ROOT)])
            }
            MountCall::RemoveDirectory { directory } => {
                let is_ours = text(
                    &["[ \"$(getfattr --only-values -n ", &MARK_OF_ROOT.to_string_lossy(), " "],
                    directory,
                    " 2>/dev/null)\" != hierarchy ] || rmdir ",
                );
                Shell::Line(joined([is_ours, quote(directory.as_os_str())]))
            }
            MountCall::MountHierarchy { controllers, directory, is_new } => {
                let line = command(controllers, directory);
                match is_new {
                    true => lines([line, marked(Mark::Hierarchy, directory, MARK_OF_ROOT)]),
                    false => Shell::Line(line),
                }
            }
            MountCall::UnmountHierarchy { directory } => Shell::Line(text(&["umount "], directory, "")),
            MountCall::AwaitRelease { controllers, directory } => {
                let any = controllers.join("\\|");
                let held = format!("grep -q ':\\(.*,\\)\\?\\({any}\\)\\(,.*\\)\\?:' /proc/self/cgroup");
                let again = "[ $((tries += 1)) -lt 50 ] || break; sleep 0.2";
                // One that outlived its last mount stays for good, unless it is mounted and unmounted once more.
                Shell::Line(joined([
                    format!("tries=0; while {held}; do {again}; ! {held} || ! ").into(),
                    command(controllers, directory),
                    text(&[" 2>/dev/null || umount "], directory, "; done"),
                ]))
            }
        }
    }

    /// Makes the request.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self) -> Result<Answer, Refusal> {
        match self {
            MountCall::MakeDirectory { directory } => make_directory(directory),
            MountCall::RemoveDirectory { directory } => remove_directory(directory),
            MountCall::MountHierarchy { controllers, directory, is_new } => {
                mount_hierarchy(controllers, directory, *is_new).map(|()| Answer::zero())
            }
            MountCall::UnmountHierarchy { directory } => {
                Ok(umount2(directory, MntFlags::UMOUNT_NOFOLLOW).map(|()| Answer::zero())?)
            }
            MountCall::AwaitRelease { controllers, directory } => await_release(controllers, directory),
        }
    }

    /// The cause and the cure.
    pub fn hint(&self, errno: Errno) -> Option<String> {
        match self {
            MountCall::MountHierarchy { controllers, .. } => why_not_mounted(controllers, errno),
            MountCall::UnmountHierarchy { .. } if errno == Errno::EBUSY => {
                Some("a process stands in it or has one of its files open: fuser -vm DIR names it".into())
            }
            MountCall::AwaitRelease { .. } => {
                Some("another mount namespace sees that hierarchy, or a group of it that was removed is kept, by a zombie that nobody has waited for or by pages of a file on tmpfs: it lasts as long as that does".into())
            }
            _ => None,
        }
    }
}

/// mount(8) of a hierarchy.
fn command(controllers: &[String], directory: &Path) -> OsString {
    let options = options(controllers);
    let words = ["mount", "-t", "cgroup", "-o", &format!("nosuid,nodev,noexec,{options}"), SOURCE];
    join(words.iter().map(OsStr::new).chain([directory.as_os_str()]))
}

/// What stands between the commas of mount(8)'s `-o`.
fn options(controllers: &[String]) -> String {
    let list = controllers.join(",");
    if list.starts_with("name=") { format!("none,{list}") } else { list }
}

/// mkdir(2) of the mount point; its mark lets it go with the hierarchy. A file system that keeps none keeps the directory.
fn make_directory(directory: &Path) -> Result<Answer, Refusal> {
    nix::unistd::mkdir(directory, nix::sys::stat::Mode::from_bits_truncate(0o755))?;
    let _ = mark(directory);
    Ok(Answer::zero())
}

/// rmdir(2) of a mount point that [`make_directory`] made; any other stays.
fn remove_directory(directory: &Path) -> Result<Answer, Refusal> {
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
fn mount_hierarchy(controllers: &[String], directory: &Path, is_new: bool) -> Result<(), Refusal> {
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
fn await_release(controllers: &[String], directory: &Path) -> Result<Answer, Refusal> {
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
fn why_not_mounted(controllers: &[String], errno: Errno) -> Option<String> {
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
