//! What a file is beside its bytes: owner, mode, times, extended attributes; read from one, given to another.

use chain::{Named, get_xattr, list_xattrs, set_xattr};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Extended attributes, by name.
pub type Xattrs = Vec<(CString, Vec<u8>)>;

/// Owner, mode, times and extended attributes of a file.
#[derive(Clone, Debug)]
pub struct Attributes {
    pub uid: u32,
    pub gid: u32,
    /// The twelve bits of chmod(2).
    pub mode: u32,
    pub atime: TimeSpec,
    pub mtime: TimeSpec,
    pub xattrs: Xattrs,
}

/// The largest list of names and the largest value the kernel knows: xattr(7).
const XATTR_MAX: usize = 65536;

/// What was refused, and why.
pub type Refused = (&'static str, Errno);

impl Attributes {
    /// Those of a file as stat(2) shows it; extended attributes are read by [`xattrs`].
    pub fn of(stat: &FileStat, xattrs: Xattrs) -> Attributes {
        Attributes {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            atime: TimeSpec::new(stat.st_atime, stat.st_atime_nsec),
            mtime: TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
            xattrs,
        }
    }

    /// The owner a file has when root has just made it.
    pub fn belongs_to_root(&self) -> bool {
        self.uid == 0 && self.gid == 0
    }

    /// Gives them to an open file. `is_fresh`: it was made with this mode, by root, and has been in no other hands.
    pub fn give(&self, file: BorrowedFd, is_fresh: bool) -> Result<(), Refused> {
        let needs_owner = !is_fresh || !self.belongs_to_root();
        if needs_owner {
            fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
                .map_err(|errno| ("fchown", errno))?;
        }
        // A change of owner takes the set-user-ID bits away and file capabilities too, so they follow it.
        if needs_owner || !is_fresh {
            fchmod(file, Mode::from_bits_truncate(self.mode)).map_err(|errno| ("fchmod", errno))?;
        }
        for (name, value) in &self.xattrs {
            set_xattr(Named::Open(file), name, value).map_err(|errno| ("fsetxattr", errno))?;
        }
        futimens(file, &self.atime, &self.mtime).map_err(|errno| ("futimens", errno))
    }

    /// Gives them to the file `name` in `directory`, which is not followed where it is a symbolic link.
    pub fn give_at(&self, directory: BorrowedFd, name: &CStr, is_symlink: bool) -> Result<(), Refused> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        fchownat(directory, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| ("fchownat", errno))?;
        if !is_symlink {
            // It is no link and nobody else can reach it, so following is safe; 6.1 has no fchmodat2 to forbid it.
            fchmodat(directory, name, Mode::from_bits_truncate(self.mode), FchmodatFlags::FollowSymlink)
                .map_err(|errno| ("fchmodat", errno))?;
        }
        if !self.xattrs.is_empty() {
            let path = path_of(directory, name);
            for (name, value) in &self.xattrs {
                set_xattr(Named::Path(&path), name, value).map_err(|errno| ("lsetxattr", errno))?;
            }
        }
        utimensat(directory, name, &self.atime, &self.mtime, UtimensatFlags::NoFollowSymlink)
            .map_err(|errno| ("utimensat", errno))
    }
}

/// A path for the calls that take no directory descriptor.
pub fn path_of(directory: BorrowedFd, name: &CStr) -> CString {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    CString::new(path).unwrap_or_default()
}

/// Reads the extended attributes of a file, with room of its own for the longest.
pub struct XattrReader {
    names: Vec<u8>,
    value: Vec<u8>,
}

impl XattrReader {
    pub fn new() -> XattrReader {
        XattrReader { names: vec![0; XATTR_MAX], value: vec![0; XATTR_MAX] }
    }

    /// All of them; none where the file system has no such thing.
    pub fn read(&mut self, file: Named) -> Result<Xattrs, Refused> {
        let length = match list_xattrs(file, &mut self.names) {
            Ok(0) | Err(Errno::EOPNOTSUPP) => return Ok(Xattrs::new()),
            other => other.map_err(|errno| ("flistxattr", errno))?,
        };
        let mut xattrs = Xattrs::new();
        for name in self.names[..length].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            match get_xattr(file, name, &mut self.value) {
                Ok(length) => xattrs.push((name.to_owned(), self.value[..length].to_vec())),
                // It went away since it was listed.
                Err(Errno::ENODATA) => {}
                Err(errno) => return Err(("fgetxattr", errno)),
            }
        }
        Ok(xattrs)
    }
}

/// fsync(2) of a directory, so that a name in it survives a crash.
pub fn sync_directory(path: &std::path::Path) -> Result<(), Errno> {
    use nix::fcntl::{OFlag, openat};
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::unistd::fsync(openat(AT_FDCWD, path, flags, Mode::empty())?.as_fd())
}
