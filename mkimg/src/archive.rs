//! Reads a tar archive as a stream: headers, the extensions that belong to them, the bytes behind them.
//!
//! The crate `tar` knows the fields of a header; the walk is our own, so that nothing of an archive is held in memory
//! but one entry's names, and a damaged one is told from a complete one. It touches no file but the archive.

mod stream;

use self::stream::Stream;
use crate::inode::Attributes;
use crate::pax::Records;
use crate::sparse;
use chain::{Refusal, quoted};
use nix::sys::time::TimeSpec;
use std::path::Path;
use tar::{EntryType, Header};

/// The size of everything in an archive.
const BLOCK: u64 = 512;
/// The most that may be said about one entry in extended headers.
const EXTENSION_MAX: u64 = 1 << 20;
const MALFORMED: &str = "a malformed extended header";

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes: pieces of so many at an offset each, in a file of `size`.
    File {
        pieces: Vec<(u64, u64)>,
        size: u64,
    },
    /// Another name of an entry that came before.
    HardLink(Vec<u8>),
    /// A symbolic link with this text.
    Symlink(Vec<u8>),
    /// A character device, major and minor.
    Character(u64, u64),
    /// A block device, major and minor.
    Block(u64, u64),
    Fifo,
    Directory,
}

/// One entry.
#[derive(Debug)]
pub struct Entry {
    /// As it stands in the archive.
    pub path: Vec<u8>,
    pub kind: Kind,
    pub attributes: Attributes,
}

/// An archive being read.
pub struct Archive {
    stream: Stream,
    /// Bytes of the present entry that were not taken yet, and those that fill its last block.
    left: u64,
    padding: u64,
    global: Records,
}

impl Archive {
    /// Opens an archive, plain or gz; `-` is stdin.
    ///
    /// # Errors
    /// It cannot be opened, or is packed in a way nobody here unpacks.
    pub fn open(path: &Path) -> Result<Archive, Refusal> {
        Ok(Archive { stream: Stream::open(path)?, left: 0, padding: 0, global: Records::default() })
    }

    /// What is wrong, and where.
    pub fn damaged(&self, what: &str) -> Refusal {
        self.stream.damaged(what)
    }

    /// The next entry; none at the end of the archive.
    ///
    /// # Errors
    /// The archive is damaged, cut short, or holds what is no file.
    pub fn next(&mut self) -> Result<Option<Entry>, Refusal> {
        let mut own = Records::default();
        loop {
            self.stream.skip(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let stored =
                own.size.filter(|_| !is_extension(kind)).unwrap_or(self.number(&header.as_old().size)?);
            if i64::try_from(stored).is_err() {
                return Err(self.damaged("an entry larger than any file"));
            }
            // A link's header may tell the size of what it names; no bytes follow it.
            let stored = if has_bytes(kind) { stored } else { 0 };
            self.left = stored;
            self.padding = stored.wrapping_neg() % BLOCK;
            match kind {
                EntryType::GNULongName => own.path = Some(without_nul(self.extension()?)),
                EntryType::GNULongLink => own.link = Some(without_nul(self.extension()?)),
                EntryType::XHeader => {
                    let text = self.extension()?;
                    own.parse(&text).ok_or_else(|| self.damaged(MALFORMED))?;
                }
                EntryType::XGlobalHeader => {
                    let text = self.extension()?;
                    self.global.parse(&text).ok_or_else(|| self.damaged(MALFORMED))?;
                }
                _ => return self.entry(&header, own).map(Some),
            }
        }
    }

    /// Takes bytes of the present entry; 0 where there are no more.
    ///
    /// # Errors
    /// The archive is damaged or cut short.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.stream.fill(&mut buffer[..room])?;
        self.left -= room as u64;
        Ok(room)
    }

    /// Reads a header; none at the end mark, after which the stream is read to its end.
    fn header(&mut self) -> Result<Option<Header>, Refusal> {
        let mut header = Header::new_old();
        if self.stream.ahead()? == 0 {
            return Err(self.damaged("it is cut short: its end mark is missing"));
        }
        self.stream.fill(header.as_mut_bytes())?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            self.stream.finish()?;
            return Ok(None);
        }
        // The sum is taken with blanks in its own place; old tars added signed bytes.
        let summed = || bytes[..148].iter().chain(b"        ").chain(&bytes[156..]);
        let unsigned: i64 = summed().map(|byte| i64::from(*byte)).sum();
        let signed: i64 = summed().map(|byte| i64::from(*byte as i8)).sum();
        let told = header.cksum().ok().map(i64::from);
        if told != Some(unsigned) && told != Some(signed) {
            let what = if self.stream.position() == BLOCK {
                "it is no tar archive"
            } else {
                "a header's check sum is wrong"
            };
            return Err(self.damaged(what));
        }
        Ok(Some(header))
    }

    fn entry(&mut self, header: &Header, own: Records) -> Result<Entry, Refusal> {
        let all = &self.global;
        let path = own.path.or_else(|| all.path.clone()).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = own.link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let old = header.as_old();
        let uid = own.uid.or(all.uid).map_or_else(|| self.number(&old.uid), Ok)?;
        let gid = own.gid.or(all.gid).map_or_else(|| self.number(&old.gid), Ok)?;
        let written = TimeSpec::new(self.time(&old.mtime), 0);
        let mtime = own.mtime.or(all.mtime).unwrap_or(written);
        let id = |id: u64| u32::try_from(id).map_err(|_| self.damaged("an owner is no 32-bit number"));
        let attributes = Attributes {
            uid: id(uid)?,
            gid: id(gid)?,
            mode: self.number(&old.mode)? as u32 & 0o7777,
            atime: own.atime.unwrap_or(mtime),
            mtime,
            xattrs: own.xattrs,
        };
        let kind = match header.entry_type() {
            EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => match own.sparse {
                Some(sparse) => sparse::pax(self, sparse)?,
                None => Kind::File { pieces: vec![(0, self.left)], size: self.left },
            },
            EntryType::GNUSparse => sparse::gnu(self, header)?,
            EntryType::Link => Kind::HardLink(link),
            EntryType::Symlink => Kind::Symlink(link),
            EntryType::Directory => Kind::Directory,
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => Kind::Character(self.device(header, 329)?, self.device(header, 337)?),
            EntryType::Block => Kind::Block(self.device(header, 329)?, self.device(header, 337)?),
            other => {
                let what = format!(
                    "{} is of type {:?}, which is no file",
                    quoted_bytes(&path),
                    other.as_byte() as char
                );
                return Err(self.damaged(&what));
            }
        };
        Ok(Entry { path, kind, attributes })
    }

    /// The number at this offset of a ustar or GNU header.
    fn device(&self, header: &Header, offset: usize) -> Result<u64, Refusal> {
        self.number(&header.as_bytes()[offset..offset + 8])
    }

    /// The text of an extended header.
    fn extension(&mut self) -> Result<Vec<u8>, Refusal> {
        if self.left > EXTENSION_MAX {
            return Err(self.damaged("an extended header of more than 1 MiB"));
        }
        let mut text = vec![0; self.left as usize];
        self.read(&mut text)?;
        Ok(text)
    }

    /// Bytes of the present entry that were not taken yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// A number field of a header: octal digits, or base 256 where its first bit is set.
    ///
    /// # Errors
    /// It holds something else.
    pub fn number(&self, field: &[u8]) -> Result<u64, Refusal> {
        let number = match field {
            [0x80, rest @ ..] => {
                rest.iter().try_fold(0_u64, |sum, byte| Some(sum.checked_mul(256)? + u64::from(*byte)))
            }
            [0x81..=0xff, ..] => None,
            _ => {
                let digits = field.split(|byte| *byte == 0).next().and_then(text_of).map(str::trim);
                digits.and_then(
                    |digits| if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() },
                )
            }
        };
        number.ok_or_else(|| self.damaged("a header holds what is no number"))
    }

    /// A time field: before 1970 it is a negative number in base 256.
    fn time(&self, field: &[u8; 12]) -> i64 {
        match field {
            [0xff, .., a, b, c, d, e, f, g, h] => i64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            _ => self.number(field).ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
        }
    }

    /// Takes exactly as many bytes as `buffer` has room for, whatever they belong to.
    ///
    /// # Errors
    /// The archive is damaged or cut short.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Refusal> {
        self.stream.fill(buffer)
    }
}

fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
    )
}

fn has_bytes(kind: EntryType) -> bool {
    use EntryType::{Block, Char, Directory, Fifo, Link, Symlink};
    !matches!(kind, Link | Symlink | Char | Block | Directory | Fifo)
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn without_nul(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(end);
    text
}

/// A name of an archive, for a message.
pub fn quoted_bytes(bytes: &[u8]) -> String {
    use std::os::unix::ffi::OsStrExt;
    quoted(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
