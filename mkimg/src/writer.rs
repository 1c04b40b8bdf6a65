//! Copies the bytes of regular files in a thread of its own, while the walk that found them makes the next ones.
//!
//! Making a file and filling it take about as long as each other, and the disk can begin before both are done.

use crate::inode::Attributes;
use crate::progress::Progress;
use chain::{Refusal, quoted};
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::unistd::{Whence, ftruncate, lseek, read, write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A file to fill: both ends open, the new one empty.
pub struct File {
    pub from: OwnedFd,
    pub to: OwnedFd,
    pub size: i64,
    pub has_holes: bool,
    pub attributes: Attributes,
    /// Its source, for a message.
    pub path: PathBuf,
}

/// How many files may wait; each holds two descriptors, and 1024 is what a process usually may have.
const WAITING: usize = 64;
const BUFFER: usize = 128 << 10;
/// From this size on the disk is told to begin at once.
const LARGE: i64 = 64 << 10;

/// The thread, and the way to it.
pub struct Writer {
    files: Option<SyncSender<File>>,
    thread: Option<JoinHandle<Result<u64, Refusal>>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// EAGAIN: this user may have no more threads.
    pub fn start() -> Result<Writer, Refusal> {
        let (files, waiting) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().spawn(move || fill_all(waiting))?;
        Ok(Writer { files: Some(files), thread: Some(thread) })
    }

    /// Hands a file over.
    ///
    /// # Errors
    /// One that was handed over before could not be filled.
    pub fn take(&mut self, file: File) -> Result<(), Refusal> {
        let taken = self.files.as_ref().is_some_and(|files| files.send(file).is_ok());
        if taken { Ok(()) } else { self.finish().and(Err(Errno::EPIPE.into())) }
    }

    /// Waits until all are filled; returns how many bytes that took.
    ///
    /// # Errors
    /// One of them could not be filled.
    pub fn finish(&mut self) -> Result<u64, Refusal> {
        self.files = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            _ => Err(Errno::EPIPE.into()),
        }
    }
}

impl Drop for Writer {
    /// The files it has open would keep the file system busy.
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn fill_all(files: Receiver<File>) -> Result<u64, Refusal> {
    let mut filler = Filler { buffer: vec![0; BUFFER], progress: Progress::new(), bytes: 0 };
    for file in files {
        let outcome = filler.fill(&file).and_then(|()| file.attributes.give(file.to.as_fd(), true));
        outcome.map_err(|(call, errno)| Refusal::at(format!("{call}({})", quoted(&file.path)), errno))?;
        if file.size >= LARGE {
            // Starts to write what is dirty, and waits for nothing. Advice cannot fail in a way that matters.
            let _ = posix_fadvise(&file.to, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
    }
    Ok(filler.bytes)
}

struct Filler {
    buffer: Vec<u8>,
    progress: Progress,
    bytes: u64,
}

type Outcome = Result<(), (&'static str, Errno)>;

impl Filler {
    fn fill(&mut self, file: &File) -> Outcome {
        if file.has_holes { self.extents(file) } else { self.range(file, file.size as u64) }
    }

    /// Copies where there is data, and leaves the holes between: SEEK_DATA and SEEK_HOLE of lseek(2).
    fn extents(&mut self, file: &File) -> Outcome {
        ftruncate(&file.to, file.size).map_err(|errno| ("ftruncate", errno))?;
        let seek = |fd: &OwnedFd, offset, whence| lseek(fd, offset, whence).map_err(|errno| ("lseek", errno));
        let mut end = 0;
        loop {
            let start = match lseek(&file.from, end, Whence::SeekData) {
                Err(Errno::ENXIO) => return Ok(()),
                other => other.map_err(|errno| ("lseek", errno))?,
            };
            end = seek(&file.from, start, Whence::SeekHole)?;
            seek(&file.from, start, Whence::SeekSet)?;
            seek(&file.to, start, Whence::SeekSet)?;
            self.range(file, (end - start) as u64)?;
        }
    }

    /// Copies from where both files stand, up to `limit` bytes or the end.
    fn range(&mut self, file: &File, limit: u64) -> Outcome {
        let mut left = limit;
        while left > 0 {
            let room = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = read(&file.from, &mut self.buffer[..room]).map_err(|errno| ("read", errno))?;
            if got == 0 {
                break;
            }
            let mut rest = &self.buffer[..got];
            while !rest.is_empty() {
                let put = write(&file.to, rest).map_err(|errno| ("write", errno))?;
                rest = &rest[put..];
            }
            left -= got as u64;
            self.bytes += got as u64;
            self.progress.add(got as u64);
        }
        Ok(())
    }
}
