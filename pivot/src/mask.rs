//! Which files of /proc and /sys tell or change too much for a container, and the calls that shut them. Each with its four
//! faces, as in call.rs.

use crate::inside::WRONG_DEVICE;
use crate::mountfd::{Attributes, FileSystem, attach};
use crate::state::State;
use crate::sys;
use chain::{Answer, Refusal, Shell, c_string, quoted};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::fchdir;
use std::fmt::{self, Display};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Files below /proc that a bind of /dev/null hides: memory, addresses, counters of the whole machine, and its levers.
pub const PROC_FILES: &[&str] = &[
    "config.gz",
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "mtrr",
    "pagetypeinfo",
    "sched_debug",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];
/// Directories below /proc that an empty one hides.
pub const PROC_DIRECTORIES: &[&str] = &["acpi", "asound", "scsi"];
/// Directories below /proc that can be read and not written.
pub const PROC_READ_ONLY: &[&str] = &["bus", "fs", "irq", "sys"];
/// Directories below /sys that an empty one hides.
pub const SYS_DIRECTORIES: &[&str] = &[
    "devices/virtual/block",
    "devices/virtual/powercap",
    "firmware",
    "fs/bpf",
    "kernel/debug",
    "kernel/security",
    "kernel/tracing",
    "module",
];

/// Which files of a kernel file system are shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    pub base: &'static str,
    pub names: &'static [&'static str],
}

/// A call that shuts files of a kernel file system.
#[derive(Debug)]
pub enum Mask {
    /// mount(2) of /dev/null on each
    HideFiles(Names),
    /// mount of an empty tmpfs on each
    HideDirectories(Names),
    /// mount(2) of each on itself, mount_setattr(2)
    MakeReadOnly(Names),
}

impl Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Mask::HideFiles(Names { base, names }) => {
                write!(f, "mount(\"/dev/null\", \"{base}/{{{}}}\", NULL, MS_BIND, NULL)", names.join(", "))
            }
            Mask::HideDirectories(Names { base, names }) => {
                write!(f, "move_mount({{empty tmpfs}}, \"{base}/{{{}}}\")", names.join(", "))
            }
            Mask::MakeReadOnly(Names { base, names }) => {
                let names = names.join(", ");
                write!(
                    f,
                    "mount(\"{base}/{{{names}}}\", \"{base}/{{{names}}}\", NULL, MS_BIND, NULL)\nmount_setattr(\"{base}/{{{names}}}\", MOUNT_ATTR_RDONLY)"
                )
            }
        }
    }
}

impl Mask {
    /// The classic commands that do the same.
    pub fn shell(&self) -> Shell {
        match self {
            Mask::HideFiles(names) => each(names, "-e", "mount --bind /dev/null \"$name\""),
            Mask::HideDirectories(names) => each(
                names,
                "-d",
                "mount -t tmpfs -o nosuid,nodev,noexec,size=0,mode=0555 tmpfs \"$name\" && mount -o remount,bind,ro,nosuid,nodev,noexec \"$name\"",
            ),
            Mask::MakeReadOnly(names) => each(
                names,
                "-e",
                "mount --bind \"$name\" \"$name\" && mount -o remount,bind,ro,nosuid,nodev,noexec \"$name\"",
            ),
        }
    }

    /// Makes the request; leaves the working directory in the new root.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self, state: &State) -> Result<Answer, Refusal> {
        match self {
            Mask::HideFiles(Names { base, names }) => {
                hide_files(state.mounted(base)?, names)?;
                state.back_to_root()?;
            }
            Mask::HideDirectories(Names { base, names }) => hide_directories(state.mounted(base)?, names)?,
            Mask::MakeReadOnly(Names { base, names }) => {
                make_read_only(state.mounted(base)?, names)?;
                state.back_to_root()?;
            }
        }
        Ok(Answer::zero())
    }

    /// The cause and the cure.
    pub fn hint(&self, errno: Errno) -> Option<String> {
        (matches!(self, Mask::HideFiles(_)) && errno == Errno::ENODEV).then(|| WRONG_DEVICE.into())
    }
}

fn each(Names { base, names }: &Names, test: &str, command: &str) -> Shell {
    let base = base.trim_start_matches('/');
    let names: Vec<String> = names.iter().map(|name| format!("{base}/{name}")).collect();
    let list = names.join(" ");
    Shell::Line(format!("for name in {list}; do if [ {test} \"$name\" ]; then {command}; fi; done").into())
}

/// The character device 1:3 of the host, and no other file of that name.
fn is_null(device: &Path) -> bool {
    nix::sys::stat::stat(device).is_ok_and(|about| {
        SFlag::from_bits_truncate(about.st_mode).contains(SFlag::S_IFCHR) && about.st_rdev == 0x103
    })
}

/// Binds the host's /dev/null over each file that is there. `base` is our own mount of /proc, whose names the image has no
/// say in; the old root is still `/`, so /dev is the host's. Leaves the working directory in `base`.
fn hide_files(base: BorrowedFd, names: &[&str]) -> Result<(), Refusal> {
    let null = Path::new("/dev/null");
    if !is_null(null) {
        return Err(Refusal::at("stat(\"/dev/null\")", Errno::ENODEV));
    }
    fchdir(base)?;
    for name in names {
        match mount(Some(null), *name, None::<&str>, MsFlags::MS_BIND, None::<&str>) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => {
                return Err(Refusal::at(
                    format!("mount(\"/dev/null\", {}, NULL, MS_BIND, NULL)", quoted(name)),
                    errno,
                ));
            }
        }
    }
    Ok(())
}

/// Mounts one empty read-only tmpfs over each directory that is there.
fn hide_directories(base: BorrowedFd, names: &[&str]) -> Result<(), Refusal> {
    let closed =
        Attributes::READ_ONLY.and(Attributes::NO_SUID).and(Attributes::NO_DEV).and(Attributes::NO_EXEC);
    let mut empty: Option<OwnedFd> = None;
    for name in names {
        // Looked at before anything is cloned: closing a clone that found no place waits for the kernel's RCU.
        let target = match nix::fcntl::openat(
            base,
            *name,
            OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        ) {
            Err(Errno::ENOENT) => continue,
            answer => answer.map_err(|errno| Refusal::at(format!("openat({})", quoted(name)), errno))?,
        };
        match &empty {
            None => {
                let first = FileSystem::new("tmpfs", closed)
                    .with("size", "0")
                    .with("mode", "0555")
                    .mount(Path::new("tmpfs"))?;
                attach(first.as_fd(), target.as_fd())?;
                empty = Some(first);
            }
            Some(first) => {
                let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32;
                let copy = sys::open_tree(first.as_fd(), c"", flags)
                    .map_err(|errno| Refusal::at("open_tree()", errno))?;
                attach(copy.as_fd(), target.as_fd())?;
            }
        }
    }
    Ok(())
}

/// Binds each directory that is there on itself, read-only.
fn make_read_only(base: BorrowedFd, names: &[&str]) -> Result<(), Refusal> {
    fchdir(base)?;
    for name in names {
        if fstatat(base, *name, AtFlags::AT_SYMLINK_NOFOLLOW) == Err(Errno::ENOENT) {
            continue;
        }
        mount(Some(*name), *name, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|errno| {
            Refusal::at(format!("mount({0}, {0}, NULL, MS_BIND, NULL)", quoted(name)), errno)
        })?;
        let closed =
            Attributes::READ_ONLY.and(Attributes::NO_SUID).and(Attributes::NO_DEV).and(Attributes::NO_EXEC);
        sys::mount_setattr(nix::fcntl::AT_FDCWD, &c_string(name)?, 0, closed.0, None).map_err(|errno| {
            Refusal::at(format!("mount_setattr({}, MOUNT_ATTR_RDONLY)", quoted(name)), errno)
        })?;
    }
    Ok(())
}
