//! The unsafe lines of this crate: what nix has no safe wrapper for.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::Pid;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// fork(2) into the namespaces of `flags`: clone(2) with no stack of its own. None in the child.
pub(crate) fn clone_process(flags: CloneFlags) -> Result<Option<Pid>, Errno> {
    let flags = libc::c_long::from(flags.bits() | libc::SIGCHLD);
    // SAFETY: our tools have one thread, so the copy may go on as this process would; a null stack means the copy of
    // this one, and no pointer is passed.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then(|| Pid::from_raw(pid as i32)))
}

/// _exit(2): ends a copy of this process without running what the original still has to run at its own end.
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(status.into()) }
}

/// A signal that was waited for.
pub(crate) struct Arrived {
    pub signal: Signal,
    /// Sent by a process with kill(2) or sigqueue(3), not by the terminal or the kernel.
    pub by_kill: bool,
}

/// sigwaitinfo(2): the next of `set`, all of them blocked.
pub(crate) fn wait_signal(set: &SigSet) -> Result<Arrived, Errno> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: both pointers are to live values of the types the call takes; it fills `info` before it returns.
    let (number, code) = unsafe {
        let number = Errno::result(libc::sigwaitinfo(set.as_ref(), info.as_mut_ptr()))?;
        (number, info.assume_init_ref().si_code)
    };
    Ok(Arrived { signal: Signal::try_from(number)?, by_kill: code <= libc::SI_USER })
}

/// sigaction(2): sets `signal` to its default and returns what it was.
pub fn set_default(signal: Signal) -> Result<SigAction, Errno> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    unsafe { nix::sys::signal::sigaction(signal, &default) }
}

/// sigaction(2): puts back what [`set_default`] returned.
pub(crate) fn restore(signal: Signal, action: &SigAction) {
    // SAFETY: this process installs no handlers, so `action` is a default or an ignore inherited through exec.
    let _ = unsafe { nix::sys::signal::sigaction(signal, action) };
}

/// Whether `signal` is ignored, as under nohup(1).
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; `action` is a live value of the type the call fills.
    unsafe {
        libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init_ref().sa_sigaction == libc::SIG_IGN
    }
}

/// ioctl(2) with a number for its argument; returns the call's own result.
pub(crate) fn ioctl_number(
    fd: BorrowedFd,
    request: libc::Ioctl,
    argument: libc::c_ulong,
) -> Result<i32, Errno> {
    // SAFETY: the callers' requests (LOOP_CTL_GET_FREE, LOOP_CLR_FD) read their argument as a number.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) })
}

/// ioctl(2) with a pointer to `argument`, whose layout is the kernel's for `request`.
pub(crate) fn ioctl_struct<T>(fd: BorrowedFd, request: libc::Ioctl, argument: &mut T) -> Result<i32, Errno> {
    // SAFETY: the callers pair each request with the struct of linux/loop.h, whose size a test asserts; the kernel
    // reads or writes no more than that.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) })
}

/// Takes a descriptor a raw system call has just made.
pub fn own(fd: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(fd)? as i32;
    // SAFETY: the call returned this number as a new descriptor, which nobody else owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes a descriptor the caller opened for this tool, and closes it at exec. To be called before the tool opens any.
///
/// # Errors
/// EBADF: it is not open, or one of 0 to 2.
pub fn inherited(fd: i32) -> Result<OwnedFd, Errno> {
    if fd <= 2 {
        return Err(Errno::EBADF);
    }
    // SAFETY: fcntl takes numbers only; that it succeeds means the descriptor is open, and as the tool has opened none
    // itself yet, it is the caller's gift and nobody else's here.
    unsafe {
        Errno::result(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Makes sure descriptors 0 to 2 are open, so that no file of ours becomes the program's stdin, stdout or stderr.
pub(crate) fn open_standard_descriptors() {
    for fd in 0..3 {
        // SAFETY: both calls take numbers and a C string literal; a descriptor that is made is meant to stay.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) == -1 {
                libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            }
        }
    }
}
