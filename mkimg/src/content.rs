//! What goes into an image, how much of it there is, and so how large the image must be. It only looks.

use crate::archive::{Archive, Kind};
use crate::tree::{Identity, identity, kind_of};
use chain::{Failure, Refusal, in_words, quoted};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory.
    Tree(PathBuf),
    /// A tar archive; `-` is stdin.
    Archive(PathBuf),
}

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Bytes, in whole blocks of 4 KiB, directories and long symbolic links included.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
    /// A directory of the tree that something is mounted on.
    pub mounted_below: Option<PathBuf>,
    /// Where the image that is to be replaced lies in the tree.
    pub holds_image: Option<PathBuf>,
}

const BLOCK: u64 = 4096;
const INODE: u64 = 256;
const MIB: u64 = 1 << 20;

impl Content {
    /// The size of an image it fits into: itself and a quarter more, 256 bytes an inode, and 64 MiB for the journal, the
    /// tables and what is yet to come; in whole MiB.
    pub fn image_size(&self) -> u64 {
        let room = self.bytes / 4 + self.inodes * INODE + 64 * MIB;
        self.bytes.saturating_add(room).checked_next_multiple_of(MIB).unwrap_or(u64::MAX)
    }

    /// As many inodes as mke2fs gives an image of this size by default (one for 16 KiB), or what the content needs.
    pub fn inodes_for(&self, size: u64) -> u64 {
        (size / 16384).max(self.inodes + self.inodes / 4 + 64)
    }

    fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX));
        self.inodes += 1;
    }
}

impl Source {
    /// What was typed after `--from`.
    pub fn of(from: &Path) -> Result<Source, Failure> {
        if from.as_os_str() == "-" {
            return Ok(Source::Archive(from.into()));
        }
        let about = std::fs::metadata(from).map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Failure::refused(format!("stat({})", quoted(from)), errno).why(WHY)
        })?;
        Ok(if about.is_dir() { Source::Tree(from.into()) } else { Source::Archive(from.into()) })
    }

    /// Walks a tree or reads the headers of an archive. `image` is the file that must not be copied into itself; the
    /// files `but` will be gone by then.
    pub fn measure(&self, image: Option<Identity>, but: &[Identity]) -> Result<Content, Failure> {
        let measured = match self {
            Source::Tree(from) => measure_tree(from, image, but),
            Source::Archive(from) => measure_archive(from),
        };
        measured.map_err(|refusal| {
            let call = refusal.call.unwrap_or_else(|| "read".into());
            let words = refusal.errno.map(in_words);
            let what: Vec<String> =
                words.into_iter().chain(Some(refusal.said)).filter(|w| !w.is_empty()).collect();
            Failure::new(format!("{call}: {}", what.join(": "))).why(WHY)
        })
    }
}

/// Why the content is looked at.
pub const WHY: &str = "see what goes into the image, and how much room it needs";

fn measure_archive(from: &Path) -> Result<Content, Refusal> {
    let mut archive = Archive::open(from)?;
    let mut content = Content::default();
    while let Some(entry) = archive.next()? {
        match entry.kind {
            Kind::File { pieces, .. } => content.add(pieces.iter().map(|(_, length)| length).sum()),
            Kind::HardLink(_) => {}
            Kind::Directory => content.add(BLOCK),
            Kind::Symlink(target) => content.add(if target.len() < 60 { 0 } else { BLOCK }),
            Kind::Character(..) | Kind::Block(..) | Kind::Fifo => content.add(0),
        }
    }
    Ok(content)
}

fn measure_tree(from: &Path, image: Option<Identity>, but: &[Identity]) -> Result<Content, Refusal> {
    let refused = |call: &str, errno| Refusal::at(format!("{call}({})", quoted(from)), errno);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = openat(AT_FDCWD, from, flags, Mode::empty()).map_err(|errno| refused("openat", errno))?;
    let stat = fstat(&directory).map_err(|errno| refused("fstat", errno))?;
    let mut walk =
        Walk { device: stat.st_dev, image, but, seen: HashSet::new(), content: Content::default() };
    walk.directory(from, directory, &stat)?;
    Ok(walk.content)
}

struct Walk<'a> {
    device: u64,
    image: Option<Identity>,
    but: &'a [Identity],
    /// Files with several names count once.
    seen: HashSet<Identity>,
    content: Content,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, directory: OwnedFd, stat: &FileStat) -> Result<(), Refusal> {
        let refused =
            |path: &Path, call: &str, errno| Refusal::at(format!("{call}({})", quoted(path)), errno);
        self.content.add(BLOCK.max(stat.st_size as u64));
        let mut directory = Dir::from_fd(directory).map_err(|errno| refused(path, "fdopendir", errno))?;
        let mut below = Vec::new();
        let entries: Result<Vec<_>, Errno> = directory.iter().collect();
        for entry in entries.map_err(|errno| refused(path, "getdents64", errno))? {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = || path.join(OsStr::from_bytes(name.to_bytes()));
            let stat = fstatat(directory.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(|errno| refused(&path(), "newfstatat", errno))?;
            match kind_of(&stat) {
                SFlag::S_IFDIR if stat.st_dev != self.device => {
                    self.content.mounted_below.get_or_insert_with(path);
                    self.content.add(BLOCK);
                }
                SFlag::S_IFDIR => below.push((name.to_owned(), stat)),
                _ if self.image == Some(identity(&stat)) => self.content.holds_image = Some(path()),
                _ if self.but.contains(&identity(&stat)) => {}
                _ if stat.st_nlink > 1 && !self.seen.insert(identity(&stat)) => {}
                // Blocks of 512 bytes: fewer than the size where there are holes.
                SFlag::S_IFREG => self.content.add((stat.st_size as u64).min(stat.st_blocks as u64 * 512)),
                SFlag::S_IFLNK => self.content.add(if stat.st_size < 60 { 0 } else { BLOCK }),
                _ => self.content.add(0),
            }
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        for (name, stat) in below {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            let inner = openat(directory.as_fd(), name.as_c_str(), flags, Mode::empty())
                .map_err(|errno| refused(&path, "openat", errno))?;
            self.directory(&path, inner, &stat)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_quarter_and_64_mib_more_than_its_content() {
        let none = Content::default();
        assert_eq!(none.image_size(), 64 * MIB);
        let some = Content { bytes: 100 * MIB, inodes: 4096, ..Content::default() };
        assert_eq!(some.image_size(), (100 + 25 + 1 + 64) * MIB);
        assert_eq!(Content { bytes: 1, ..Content::default() }.image_size(), 65 * MIB);
    }

    #[test]
    fn there_are_inodes_for_what_comes_and_more() {
        let many = Content { bytes: MIB, inodes: 100_000, ..Content::default() };
        assert_eq!(many.inodes_for(64 * MIB), 125_064);
        assert_eq!(Content::default().inodes_for(1 << 30), 65536);
    }
}
