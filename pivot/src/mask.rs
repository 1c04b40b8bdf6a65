//! Which files of /proc and /sys tell or change too much for a container, and how they are shut.

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

use chain::{Refusal, c_string, quoted};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::fchdir;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::mountfd::{Attributes, FileSystem, attach};
use crate::sys;

/// The character device 1:3 of the host, and no other file of that name.
fn is_null(device: &Path) -> bool {
    nix::sys::stat::stat(device).is_ok_and(|about| {
        SFlag::from_bits_truncate(about.st_mode).contains(SFlag::S_IFCHR) && about.st_rdev == 0x103
    })
}

/// Binds the host's /dev/null over each file that is there. `base` is our own mount of /proc, whose names the image has no
/// say in; the old root is still `/`, so /dev is the host's. Leaves the working directory in `base`.
pub fn hide_files(base: BorrowedFd, names: &[&str]) -> Result<(), Refusal> {
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
pub fn hide_directories(base: BorrowedFd, names: &[&str]) -> Result<(), Refusal> {
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
pub fn make_read_only(base: BorrowedFd, names: &[&str]) -> Result<(), Refusal> {
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
