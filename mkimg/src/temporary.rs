//! The other name an image has while it is made or put in its place, `.IMG.mkimg-PID`, and what a killed mkimg left there.
//!
//! Whoever makes an image under such a name holds a lock on it, flock(2), which goes with the last descriptor, a loop
//! device's included. The number in the name tells nothing: another process may have it by now, and one that cannot be
//! seen from this PID namespace may be at work.

use crate::facts::directory_of;
use crate::tree::{Identity, identity, kind_of};
use chain::{Answer, Refusal, quoted};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlink, unlinkat};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a killed mkimg left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub path: PathBuf,
    pub identity: Identity,
    /// The bytes it takes on the disk.
    pub room: u64,
}

/// The digits of the largest process number: PID_MAX_LIMIT is 4194304.
const DIGITS: usize = 7;
/// How long a look of another mkimg at a new file is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The name an image has until it is whole.
pub fn name(image: &Path, pid: u32) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(image.file_name().unwrap_or_default());
    name.push(format!(".mkimg-{pid}"));
    directory_of(image).join(name)
}

/// Whether `name` is such a name of the image `image`.
fn is_name(name: &[u8], image: &[u8]) -> bool {
    let rest = name.strip_prefix(b".").and_then(|rest| rest.strip_prefix(image));
    rest.and_then(|rest| rest.strip_prefix(b".mkimg-")).is_some_and(|number| {
        number.len() <= DIGITS
            && number.first().is_some_and(|digit| *digit != b'0')
            && number.iter().all(u8::is_ascii_digit)
    })
}

/// What killed ones left of an image; it only looks, and what cannot be looked at is none.
pub fn left_of(image: &Path) -> Vec<Leftover> {
    let Ok(mut directory) = Dir::open(directory_of(image), OPEN_DIRECTORY, Mode::empty()) else {
        return Vec::new();
    };
    let image_name = image.file_name().unwrap_or_default().as_bytes();
    let names = directory.iter().flatten().map(|entry| entry.file_name().to_owned());
    let mut names: Vec<CString> = names.filter(|name| is_name(name.to_bytes(), image_name)).collect();
    names.sort();
    let look = |name: CString| {
        let (_, about) = abandoned(directory.as_fd(), &name).ok()??;
        Some(Leftover {
            path: directory_of(image).join(OsStr::from_bytes(name.to_bytes())),
            identity: identity(&about),
            room: about.st_blocks as u64 * 512,
        })
    };
    names.into_iter().filter_map(look).collect()
}

/// Removes what was found, where it is abandoned still.
pub fn remove_left(path: &Path) -> Result<Answer, Refusal> {
    let directory: OwnedFd = open(directory_of(path), OPEN_DIRECTORY, Mode::empty())?;
    let name = chain::c_string(Path::new(path.file_name().unwrap_or_default()))?;
    // Whoever looks meanwhile finds the lock taken, so the name stays this file's until it is gone.
    match abandoned(directory.as_fd(), &name) {
        Ok(Some(_lock)) => {
            unlinkat(&directory, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
            Ok(Answer::zero())
        }
        Ok(None) | Err(Errno::ENOENT) => Ok(Answer::AlreadyThere),
        Err(errno) => Err(errno.into()),
    }
}

/// The file of that name, locked; none where somebody has the lock, or where it is nothing that an mkimg of this user made.
fn abandoned(directory: BorrowedFd, name: &CStr) -> Result<Option<(File, FileStat)>, Errno> {
    let user = geteuid().as_raw();
    let may_be_ours =
        |about: &FileStat| kind_of(about) == SFlag::S_IFREG && about.st_uid == user && about.st_nlink == 1;
    let named = || fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
    if !may_be_ours(&named()?) {
        return Ok(None);
    }
    // In a directory of everybody's it may be another by now. NFS gives such a lock only on what is open for writing.
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::empty())?);
    if lock(&file).is_err() {
        return Ok(None);
    }
    // Its maker lets go of the lock once the file has its own name.
    let about = named()?;
    let is_same = identity(&about) == identity(&fstat(&file)?);
    Ok((is_same && may_be_ours(&about)).then_some((file, about)))
}

/// Makes a new file of that name, with the lock on it.
pub fn create(path: &Path) -> Result<File, Refusal> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    loop {
        let file = File::from(open(path, flags, crate::image::PERMISSIONS).map_err(|errno| {
            Refusal::at(format!("open({}, O_CREAT|O_EXCL|O_RDWR, 0666)", quoted(path)), errno)
        })?);
        if let Err(refusal) = hold(&file) {
            let _ = unlink(path);
            return Err(refusal);
        }
        // Before it had its lock another mkimg may have taken it for abandoned.
        let now = fstatat(AT_FDCWD, path, AtFlags::AT_SYMLINK_NOFOLLOW);
        if now.is_ok_and(|now| fstat(&file).is_ok_and(|about| identity(&about) == identity(&now))) {
            return Ok(file);
        }
    }
}

/// Locks an image in the making. A file system without locks has none for who would remove it either.
pub fn hold(image: &File) -> Result<(), Refusal> {
    let until = Instant::now() + PATIENCE;
    while lock(image) == Err(Errno::EWOULDBLOCK) {
        if Instant::now() > until {
            return Err(Refusal::at("flock(image, LOCK_EX|LOCK_NB)", Errno::EWOULDBLOCK));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// flock(2), the whole file, for as long as any descriptor of this open file is there.
#[allow(deprecated)] // nix's Flock unlocks when it is dropped; this lock has to outlive us in the loop device.
pub fn lock(file: &File) -> Result<(), Errno> {
    nix::fcntl::flock(file.as_raw_fd(), nix::fcntl::FlockArg::LockExclusiveNonblock)
}

const OPEN_DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_name_with_a_process_number_is_one() {
        let own = name(Path::new("a/img"), 4_194_304);
        assert_eq!(own, Path::new("a/.img.mkimg-4194304"));
        assert!(is_name(own.file_name().unwrap().as_bytes(), b"img"));
        assert!(is_name(b".\xff.mkimg-1", b"\xff"));
        for other in [
            "img",
            ".img",
            ".img.mkimg-",
            ".img.mkimg-0",
            ".img.mkimg-07",
            ".img.mkimg-+7",
            ".img.mkimg-7 ",
            ".img.mkimg-7x",
            ".img.mkimg-12345678",
            ".img.mkimg-7.mkimg-7",
            ".img2.mkimg-7",
            ".im.mkimg-7",
            "img.mkimg-7",
            "..img.mkimg-7",
        ] {
            assert!(!is_name(other.as_bytes(), b"img"), "{other}");
        }
    }
}
