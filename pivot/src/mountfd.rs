//! Mounts by descriptor: made detached, given their attributes, and attached in one step to a place that was opened below
//! the new root. No path of an image is ever resolved outside it.

use chain::{Refusal, c_string, quoted};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, ResolveFlag};
use nix::sys::stat::{Mode, mkdirat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use crate::sys;

/// Attributes of a mount: a set of the MOUNT_ATTR bits of mount_setattr(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    pub const NONE: Attributes = Attributes(0);
    pub const READ_ONLY: Attributes = Attributes(libc::MOUNT_ATTR_RDONLY);
    pub const NO_SUID: Attributes = Attributes(libc::MOUNT_ATTR_NOSUID);
    pub const NO_DEV: Attributes = Attributes(libc::MOUNT_ATTR_NODEV);
    pub const NO_EXEC: Attributes = Attributes(libc::MOUNT_ATTR_NOEXEC);

    /// Every attribute of both.
    pub const fn and(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }

    /// Those that are not in `other`.
    pub const fn without(self, other: Attributes) -> Attributes {
        Attributes(self.0 & !other.0)
    }

    fn names(self) -> [(bool, &'static str, &'static str); 4] {
        let has = |attribute: Attributes| self.0 & attribute.0 != 0;
        [
            (has(Attributes::READ_ONLY), "MOUNT_ATTR_RDONLY", "ro"),
            (has(Attributes::NO_SUID), "MOUNT_ATTR_NOSUID", "nosuid"),
            (has(Attributes::NO_DEV), "MOUNT_ATTR_NODEV", "nodev"),
            (has(Attributes::NO_EXEC), "MOUNT_ATTR_NOEXEC", "noexec"),
        ]
    }

    /// As strace prints them.
    pub fn flags(self) -> String {
        let set: Vec<&str> =
            self.names().iter().filter(|(is_set, _, _)| *is_set).map(|(_, flag, _)| *flag).collect();
        if set.is_empty() { "0".into() } else { set.join("|") }
    }

    /// As mount(8) takes them, as in `ro,nosuid`.
    pub fn options(self) -> String {
        let set: Vec<&str> =
            self.names().iter().filter(|(is_set, _, _)| *is_set).map(|(_, _, option)| *option).collect();
        set.join(",")
    }
}

/// A file system to be made: fsopen(2), fsconfig(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    pub kind: &'static str,
    /// Options with their values, and flags with none.
    pub options: Vec<(&'static str, Option<String>)>,
    pub attributes: Attributes,
}

impl FileSystem {
    /// Without options.
    pub fn new(kind: &'static str, attributes: Attributes) -> FileSystem {
        FileSystem { kind, options: Vec::new(), attributes }
    }

    /// With one more option.
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> FileSystem {
        self.options.push((key, Some(value.into())));
        self
    }

    /// As mount(8) takes attributes and options.
    pub fn mount_options(&self) -> String {
        let pairs = self.options.iter().map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => (*key).to_string(),
        });
        let attributes = Some(self.attributes.options()).filter(|text| !text.is_empty());
        attributes.into_iter().chain(pairs).collect::<Vec<_>>().join(",")
    }

    /// Mounts it, detached, from `source`.
    pub fn mount(&self, source: &Path) -> Result<OwnedFd, Refusal> {
        let kind = c_string(self.kind)?;
        let fs =
            sys::fsopen(&kind).map_err(|errno| Refusal::at(format!("fsopen(\"{}\")", self.kind), errno))?;
        let set = |command: u32, key: &str, value: Option<&Path>| -> Result<(), Refusal> {
            let text = value.map(c_string).transpose()?;
            sys::fsconfig(fs.as_fd(), command, Some(&c_string(key)?), text.as_deref()).map_err(|errno| {
                let shown = value.map(|value| format!("={}", quoted(value))).unwrap_or_default();
                with_log(Refusal::at(format!("fsconfig(\"{}\", {key}{shown})", self.kind), errno), &fs)
            })
        };
        set(libc::FSCONFIG_SET_STRING, "source", Some(source))?;
        for (key, value) in &self.options {
            match value {
                Some(value) => set(libc::FSCONFIG_SET_STRING, key, Some(Path::new(value)))?,
                None => set(libc::FSCONFIG_SET_FLAG, key, None)?,
            }
        }
        sys::fsconfig(fs.as_fd(), libc::FSCONFIG_CMD_CREATE, None, None).map_err(|errno| {
            let call = format!("fsconfig(\"{}\" on {}, FSCONFIG_CMD_CREATE)", self.kind, quoted(source));
            with_log(Refusal::at(call, errno), &fs)
        })?;
        sys::fsmount(fs.as_fd(), self.attributes.0)
            .map_err(|errno| with_log(Refusal::at(format!("fsmount(\"{}\")", self.kind), errno), &fs))
    }
}

/// Adds what the kernel says about a refused configuration: the message log of fsopen(2), one message a read.
fn with_log(mut refusal: Refusal, fs: &OwnedFd) -> Refusal {
    let mut message = [0; 256];
    while let Ok(length) = nix::unistd::read(fs, &mut message) {
        let text = String::from_utf8_lossy(&message[..length]);
        let text = text.trim_end().trim_start_matches(|letter| "ewi ".contains(letter));
        if !refusal.said.is_empty() {
            refusal.said.push_str("; ");
        }
        refusal.said.push_str(text);
    }
    refusal
}

/// A copy of the mounts at and below `path`, detached: open_tree(2).
pub fn copy_tree(path: &Path) -> Result<OwnedFd, Refusal> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
    Ok(sys::open_tree(AT_FDCWD, &c_string(path)?, flags)?)
}

/// Sets attributes on a mount and all below it: mount_setattr(2).
pub fn set_attributes(tree: BorrowedFd, set: Attributes, idmap: Option<BorrowedFd>) -> Result<(), Errno> {
    sys::mount_setattr(tree, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, set.0, idmap)
}

/// How the path of a mount point may be resolved: never out of the root, whatever the image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// The user named it, and links inside the root may lead to it.
    InRoot,
    /// We named it, so a link in its place is an attack.
    NoLinks,
}

/// Opens `path` below `root`, a directory or whatever it is, as a place to mount on.
pub fn open_below(root: BorrowedFd, path: &Path, resolve: Resolve, flags: OFlag) -> Result<OwnedFd, Errno> {
    let links = match resolve {
        Resolve::InRoot => ResolveFlag::empty(),
        Resolve::NoLinks => ResolveFlag::RESOLVE_NO_SYMLINKS,
    };
    chain::open_below(root, path, flags, links)
}

/// Opens the directory `path` below `root`, and makes what is missing of it, one component at a time, as `owner`.
pub fn make_directory(
    root: BorrowedFd,
    path: &Path,
    resolve: Resolve,
    owner: Option<u32>,
) -> Result<OwnedFd, Refusal> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let refused = |call: &str, at: &Path, errno| {
        Refusal::at(format!("{call}({} below the new root)", quoted(at)), errno)
    };
    match open_below(root, path, resolve, directory) {
        Err(Errno::ENOENT) => {}
        answer => return answer.map_err(|errno| refused("openat2", path, errno)),
    }
    let mut so_far = std::path::PathBuf::new();
    let mut parent = open_below(root, Path::new("."), resolve, directory)?;
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        so_far.push(name);
        parent = match open_below(root, &so_far, resolve, directory) {
            Err(Errno::ENOENT) => {
                made_by(owner, || mkdirat(&parent, name, Mode::from_bits_truncate(0o755)))
                    .map_err(|errno| refused("mkdirat", &so_far, errno))?;
                open_below(root, &so_far, resolve, directory)
            }
            answer => answer,
        }
        .map_err(|errno| refused("openat2", &so_far, errno))?;
    }
    Ok(parent)
}

/// Opens the file `path` below `root` to bind another on, and makes it, empty, where it is missing.
pub fn make_file(
    root: BorrowedFd,
    path: &Path,
    resolve: Resolve,
    owner: Option<u32>,
) -> Result<OwnedFd, Refusal> {
    let refused =
        |call: &str, errno| Refusal::at(format!("{call}({} below the new root)", quoted(path)), errno);
    match open_below(root, path, resolve, OFlag::O_PATH) {
        Err(Errno::ENOENT) => {}
        answer => return answer.map_err(|errno| refused("openat2", errno)),
    }
    let parent = make_directory(root, path.parent().unwrap_or(Path::new("/")), resolve, owner)?;
    let name = path.file_name().ok_or(Errno::EISDIR)?;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    made_by(owner, || nix::fcntl::openat(&parent, name, flags, Mode::from_bits_truncate(0o644)))
        .map_err(|errno| refused("openat", errno))?;
    open_below(parent.as_fd(), Path::new(name), Resolve::NoLinks, OFlag::O_PATH)
        .map_err(|errno| refused("openat2", errno))
}

/// Makes something as the user and group `owner` by setfsuid(2): in an idmapped mount the host's root has no id to make
/// files with, and gets EOVERFLOW.
fn made_by<T>(owner: Option<u32>, make: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    let Some(owner) = owner else { return make() };
    let (group, user) = (setfsgid(Gid::from_raw(owner)), setfsuid(Uid::from_raw(owner)));
    let answer = make();
    setfsuid(user);
    setfsgid(group);
    answer
}

/// Attaches a detached mount: move_mount(2).
pub fn attach(tree: BorrowedFd, target: BorrowedFd) -> Result<(), Refusal> {
    sys::move_mount(tree, target).map_err(|errno| Refusal::at("move_mount()", errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_mount() {
        let fs = FileSystem::new("tmpfs", Attributes::NO_SUID.and(Attributes::NO_DEV)).with("mode", "0755");
        assert_eq!(fs.mount_options(), "nosuid,nodev,mode=0755");
        assert_eq!(Attributes::READ_ONLY.flags(), "MOUNT_ATTR_RDONLY");
        assert_eq!(Attributes::NONE.flags(), "0");
    }

    #[test]
    fn no_link_of_the_root_leads_out_of_it() {
        let base = std::env::temp_dir().join(format!("pivot-links-{}", std::process::id()));
        std::fs::create_dir_all(base.join("root")).unwrap();
        std::fs::create_dir_all(base.join("outside")).unwrap();
        std::os::unix::fs::symlink("../outside", base.join("root/link")).unwrap();
        let root = std::fs::File::open(base.join("root")).unwrap();
        let refused =
            make_directory(root.as_fd(), Path::new("link/new"), Resolve::NoLinks, None).unwrap_err();
        assert_eq!(refused.errno, Some(Errno::ELOOP));
        // Resolved inside the root, ../outside is /outside, which is not there and is not made through a link.
        assert!(make_directory(root.as_fd(), Path::new("link/new"), Resolve::InRoot, None).is_err());
        assert!(make_directory(root.as_fd(), Path::new("a/b"), Resolve::InRoot, None).is_ok());
        assert!(base.join("root/a/b").is_dir() && !base.join("outside/new").exists());
        std::fs::remove_dir_all(&base).unwrap();
    }
}
