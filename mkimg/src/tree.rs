//! Copies a directory tree into the root of the new file system, descriptor by descriptor: no path is resolved twice.
//!
//! It stays on one file system, as cp -x does: what is mounted below the directory is an empty directory in the image.

use crate::inode::{Attributes, Refused, XattrReader, path_of};
use crate::writer::{File, Writer};
use chain::{Named, Refusal, quoted};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat, mknodat};
use nix::unistd::{linkat, symlinkat};
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file as the kernel tells files apart.
pub type Identity = (u64, u64);

/// Device and inode of a file.
pub fn identity(stat: &FileStat) -> Identity {
    (stat.st_dev, stat.st_ino)
}

/// The file type of a mode.
pub fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// What was copied.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub files: u64,
    pub bytes: u64,
}

/// Copies everything in `from` into the directory `root`, but for the files `but`.
///
/// # Errors
/// The first call that was refused, with the path it was made for.
pub fn copy(from: &Path, root: BorrowedFd, but: &[Identity]) -> Result<Copied, Refusal> {
    nix::sys::stat::umask(Mode::empty());
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOATIME | OFlag::O_CLOEXEC;
    let directory = openat(nix::fcntl::AT_FDCWD, from, flags, Mode::empty())
        .map_err(|errno| Refusal::at(format!("openat({})", quoted(from)), errno))?;
    let stat = fstat(&directory).map_err(|errno| Refusal::at(format!("fstat({})", quoted(from)), errno))?;
    let mut copy = Copy {
        root,
        device: stat.st_dev,
        but: but.to_vec(),
        from: from.into(),
        path: Vec::new(),
        links: HashMap::new(),
        xattrs: XattrReader::new(),
        writer: Writer::start()?,
        files: 0,
    };
    copy.directory(directory, root, &stat)?;
    Ok(Copied { files: copy.files, bytes: copy.writer.finish()? })
}

struct Copy<'a> {
    root: BorrowedFd<'a>,
    /// The file system to stay on.
    device: u64,
    but: Vec<Identity>,
    from: PathBuf,
    /// Where we are, relative to both roots.
    path: Vec<u8>,
    /// Where a file with several names was put first.
    links: HashMap<Identity, CString>,
    xattrs: XattrReader,
    writer: Writer,
    files: u64,
}

impl Copy<'_> {
    fn refused(&self, call: &str, errno: Errno) -> Refusal {
        let path = self.from.join(OsStr::from_bytes(&self.path));
        Refusal::at(format!("{call}({})", quoted(path)), errno)
    }

    /// Fills `to` from `from`, then gives it what `from` has: filling it would change its times.
    fn directory(&mut self, from: OwnedFd, to: BorrowedFd, stat: &FileStat) -> Result<(), Refusal> {
        let refused = |copy: &Self, (call, errno): Refused| copy.refused(call, errno);
        let xattrs = self.xattrs.read(Named::Open(from.as_fd())).map_err(|why| refused(self, why))?;
        if stat.st_dev == self.device {
            let mut from = Dir::from_fd(from).map_err(|errno| self.refused("getdents64", errno))?;
            let names = names_in(&mut from).map_err(|errno| self.refused("getdents64", errno))?;
            let length = self.path.len();
            for name in names {
                if length > 0 {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(name.to_bytes());
                self.entry(from.as_fd(), to, &name)?;
                self.path.truncate(length);
            }
        }
        self.files += 1;
        Attributes::of(stat, xattrs).give(to, false).map_err(|why| refused(self, why))
    }

    fn entry(&mut self, from: BorrowedFd, to: BorrowedFd, name: &CStr) -> Result<(), Refusal> {
        let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| self.refused("newfstatat", errno))?;
        if self.but.contains(&identity(&stat)) {
            return Ok(());
        }
        let kind = kind_of(&stat);
        if kind == SFlag::S_IFDIR {
            let flags = OFlag::O_RDONLY
                | OFlag::O_DIRECTORY
                | OFlag::O_NOFOLLOW
                | OFlag::O_NOATIME
                | OFlag::O_CLOEXEC;
            let from = openat(from, name, flags, Mode::empty()).map_err(|e| self.refused("openat", e))?;
            let to = self.make_directory(to, name)?;
            return self.directory(from, to.as_fd(), &stat);
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&identity(&stat)) {
                return linkat(self.root, first.as_c_str(), to, name, AtFlags::empty())
                    .map_err(|errno| self.refused("linkat", errno));
            }
            let path =
                CString::new(self.path.as_slice()).map_err(|_| self.refused("linkat", Errno::EINVAL))?;
            self.links.insert(identity(&stat), path);
        }
        self.files += 1;
        match kind {
            SFlag::S_IFREG => self.regular(from, to, name),
            _ => self.special(from, to, name, kind, &stat),
        }
    }

    fn make_directory(&self, to: BorrowedFd, name: &CStr) -> Result<OwnedFd, Refusal> {
        match mkdirat(to, name, Mode::S_IRWXU) {
            // mkfs made lost+found, and the tree may have one too.
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(self.refused("mkdirat", errno)),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(to, name, flags, Mode::empty()).map_err(|errno| self.refused("openat", errno))
    }

    fn special(
        &mut self,
        from: BorrowedFd,
        to: BorrowedFd,
        name: &CStr,
        kind: SFlag,
        stat: &FileStat,
    ) -> Result<(), Refusal> {
        let xattrs = self
            .xattrs
            .read(Named::Path(&path_of(from, name)))
            .map_err(|(call, errno)| self.refused(call, errno))?;
        let made = match kind {
            SFlag::S_IFLNK => {
                let target = readlinkat(from, name).map_err(|errno| self.refused("readlinkat", errno))?;
                symlinkat(target.as_os_str(), to, name)
            }
            _ => mknodat(to, name, kind, Mode::empty(), stat.st_rdev),
        };
        made.map_err(|errno| {
            self.refused(if kind == SFlag::S_IFLNK { "symlinkat" } else { "mknodat" }, errno)
        })?;
        Attributes::of(stat, xattrs)
            .give_at(to, name, kind == SFlag::S_IFLNK)
            .map_err(|(call, errno)| self.refused(call, errno))
    }

    fn regular(&mut self, from: BorrowedFd, to: BorrowedFd, name: &CStr) -> Result<(), Refusal> {
        // O_NONBLOCK: where a fifo has taken its place meanwhile, the open must not wait for a writer.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NOATIME | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let from = openat(from, name, flags, Mode::empty()).map_err(|errno| self.refused("openat", errno))?;
        let stat = fstat(&from).map_err(|errno| self.refused("fstat", errno))?;
        if kind_of(&stat) != SFlag::S_IFREG {
            return Err(self.refused("openat", Errno::ESTALE));
        }
        let xattrs =
            self.xattrs.read(Named::Open(from.as_fd())).map_err(|(call, errno)| self.refused(call, errno))?;
        let attributes = Attributes::of(&stat, xattrs);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let to = openat(to, name, flags, Mode::from_bits_truncate(attributes.mode))
            .map_err(|errno| self.refused("openat", errno))?;
        let has_holes = stat.st_blocks.saturating_mul(512) < stat.st_size;
        let path = self.from.join(OsStr::from_bytes(&self.path));
        self.writer.take(File { from, to, size: stat.st_size, has_holes, attributes, path })
    }
}

fn names_in(directory: &mut Dir) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
