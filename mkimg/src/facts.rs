//! A read-only look at the machine: what stands at IMG, what goes into it, what this process may do.

use crate::cli::{Action, Cli};
use crate::content::{Content, Source};
use crate::holders;
use crate::temporary::{Leftover, left_of};
use crate::tree::{Identity, identity};
use chain::{Attached, Failure, Kind, Mode, attached, devices_on, in_user_namespace, quoted};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode as Permissions, SFlag, lstat, stat};
use nix::sys::statvfs::statvfs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What the plan is made on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// May attach loop devices and mount: root outside any user namespace.
    pub is_root: bool,
    /// The number of this process.
    pub pid: u32,
    /// What stands at IMG.
    pub existing: Option<Existing>,
    /// What killed ones left of IMG.
    pub leftovers: Vec<Leftover>,
    /// The directory IMG is in takes files without a name.
    pub is_nameless: bool,
    /// Bytes free where IMG is to be.
    pub free: u64,
    /// What goes into the image.
    pub source: Option<Source>,
    /// How much that is, where it can be known before.
    pub content: Option<Content>,
    /// IMG lies in the tree that goes into it: where, relative to the tree.
    pub place_in_tree: Option<PathBuf>,
    /// mkfs.ext4.
    pub mkfs: Option<PathBuf>,
    /// The loop devices that show IMG, or the one that IMG is.
    pub devices: Vec<Attached>,
    /// Who uses the first of them, in words; none where nobody does. Looked up where that is in the way.
    pub users: Option<String>,
}

/// What stands at IMG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// A file that may be replaced.
    Regular(Identity),
    /// Something that may not; its kind.
    Other(&'static str),
}

impl Facts {
    /// Looks; changes nothing.
    ///
    /// # Errors
    /// What was typed names something that is not there, or not what it should be.
    pub fn read(cli: &Cli, mode: &Mode) -> Result<Facts, Failure> {
        // In a dry run the user namespace around us is not made; the real one is not root's.
        let is_root = is_root() && !mode.made().has(Kind::User);
        let facts = Facts { is_root, pid: std::process::id(), ..Facts::default() };
        let Some(image) = &cli.image else { return Ok(facts) };
        match cli.action() {
            Action::List => Ok(facts),
            Action::Attach => Ok(Facts { devices: devices_of(image), ..facts }.with_users()),
            Action::Detach => Ok(Facts { devices: devices_of(image), ..facts }),
            Action::Create => facts.for_creation(cli, image, mode),
        }
    }

    fn with_users(self) -> Facts {
        let users = self.devices.first().and_then(|device| holders::users(&device.device));
        Facts { users, ..self }
    }

    fn for_creation(mut self, cli: &Cli, image: &Path, mode: &Mode) -> Result<Facts, Failure> {
        let directory = directory_of(image);
        if image.file_name().is_none() {
            return Err(Failure::new(format!("{}: not the name of a file", quoted(image))));
        }
        let room = statvfs(directory).map_err(|errno| {
            Failure::refused(format!("statvfs({})", quoted(directory)), errno)
                .why("look at the place where the image will be")
        })?;
        let blocks = if self.is_root { room.blocks_free() } else { room.blocks_available() };
        self.free = blocks.saturating_mul(room.fragment_size());
        self.existing = existing(image)?;
        self.devices = devices_on(image);
        self = self.with_users();
        // A dry run must not even make a file without a name.
        self.is_nameless = matches!(mode, Mode::DryRun(_)) || takes_nameless_files(directory);
        self.leftovers = left_of(image);
        self.mkfs = find("mkfs.ext4");
        let old = match self.existing {
            Some(Existing::Regular(identity)) => Some(identity),
            _ => None,
        };
        let leftovers: Vec<Identity> = self.leftovers.iter().map(|left| left.identity).collect();
        if let Some(from) = &cli.from {
            let source = Source::of(from)?;
            if let Source::Tree(tree) = &source {
                self.place_in_tree = place_in(tree, image);
            }
            let is_knowable = match &source {
                Source::Tree(_) => true,
                Source::Archive(path) => cli.size.is_none() && path.as_os_str() != "-",
            };
            if is_knowable && self.may_be_made(cli) {
                self.content = Some(source.measure(old, &leftovers)?);
            }
            self.source = Some(source);
        }
        Ok(self)
    }

    /// Whether there is any use in measuring what may be large.
    fn may_be_made(&self, cli: &Cli) -> bool {
        match self.existing {
            None => true,
            Some(Existing::Regular(_)) => cli.force,
            Some(Existing::Other(_)) => false,
        }
    }
}

/// The directory a path is in.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// CAP_SYS_ADMIN (21) in the first user namespace: loop devices know no other.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    capabilities >> 21 & 1 == 1 && !in_user_namespace()
}

fn existing(image: &Path) -> Result<Option<Existing>, Failure> {
    let about = match lstat(image) {
        Err(Errno::ENOENT) => return Ok(None),
        other => other.map_err(|errno| Failure::refused(format!("lstat({})", quoted(image)), errno))?,
    };
    Ok(Some(match SFlag::from_bits_truncate(about.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Existing::Regular(identity(&about)),
        SFlag::S_IFDIR => Existing::Other("a directory"),
        SFlag::S_IFLNK => Existing::Other("a symbolic link"),
        SFlag::S_IFBLK => Existing::Other("a block device"),
        SFlag::S_IFCHR => Existing::Other("a character device"),
        SFlag::S_IFIFO => Existing::Other("a fifo"),
        _ => Existing::Other("a socket"),
    }))
}

/// O_TMPFILE of open(2): not every file system has it, and the name is given through /proc.
fn takes_nameless_files(directory: &Path) -> bool {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    Path::new("/proc/self/fd").exists() && open(directory, flags, Permissions::S_IRUSR).is_ok()
}

/// Where `image` lies in `tree`, if it does.
fn place_in(tree: &Path, image: &Path) -> Option<PathBuf> {
    let place = directory_of(image).canonicalize().ok()?.join(image.file_name()?);
    place.strip_prefix(tree.canonicalize().ok()?).ok().map(Path::to_path_buf)
}

/// The loop devices that show `image`, or `image` itself where it is one.
fn devices_of(image: &Path) -> Vec<Attached> {
    let is_device =
        stat(image).is_ok_and(|about| about.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFBLK.bits());
    if !is_device {
        return devices_on(image);
    }
    let Ok(device) = image.canonicalize() else { return Vec::new() };
    attached().into_iter().filter(|attached| attached.device == device).collect()
}

/// A program of the system; /usr/sbin is not in everybody's PATH.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut files = places.filter(|place| place.is_absolute()).map(|place| place.join(program));
    files.find(|file| {
        file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    })
}
