//! A read-only look at the machine: what shall become the root, and what surrounds this process.

use crate::caps::CapSet;
use crate::cli::Cli;
use crate::idmap::IdRange;
use crate::image;
use crate::mountfd::Attributes;
use crate::sys;
use crate::user::UserSpec;
use anyhow::Result;
use chain::{Failure, Kind, Lifeline, MODE_VARIABLE, Mode, quoted};
use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Where the files of a mount come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Directory(PathBuf),
    /// A file or a socket, bound by itself.
    File(PathBuf),
    /// A file with a file system in it.
    Image {
        path: PathBuf,
        file_system: &'static str,
    },
    /// A block device with a file system on it.
    Device {
        path: PathBuf,
        file_system: &'static str,
    },
    /// Nowhere: an empty tmpfs with these options.
    Memory(Vec<(&'static str, Option<String>)>),
}

/// One of --bind, --image and --tmpfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    pub source: Source,
    /// Absolute, without `..`.
    pub at: PathBuf,
    pub attributes: Attributes,
    pub idmap: bool,
}

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
    /// Descriptors the program keeps.
    pub keep: Vec<OwnedFd>,
    pub environment: Vec<(OsString, OsString)>,
    /// A directory of the host that no source lies in, to mount an image on in a script.
    pub parking: &'static str,
    pub on_terminal: bool,
}

const WHY_ROOT: &str = "look at what shall become the root";
const WHY_EXTRA: &str = "look at what shall be mounted";

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
            refuse_open_directories()?;
        }
        if let Some(word) = cli.env.iter().find(|word| word.is_empty() || word.as_bytes().starts_with(b"=")) {
            return Err(Failure::new(format!("--env {}: no name", quoted(word)))
                .hint("write --env NAME=VALUE, or --env NAME to keep the caller's")
                .into());
        }
        let mut extras = Vec::new();
        for (option, values) in [("--bind", &cli.bind), ("--image", &cli.image), ("--tmpfs", &cli.tmpfs)] {
            for value in values {
                extras.push(Extra::parse(option, value, userns.is_some())?);
            }
        }
        extras.sort_by_key(|extra| extra.at.components().count());
        let in_new_userns = made.has(Kind::User);
        let groups = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
        // Where ids are not mapped, everything is owned by the one user namespace there is.
        let is_unmapped = groups.split_whitespace().eq(["0", "0", "4294967295"]) && !in_new_userns;
        // A new user namespace owns what is made in it, and nothing that was there before.
        let owns = |kind| made.has(kind) || (!in_new_userns && is_our_own(kind, is_unmapped));
        let changes_ids = cli.userns.is_some() || cli.user.is_some();
        let is_confined = !cli.bare && !cli.privileged;
        let on_terminal = std::io::stderr().is_terminal();
        Ok(Facts {
            parking: if matches!(mode, Mode::DryRun(_)) { parking(&root, &extras) } else { PARKING[0] },
            root,
            extras,
            own_net: is_confined && owns(Kind::Net),
            own_ipc: is_confined && owns(Kind::Ipc),
            own_pid: on_terminal && (std::process::id() == 1 || owns(Kind::Pid)),
            may_set_groups: is_unmapped || (!in_new_userns && !reads("/proc/self/setgroups", "deny")),
            // In a user namespace that is yet to be made it will have all.
            permitted: if in_new_userns || userns.is_some() {
                CapSet::ALL
            } else {
                CapSet(sys::permitted()?)
            },
            has_tty_group: is_unmapped || (!in_new_userns && maps_group_5(&groups)),
            lifeline: if changes_ids { Lifeline::look() } else { None },
            userns,
            user: cli.user.as_deref().map(UserSpec::parse).transpose()?,
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

impl Source {
    /// Looks at `path` and says what it is.
    fn look(path: &Path, why: &'static str) -> Result<Source> {
        let about = stat(path, why)?;
        let path = path.to_owned();
        if about.is_dir() {
            return Ok(Source::Directory(path));
        }
        if !about.is_file() && !about.file_type().is_block_device() {
            return Ok(Source::File(path));
        }
        let file = File::open(&path).map_err(|error| {
            refused(format!("open({})", quoted(&path)), &error)
                .why(why)
                .hint("it must be readable: run it as root")
        })?;
        Ok(match image::file_system_of(&file, &path)? {
            Some(file_system) if about.is_file() => Source::Image { path, file_system },
            Some(file_system) => Source::Device { path, file_system },
            None => Source::File(path),
        })
    }
}

fn stat(path: &Path, why: &'static str) -> Result<Metadata, Failure> {
    std::fs::metadata(path).map_err(|error| {
        let failure = refused(format!("stat({})", quoted(path)), &error).why(why);
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT) if why == WHY_ROOT => failure
                .hint("ROOT is a directory, an image or a block device: mkimg --from DIR IMG makes an image"),
            _ => failure,
        }
    })
}

fn refused(call: String, error: &std::io::Error) -> Failure {
    Failure::refused(call, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// A file that is no image: what it is instead.
fn no_file_system(path: &Path, wanted: &str) -> Failure {
    let what = match std::fs::metadata(path) {
        Ok(about) if about.is_file() && about.len() == 0 => "the file is empty",
        Ok(about) if about.is_file() || about.file_type().is_block_device() => "no file system in it",
        _ => "neither a directory, nor a file, nor a block device",
    };
    Failure::new(format!("{}: {what}", quoted(path)))
        .hint(format!("{wanted} one of {}: mkimg --from DIR IMG makes an image", image::known()))
}

fn descriptor(fd: i32) -> Result<OwnedFd, Failure> {
    chain::inherited(fd).map_err(|errno| {
        Failure::refused(format!("--keep-fd {fd}"), errno).hint(match fd {
            0..=2 => "0 to 2 are kept always".to_string(),
            _ => format!("open it for pivot, as the shell does with {fd}<FILE or {fd}>FILE"),
        })
    })
}

/// A source as an absolute path without `..`: it is taken when this process stands in the new root already, over the
/// host's `/`, which alone cannot be named any more by then.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let call = |errno| Failure::refused(format!("stat({})", quoted(path)), errno).why(WHY_EXTRA);
    let failed = |error: std::io::Error| {
        call(Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            .hint("the source is a path of the host: mkimg --size 64M IMG makes an empty image")
    };
    path.metadata().map_err(failed)?;
    let whole = std::path::absolute(path).map_err(failed)?;
    // A descriptor in /proc/self/fd may have no path at all; that is no way to name / either.
    let found = whole.canonicalize().unwrap_or_else(|_| whole.clone());
    match found == Path::new("/") {
        true => {
            Err(call(Errno::EBUSY).hint("the host's / as a whole cannot be shown: name directories below it"))
        }
        false if whole.components().any(|part| part == Component::ParentDir) => Ok(found),
        false => Ok(whole),
    }
}

impl Extra {
    fn parse(option: &str, value: &OsStr, in_userns: bool) -> Result<Extra> {
        let usage = |what: &str| {
            let shape = if option == "--tmpfs" { "DST[:OPTION,…]" } else { "SOURCE:DST[:OPTION,…]" };
            Failure::new(format!("{option} {}: {what}", quoted(value)))
                .hint(format!("write {option} {shape}, DST from the new root's /"))
        };
        let mut fields = value.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes);
        let source = if option == "--tmpfs" { None } else { fields.next() };
        let at = PathBuf::from(fields.next().ok_or_else(|| usage("no DST"))?);
        let options =
            fields.next().unwrap_or_default().to_str().ok_or_else(|| usage("an option is not text"))?;
        if fields.next().is_some() {
            return Err(usage("more than three fields").into());
        }
        if !at.is_absolute()
            || at == Path::new("/")
            || at.components().any(|part| part == Component::ParentDir)
        {
            return Err(usage("DST is not an absolute path below /, or holds ..").into());
        }
        let source = match source {
            None => Source::Memory(Vec::new()),
            Some(path) if path.is_empty() => return Err(usage("the source is empty").into()),
            Some(path) => Source::look(&absolute(Path::new(path))?, WHY_EXTRA)?,
        };
        let source = match (option, source) {
            ("--bind", Source::Image { path, .. } | Source::Device { path, .. }) => Source::File(path),
            ("--image", Source::Directory(_)) => return Err(usage("a directory: --bind shows one").into()),
            ("--image", Source::File(path)) => {
                return Err(no_file_system(&path, "--image takes").why(WHY_EXTRA).into());
            }
            (_, source) => source,
        };
        let mut extra = Extra {
            idmap: in_userns && !matches!(source, Source::Memory(_)),
            source,
            at,
            attributes: Attributes::NO_SUID.and(Attributes::NO_DEV),
        };
        for word in options.split(',').filter(|word| !word.is_empty()) {
            extra.set(word, in_userns).ok_or_else(|| usage(&format!("{word:?} is no option of it")))?;
        }
        Ok(extra)
    }

    fn set(&mut self, word: &str, in_userns: bool) -> Option<()> {
        let attribute = match word {
            "ro" => Attributes::READ_ONLY,
            "noexec" => Attributes::NO_EXEC,
            "rw" | "exec" | "nosuid" | "nodev" => Attributes::NONE,
            "idmap" if in_userns => Attributes::NONE,
            "noidmap" => {
                self.idmap = false;
                Attributes::NONE
            }
            _ => {
                let Source::Memory(options) = &mut self.source else { return None };
                let (key, value) = word.split_once('=')?;
                let key = ["size", "mode", "nr_inodes"].into_iter().find(|known| *known == key)?;
                options.push((key, Some(value.into())));
                Attributes::NONE
            }
        };
        self.attributes = self.attributes.and(attribute);
        Some(())
    }
}

/// Descriptors 0 to 2 are the program's to keep; a directory among them would be a way out.
fn refuse_open_directories() -> Result<(), Failure> {
    use nix::sys::stat::{SFlag, fstat};
    for (fd, about) in
        [(0, fstat(std::io::stdin())), (1, fstat(std::io::stdout())), (2, fstat(std::io::stderr()))]
    {
        let is_directory = about
            .is_ok_and(|about| SFlag::from_bits_truncate(about.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR);
        if is_directory {
            return Err(Failure::new(format!("descriptor {fd} is a directory of the host"))
                .why("an open directory of the host would be a way out of the new root")
                .hint(format!("redirect it: {fd}</dev/null")));
        }
    }
    Ok(())
}

/// pivot_root(2) answers one EINVAL for all of this, so it is looked for first.
fn refuse_unmovable_root() -> Result<(), Failure> {
    let why = "pivot_root moves the old root away, so that has to be a mount that can be moved";
    if sys::is_mount_point(c"/") == Ok(false) {
        return Err(Failure::new("/ is not a mount point: this process is in a chroot").why(why).hint(
            "start it outside the chroot, or make the directory a mount point before chroot: mount --bind DIR DIR",
        ));
    }
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if lies_in_memory("/")
        && mounts().lines().any(|line| line.contains(" / / ") && line.contains(" - rootfs "))
    {
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

/// Directories every Linux has for mounts.
const PARKING: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];

fn parking(root: &Source, extras: &[Extra]) -> &'static str {
    let sources = extras.iter().map(|extra| &extra.source).chain([root]);
    let paths: Vec<PathBuf> = sources
        .filter_map(|source| match source {
            Source::Directory(path) | Source::File(path) => std::path::absolute(path).ok(),
            Source::Image { path, .. } | Source::Device { path, .. } => std::path::absolute(path).ok(),
            Source::Memory(_) => None,
        })
        .collect();
    let is_free =
        |place: &&str| paths.iter().all(|path| !path.starts_with(place)) && Path::new(place).is_dir();
    PARKING.into_iter().find(is_free).unwrap_or(PARKING[0])
}
