//! Makes the files of an archive in a directory, and never outside it, whatever the archive says.
//!
//! Every name is resolved by openat2(2) with RESOLVE_IN_ROOT: absolute names and links end in the root, as they would
//! for the programs of the image; a name with `..` in it is refused. A later entry replaces an earlier one of its name.

mod inside;

use self::inside::{Inside, hostile, inside};
use crate::archive::{Archive, Entry, Kind, quoted_bytes};
use crate::inode::{Attributes, Refused};
use crate::progress::Progress;
use crate::tree::Copied;
use chain::Refusal;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, ftruncate, linkat, symlinkat, unlinkat};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// Makes every entry of `archive` below `root`.
///
/// # Errors
/// The archive is damaged or hostile, or a call was refused; the name of the entry is said.
pub fn unpack(archive: &mut Archive, root: BorrowedFd) -> Result<Copied, Refusal> {
    nix::sys::stat::umask(Mode::empty());
    let mut unpack = Unpack {
        root,
        parent: None,
        directories: Vec::new(),
        buffer: vec![0; 128 << 10],
        progress: Progress::new(),
        copied: Copied::default(),
    };
    while let Some(entry) = archive.next()? {
        unpack.entry(archive, &entry)?;
    }
    unpack.finish()
}

struct Unpack<'a> {
    root: BorrowedFd<'a>,
    /// The directory of the last entry: most entries have the same as the one before.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// What directories get in the end: filling them changes their times, and may need what they do not allow.
    directories: Vec<(Vec<u8>, Attributes)>,
    buffer: Vec<u8>,
    progress: Progress,
    copied: Copied,
}

fn refused(call: &str, path: &[u8], errno: Errno) -> Refusal {
    Refusal::at(format!("{call}({})", quoted_bytes(path)), errno)
}

impl Unpack<'_> {
    fn entry(&mut self, archive: &mut Archive, entry: &Entry) -> Result<(), Refusal> {
        self.copied.files += 1;
        let path = entry.path.as_slice();
        let Some(place) = inside(path)? else {
            return match entry.kind {
                Kind::Directory => {
                    self.directories.push((Vec::new(), entry.attributes.clone()));
                    Ok(())
                }
                _ => Err(hostile(path, "the name of the root itself, and no directory")),
            };
        };
        let parent = self.directory(&place.directory)?;
        let outcome = self.make(archive, entry, &parent, &place);
        self.parent.get_or_insert((place.directory, parent));
        outcome
    }

    fn make(
        &mut self,
        archive: &mut Archive,
        entry: &Entry,
        parent: &OwnedFd,
        place: &Inside,
    ) -> Result<(), Refusal> {
        let (path, name) = (entry.path.as_slice(), place.name.as_c_str());
        match &entry.kind {
            Kind::Directory => {
                self.make_directory(parent, name, path)?;
                let whole = [place.directory.as_slice(), name.to_bytes()].join(&b'/');
                self.directories.push((whole, entry.attributes.clone()));
                return Ok(());
            }
            Kind::File { pieces, size } => {
                let file = self.make_file(parent, name, path)?;
                self.fill(archive, &file, pieces, *size).map_err(|mut refusal| {
                    if refusal.call.is_none() {
                        refusal.call = Some(format!("write({})", quoted_bytes(path)));
                    }
                    refusal
                })?;
                let given = entry.attributes.give(file.as_fd(), false);
                return given.map_err(|(call, errno)| refused(call, path, errno));
            }
            Kind::HardLink(target) => return self.hard_link(parent, name, path, target),
            Kind::Symlink(target) => self
                .replacing(parent, name, path, "symlinkat", || symlinkat(target.as_slice(), parent, name))?,
            Kind::Fifo => self.node(parent, name, path, SFlag::S_IFIFO, 0)?,
            Kind::Character(major, minor) => {
                self.node(parent, name, path, SFlag::S_IFCHR, makedev(*major, *minor))?;
            }
            Kind::Block(major, minor) => {
                self.node(parent, name, path, SFlag::S_IFBLK, makedev(*major, *minor))?;
            }
        }
        let is_symlink = matches!(entry.kind, Kind::Symlink(_));
        let given = entry.attributes.give_at(parent.as_fd(), name, is_symlink);
        given.map_err(|(call, errno): Refused| refused(call, path, errno))
    }

    /// Opens a directory inside the root; makes it, and those above it, where the archive left them out.
    fn directory(&mut self, path: &[u8]) -> Result<OwnedFd, Refusal> {
        if let Some((_, open)) = self.parent.take().filter(|(known, _)| known == path) {
            return Ok(open);
        }
        match self.open(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Err(Errno::ENOENT) if !path.is_empty() => {}
            other => return other.map_err(|errno| refused("openat2", path, errno)),
        }
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let above = self.directory(cut.map_or(&[], |cut| &path[..cut]))?;
        let name = &path[cut.map_or(0, |cut| cut + 1)..];
        let mode = Mode::from_bits_truncate(0o755);
        match mkdirat(&above, name, mode) {
            // Dangling symbolic links are there and lead nowhere.
            Err(errno) => Err(refused("mkdirat", path, errno)),
            Ok(()) => self
                .open(path, OFlag::O_PATH | OFlag::O_DIRECTORY)
                .map_err(|errno| refused("openat2", path, errno)),
        }
    }

    fn open(&self, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        chain::open_below(self.root, path, flags, ResolveFlag::empty())
    }

    /// Makes something new under a name, in the place of what may have it already.
    fn replacing<T>(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &[u8],
        call: &str,
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Refusal> {
        match make() {
            Err(Errno::EEXIST) => {
                self.remove(parent, name).map_err(|errno| refused("unlinkat", path, errno))?;
                make()
            }
            other => other,
        }
        .map_err(|errno| refused(call, path, errno))
    }

    fn remove(&mut self, parent: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => unlinkat(parent, name, UnlinkatFlags::RemoveDir),
            other => other,
        }
    }

    fn make_file(&mut self, parent: &OwnedFd, name: &CStr, path: &[u8]) -> Result<File, Refusal> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.replacing(parent, name, path, "openat", || openat(parent, name, flags, Mode::S_IRUSR))
            .map(File::from)
    }

    fn node(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &[u8],
        kind: SFlag,
        device: u64,
    ) -> Result<(), Refusal> {
        self.replacing(parent, name, path, "mknodat", || mknodat(parent, name, kind, Mode::empty(), device))
    }

    fn make_directory(&mut self, parent: &OwnedFd, name: &CStr, path: &[u8]) -> Result<(), Refusal> {
        let make = || mkdirat(parent, name, Mode::S_IRWXU);
        let is_directory = || {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(parent, name, flags, Mode::empty()).is_ok()
        };
        match make() {
            Err(Errno::EEXIST) if is_directory() => Ok(()),
            Err(Errno::EEXIST) => self.replacing(parent, name, path, "mkdirat", make),
            other => other.map_err(|errno| refused("mkdirat", path, errno)),
        }
    }

    /// The image was empty, so what the target names is an entry made before, or nothing.
    fn hard_link(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &[u8],
        target: &[u8],
    ) -> Result<(), Refusal> {
        let Some(place) = inside(target)? else { return Err(hostile(path, "a hard link to the root")) };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let directory = match self.open(&place.directory, flags) {
            Err(Errno::ENOENT) => return Err(absent(path, target)),
            other => other.map_err(|errno| refused("openat2", target, errno))?,
        };
        let make = || linkat(&directory, place.name.as_c_str(), parent, name, AtFlags::empty());
        match make() {
            Err(Errno::ENOENT) => Err(absent(path, target)),
            // A second name for itself: removing it first would lose the file.
            Err(Errno::EEXIST) if is_same(&directory, &place.name, parent, name) => Ok(()),
            Err(Errno::EEXIST) => self.replacing(parent, name, path, "linkat", make),
            other => other.map_err(|errno| refused("linkat", path, errno)),
        }
    }

    fn fill(
        &mut self,
        archive: &mut Archive,
        file: &File,
        pieces: &[(u64, u64)],
        size: u64,
    ) -> Result<(), Refusal> {
        let mut end = 0;
        for (offset, length) in pieces.iter().filter(|(_, length)| *length > 0) {
            end = *offset;
            let stop = offset + length;
            while end < stop {
                let room = self.buffer.len().min(usize::try_from(stop - end).unwrap_or(usize::MAX));
                let got = archive.read(&mut self.buffer[..room])?;
                file.write_all_at(&self.buffer[..got], end)?;
                end += got as u64;
                self.progress.add(got as u64);
                self.copied.bytes += got as u64;
            }
        }
        if end < size { Ok(ftruncate(file, size as i64)?) } else { Ok(()) }
    }

    /// Gives the directories what they should have; where an entry came twice, the later one counts.
    fn finish(mut self) -> Result<Copied, Refusal> {
        for (path, attributes) in std::mem::take(&mut self.directories) {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
            let directory = match self.open(&path, flags) {
                // A later entry of the same name took its place.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                other => other.map_err(|errno| refused("openat2", &path, errno))?,
            };
            attributes.give(directory.as_fd(), false).map_err(|(call, errno)| refused(call, &path, errno))?;
        }
        Ok(self.copied)
    }
}

fn absent(path: &[u8], target: &[u8]) -> Refusal {
    hostile(path, &format!("a hard link to {}, which is no entry before it", quoted_bytes(target)))
}

fn is_same(directory: &OwnedFd, name: &CStr, other_directory: &OwnedFd, other: &CStr) -> bool {
    use nix::sys::stat::fstatat;
    let look = |directory: &OwnedFd, name: &CStr| {
        fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| crate::tree::identity(&stat)).ok()
    };
    look(directory, name).is_some_and(|file| look(other_directory, other) == Some(file))
}
