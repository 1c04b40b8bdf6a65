//! The unsafe lines of this crate: the mount API, which nix has no wrapper for.
#![allow(unsafe_code)]

use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// An optional C string as a system call takes it.
fn pointer(text: Option<&CStr>) -> *const libc::c_char {
    text.map_or(std::ptr::null(), CStr::as_ptr)
}

/// fsopen(2): begins the configuration of a file system of this type.
pub fn fsopen(kind: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: the pointer is to a C string that outlives the call.
    chain::own(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), libc::FSOPEN_CLOEXEC) })
}

/// fsconfig(2): one command, with a key and a value where it takes them.
pub fn fsconfig(fs: BorrowedFd, command: u32, key: Option<&CStr>, value: Option<&CStr>) -> Result<(), Errno> {
    // SAFETY: both pointers are null or to C strings that outlive the call; the last argument is a number.
    let done = unsafe {
        libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), command, pointer(key), pointer(value), 0)
    };
    Errno::result(done).map(drop)
}

/// fsmount(2): the configured file system as a mount that is attached nowhere.
pub fn fsmount(fs: BorrowedFd, attributes: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: all arguments are numbers.
    chain::own(unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), libc::FSMOUNT_CLOEXEC, attributes) })
}

/// open_tree(2): a copy of the mounts at and below a path, attached nowhere.
pub fn open_tree(at: BorrowedFd, path: &CStr, flags: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: the pointer is to a C string that outlives the call.
    chain::own(unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), path.as_ptr(), flags) })
}

/// move_mount(2): attaches a detached mount on what `target` refers to.
pub fn move_mount(mount: BorrowedFd, target: BorrowedFd) -> Result<(), Errno> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    let (from, to) = (mount.as_raw_fd(), target.as_raw_fd());
    // SAFETY: both paths are C string literals, and empty: the descriptors alone say what is moved where.
    let done = unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) };
    Errno::result(done).map(drop)
}

/// mount_setattr(2): attributes of one mount, or of all below it; `idmap` is a user namespace whose map the owners take.
pub fn mount_setattr(
    at: BorrowedFd,
    path: &CStr,
    flags: i32,
    set: u64,
    idmap: Option<BorrowedFd>,
) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: set | if idmap.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 },
        attr_clr: 0,
        propagation: 0,
        userns_fd: idmap.map_or(0, |namespace| namespace.as_raw_fd() as u64),
    };
    let (pointer, size) = (std::ptr::from_ref(&attributes), size_of::<libc::mount_attr>());
    // SAFETY: the path is a C string and the struct is the kernel's own, with its size; both outlive the call.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, at.as_raw_fd(), path.as_ptr(), flags, pointer, size)
    };
    Errno::result(done).map(drop)
}

/// ioctl(2) NS_GET_USERNS of linux/nsfs.h: the user namespace that owns a namespace.
pub fn owner_of(namespace: BorrowedFd) -> Result<OwnedFd, Errno> {
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    // SAFETY: the request takes no argument and returns a new descriptor.
    chain::own(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) }.into())
}

/// statx(2): whether a path is the root of a mount.
pub fn is_mount_point(path: &CStr) -> Result<bool, Errno> {
    let mut about = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let root = libc::STATX_ATTR_MOUNT_ROOT as u64;
    // SAFETY: the path is a C string, and the struct is the kernel's own, which the call fills before it returns 0.
    unsafe {
        Errno::result(libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, 0, about.as_mut_ptr()))?;
        Ok(about.assume_init_ref().stx_attributes & root != 0)
    }
}

/// Sets every signal to its default and unblocks all: what was ignored or blocked outside is not inside.
pub fn reset_signals() -> Result<(), Errno> {
    for number in 1..=64 {
        // SAFETY: SIG_DFL runs no code of ours; SIGKILL, SIGSTOP and the two numbers the C library keeps refuse it,
        // which leaves them as they are.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()
}
