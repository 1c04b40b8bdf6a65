//! A read-only look at the machine: what shall become the root, and what surrounds this process.

use crate::cli::Cli;
use crate::idmap::IdRange;
use crate::source::{Extra, Source, UNLOOKED_PARKING, WHY_ROOT, no_file_system, parking};
use crate::user::UserSpec;
use crate::{pipes, resolver, sys};
use anyhow::Result;
use chain::{CapSet, Failure, Kind, Lifeline, MODE_VARIABLE, Mode, quoted};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the plan is made on.
#[derive(Debug)]
pub struct Facts {
    pub root: Source,
    /// Parents before what lies below them.
    pub extras: Vec<Extra>,
    /// The network namespace is not the one of the host's PID 1; likewise the two after it. Each is looked up
    /// only where something hangs on it.
    pub own_net: bool,
    pub own_ipc: bool,
    pub own_pid: bool,
    /// setgroups(2) is not forbidden, as it is in a user namespace made without privileges.
    pub may_set_groups: bool,
    /// What this process can hand on, at most.
    pub permitted: CapSet,
    /// Group 5, the terminals' on every Linux, is mapped.
    pub has_tty_group: bool,
    /// Looked for only where ids change, which is what cuts it.
    pub lifeline: Option<Lifeline>,
    pub userns: Option<IdRange>,
    pub user: Option<UserSpec>,
    /// The pipes without a name among descriptors 0 to 2 that the program's user does not own. A script asks for itself
    /// which are.
    pub pipes: Vec<i32>,
    /// Descriptors the program keeps.
    pub keep: Vec<OwnedFd>,
    pub environment: Vec<(OsString, OsString)>,
    /// The resolv.conf(5) to show, if one is.
    pub resolver: Option<String>,
    /// Directories of the host that no source lies in, to mount an image and the resolver on in a script.
    pub parking: [&'static str; 2],
    pub on_terminal: bool,
}

impl Facts {
    /// Looks; changes nothing.
    ///
    /// # Errors
    /// What was typed names something that is not there, or not what it should be.
    pub fn read(cli: &Cli, mode: &Mode) -> Result<Facts> {
        // First of all: any file opened before could take the number that was meant.
        let keep: Result<Vec<OwnedFd>, Failure> = cli.keep_fd.iter().map(|fd| descriptor(*fd)).collect();
        let keep = keep?;
        let made = mode.made();
        let subuid = || std::fs::read_to_string("/etc/subuid").unwrap_or_default();
        let userns = cli.userns.as_deref().map(|text| IdRange::parse(text, &subuid())).transpose()?;
        let path = Path::new(cli.words.first().map_or(OsStr::new(""), OsString::as_os_str));
        let root = Source::look(path, WHY_ROOT)?;
        if let Source::File(path) = &root {
            return Err(no_file_system(path, "ROOT is a directory, or holds").why(WHY_ROOT).into());
        }
        refuse_unmovable_root()?;
        if !cli.bare && !cli.privileged {
            chain::refuse_open_directories()?;
        }
        refuse_nameless(&cli.env)?;
        let extras = extras(cli, userns.is_some())?;
        let in_new_userns = made.has(Kind::User);
        let groups = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
        // Where ids are not mapped, everything is owned by the one user namespace there is.
        let is_unmapped = groups.split_whitespace().eq(["0", "0", "4294967295"]) && !in_new_userns;
        // A new user namespace owns what is made in it, and nothing that was there before.
        let owns = |kind| made.has(kind) || (!in_new_userns && is_our_own(kind, is_unmapped));
        let user = cli.user.as_deref().map(UserSpec::parse).transpose()?;
        let changes_ids = cli.userns.is_some() || cli.user.is_some();
        let is_confined = !cli.bare && !cli.privileged;
        let on_terminal = std::io::stderr().is_terminal();
        Ok(Facts {
            parking: if matches!(mode, Mode::DryRun(_)) { parking(&root, &extras) } else { UNLOOKED_PARKING },
            root,
            extras,
            resolver: resolver::text(&cli.dns, !cli.dns.is_empty() && owns(Kind::Net))?,
            own_net: is_confined && owns(Kind::Net),
            own_ipc: is_confined && owns(Kind::Ipc),
            own_pid: on_terminal && (std::process::id() == 1 || owns(Kind::Pid)),
            may_set_groups: is_unmapped || (!in_new_userns && !reads("/proc/self/setgroups", "deny")),
            // In a user namespace that is yet to be made it will have all.
            permitted: if in_new_userns || userns.is_some() { CapSet::ALL } else { CapSet::permitted()? },
            has_tty_group: is_unmapped || (!in_new_userns && maps_group_5(&groups)),
            lifeline: if changes_ids { Lifeline::look() } else { None },
            userns,
            pipes: match mode {
                _ if !changes_ids => Vec::new(),
                Mode::DryRun(_) => pipes::STANDARD.to_vec(),
                _ => pipes::of_others(
                    UserSpec::typed(user.as_ref()).and_then(|uid| pipes::seen_here(uid, userns)),
                ),
            },
            user,
            keep,
            environment: environment(),
            on_terminal,
        })
    }

    /// What is worth a line on a terminal.
    pub fn notice(&self, cli: &Cli) -> Option<&'static str> {
        (self.on_terminal && !self.own_pid && !cli.bare).then_some(
            "pivot: this shares the host's processes and is no boundary: nsexec --pid -- pivot … gives it its own\n",
        )
    }
}

/// The caller's variables: not the mode, which is our tools' own affair, nor what has no name setenv(3) would take.
fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os()
        .filter(|(name, _)| name != MODE_VARIABLE && !name.as_bytes().contains(&b'='))
        .collect()
}

fn refuse_nameless(variables: &[OsString]) -> Result<(), Failure> {
    match variables.iter().find(|word| word.is_empty() || word.as_bytes().starts_with(b"=")) {
        None => Ok(()),
        Some(word) => Err(Failure::new(format!("--env {}: no name", quoted(word)))
            .hint("write --env NAME=VALUE, or --env NAME to keep the caller's")),
    }
}

/// What is shown below the new root, parents before what lies below them.
fn extras(cli: &Cli, has_userns: bool) -> Result<Vec<Extra>> {
    let mut extras = Vec::new();
    for (option, values) in [("--bind", &cli.bind), ("--image", &cli.image), ("--tmpfs", &cli.tmpfs)] {
        for value in values {
            extras.push(Extra::parse(option, value, has_userns)?);
        }
    }
    extras.sort_by_key(|extra| extra.at.components().count());
    Ok(extras)
}

fn descriptor(fd: i32) -> Result<OwnedFd, Failure> {
    chain::inherited(fd).map_err(|errno| {
        Failure::refused(format!("--keep-fd {fd}"), errno).hint(match fd {
            0..=2 => "0 to 2 are kept always".to_string(),
            _ => format!("open it for pivot, as the shell does with {fd}<FILE or {fd}>FILE"),
        })
    })
}

/// pivot_root(2) answers one EINVAL for all of this, so it is looked for first.
fn refuse_unmovable_root() -> Result<(), Failure> {
    let why = "pivot_root moves the old root away, so that has to be a mount that can be moved";
    if sys::is_mount_point(c"/") == Ok(false) {
        return Err(Failure::new("/ is not a mount point: this process is in a chroot").why(why).hint(
            "start it outside the chroot, or make the directory a mount point before chroot: mount --bind DIR DIR",
        ));
    }
    let is_rootfs = |mount: &chain::Mount| mount.point == Path::new("/") && mount.kind == "rootfs";
    if lies_in_memory("/") && chain::mountinfo().iter().any(is_rootfs) {
        return Err(Failure::new("/ is the initramfs, which the kernel never moves")
            .why(why)
            .hint("switch to a real root first: switch_root, or mount one and chroot into it"));
    }
    Ok(())
}

fn lies_in_memory(path: &str) -> bool {
    use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    statfs(path).is_ok_and(|about| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&about.filesystem_type()))
}

/// Whether the namespace of this process is another than that of PID 1, which the host's /proc shows, and may be mounted
/// from: then the user namespace we are in owns it.
fn is_our_own(kind: Kind, is_unmapped: bool) -> bool {
    let inode = |process: &str| {
        std::fs::metadata(format!("/proc/{process}/ns/{}", kind.file())).map(|about| about.ino())
    };
    let own = inode("self").unwrap_or(0);
    let differs = match inode("1") {
        Ok(first) if !std::fs::read_link("/proc/self").is_ok_and(|own| own == Path::new("1")) => own != first,
        // PID 1 is out of sight, or is this process: then it is the first namespace of the machine that counts.
        _ => !is_the_machines(kind, own),
    };
    differs && (is_unmapped || is_owned_by_us(kind))
}

/// The first namespaces of a machine have fixed inodes (linux/proc_ns.h); of the network this is so only lately, but some
/// settings stand in the first one alone.
fn is_the_machines(kind: Kind, inode: u64) -> bool {
    match kind {
        Kind::Net => Path::new("/proc/sys/net/core/netdev_max_backlog").exists(),
        Kind::Ipc => inode == 0xefff_ffff,
        _ => inode == 0xefff_fffc,
    }
}

fn is_owned_by_us(kind: Kind) -> bool {
    let open = |file: &str| File::open(format!("/proc/self/ns/{file}"));
    let owner = open(kind.file()).ok().and_then(|file| sys::owner_of(file.as_fd()).ok());
    let owner = owner.and_then(|fd| File::from(fd).metadata().ok()).map(|about| about.ino());
    owner.is_some()
        && owner == open("user").ok().and_then(|file| file.metadata().ok()).map(|about| about.ino())
}

fn reads(path: &str, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|found| found.trim() == text)
}

fn maps_group_5(map: &str) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers.as_slice(), &[inside, _, count] if inside <= 5 && 5 < inside + count)
    })
}
