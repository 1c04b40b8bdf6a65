//! The unsafe lines of this crate: what nix has no safe wrapper for.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::Pid;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicPtr, Ordering};

/// fork(2) into the namespaces of `flags`: clone(2) with no stack of its own. None in the child.
pub(crate) fn clone_process(flags: CloneFlags) -> Result<Option<Pid>, Errno> {
    let flags = libc::c_long::from(flags.bits() | libc::SIGCHLD);
    // SAFETY: our tools have one thread, so the copy may go on as this process would; a null stack means the copy of
    // this one, and no pointer is passed.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then(|| Pid::from_raw(pid as i32)))
}

/// Room for what a child does between its birth and its exec; what it does not touch costs nothing.
const STACK: usize = 1 << 20;

/// clone(2) as vfork(2) does it, with a stack for the child alone: `child` runs in this process's memory, and ends with the
/// status it returns unless it has become a program before. This process stands still until then.
pub(crate) fn clone_in_place(flags: CloneFlags, mut child: impl FnMut() -> u8) -> Result<Pid, Errno> {
    let layout = std::alloc::Layout::array::<u8>(STACK).map_err(|_| Errno::ENOMEM)?;
    // SAFETY: the layout is not empty; what is not null is that many zeros, the global allocator's, and nobody else's.
    let mut stack = unsafe {
        let start = std::alloc::alloc_zeroed(layout);
        // Under a small ulimit -v; a Vec would abort.
        if start.is_null() {
            return Err(Errno::ENOMEM);
        }
        Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, STACK))
    };
    let flags = flags | CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    let run = Box::new(|| isize::from(child()));
    // SAFETY: with CLONE_VFORK and one thread the two never run at the same time, so nothing is looked at while the other
    // changes it, and the stack and the closure outlive the child's use of them. A panic aborts before it could unwind
    // into the C function below.
    unsafe { nix::sched::clone(run, &mut stack, flags, Some(libc::SIGCHLD)) }
}

/// clone3(2) likewise, the child born in the control group (v2) that `group` refers to: it never is in its parent's, and
/// no lock over all groups is taken to move it.
pub(crate) fn clone_into(flags: CloneFlags, group: BorrowedFd) -> Result<Option<Pid>, Errno> {
    // linux/sched.h; libc's own is an int, which it does not fit.
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let arguments = libc::clone_args {
        flags: flags.bits() as u64 | CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: group.as_raw_fd() as u64,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
    };
    let (pointer, size) = (std::ptr::from_ref(&arguments), size_of::<libc::clone_args>());
    // SAFETY: as above; the struct is the kernel's own, with its size, and outlives the call.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone3, pointer, size) })?;
    Ok((pid != 0).then(|| Pid::from_raw(pid as i32)))
}

/// _exit(2): ends a copy of this process without running what the original still has to run at its own end.
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(status.into()) }
}

/// The words of the command line as main has got them; behind the null at their end come the variables.
pub(crate) static WORDS: AtomicPtr<*mut u8> = AtomicPtr::new(std::ptr::null_mut());

/// The bytes of the words and those of the variables this process was started with, as /proc/PID/cmdline and environ show
/// them, for whoever asks for neither any more. They are given once.
pub(crate) fn take_words() -> [&'static mut [u8]; 2] {
    let mut next = WORDS.swap(std::ptr::null_mut(), Ordering::Relaxed);
    [(); 2].map(|()| {
        // SAFETY: each list ends with a null; its strings the kernel has put one behind the other into memory of this
        // process's own, which has one thread and, the caller says, no use for them.
        unsafe {
            if next.is_null() || (*next).is_null() {
                return Default::default();
            }
            let (first, mut end) = (*next, *next);
            while !(*next).is_null() {
                end = (*next).add(libc::strlen((*next).cast()) + 1);
                next = next.add(1);
            }
            next = next.add(1);
            std::slice::from_raw_parts_mut(first, end.addr().saturating_sub(first.addr()))
        }
    })
}

/// kill(2) with a signal that may have no name, as those for real-time programs.
pub(crate) fn kill(process: Pid, signal: i32) -> Result<(), Errno> {
    // SAFETY: the call takes numbers.
    Errno::result(unsafe { libc::kill(process.as_raw(), signal) }).map(drop)
}

/// sigpending(2): the signals that have come while they were blocked.
pub(crate) fn pending() -> SigSet {
    let mut set = std::mem::MaybeUninit::zeroed();
    // SAFETY: all zeros is an empty set; the call fills it, or leaves it so.
    unsafe {
        libc::sigpending(set.as_mut_ptr());
        SigSet::from_sigset_t_unchecked(set.assume_init())
    }
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

/// setsockopt(2): switches a boolean option on.
pub(crate) fn switch_on(socket: &OwnedFd, level: i32, option: i32) -> Result<(), Errno> {
    let one: libc::c_int = 1;
    let (value, size) = (std::ptr::from_ref(&one).cast(), size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the value is a live int, with its size.
    Errno::result(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, size) }).map(drop)
}

/// ioctl(2) with a number for its argument; returns the call's own result.
pub(crate) fn ioctl_number(
    fd: BorrowedFd,
    request: libc::Ioctl,
    argument: libc::c_ulong,
) -> Result<i32, Errno> {
    // SAFETY: the callers' requests (LOOP_CTL_GET_FREE, LOOP_CLR_FD, NS_GET_PARENT) read their argument as a number or
    // not at all.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) })
}

/// ioctl(2) with a pointer to `argument`, whose layout is the kernel's for `request`.
pub(crate) fn ioctl_struct<T>(fd: BorrowedFd, request: libc::Ioctl, argument: &mut T) -> Result<i32, Errno> {
    // SAFETY: the callers pair each request with the struct of linux/loop.h, whose size a test asserts, or with the u64
    // of linux/nsfs.h; the kernel reads or writes no more than that.
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

/// A file whose extended attributes are meant.
#[derive(Clone, Copy)]
pub enum Named<'a> {
    /// An open one.
    Open(BorrowedFd<'a>),
    /// One by its path, which is not followed where it is a symbolic link.
    Path(&'a CStr),
}

/// flistxattr(2), llistxattr(2): the names, each with its NUL, in as much of `buffer` as is returned.
pub fn list_xattrs(file: Named, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: `start` and `length` are those of one live buffer, and the path is a live C string.
    let got = unsafe {
        match file {
            Named::Open(fd) => libc::flistxattr(fd.as_raw_fd(), start, length),
            Named::Path(path) => libc::llistxattr(path.as_ptr(), start, length),
        }
    };
    Errno::result(got).map(|got| got as usize)
}

/// fgetxattr(2), lgetxattr(2): the value, in as much of `buffer` as is returned.
pub fn get_xattr(file: Named, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: `start` and `length` are those of one live buffer, and path and name are live C strings.
    let got = unsafe {
        match file {
            Named::Open(fd) => libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), start, length),
            Named::Path(path) => libc::lgetxattr(path.as_ptr(), name.as_ptr(), start, length),
        }
    };
    Errno::result(got).map(|got| got as usize)
}

/// fsetxattr(2), lsetxattr(2).
pub fn set_xattr(file: Named, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let (start, length) = (value.as_ptr().cast(), value.len());
    // SAFETY: `start` and `length` are those of one live slice, and path and name are live C strings.
    let done = unsafe {
        match file {
            Named::Open(fd) => libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), start, length, 0),
            Named::Path(path) => libc::lsetxattr(path.as_ptr(), name.as_ptr(), start, length, 0),
        }
    };
    Errno::result(done).map(drop)
}

/// fremovexattr(2), lremovexattr(2).
pub fn remove_xattr(file: Named, name: &CStr) -> Result<(), Errno> {
    // SAFETY: path and name are live C strings.
    let done = unsafe {
        match file {
            Named::Open(fd) => libc::fremovexattr(fd.as_raw_fd(), name.as_ptr()),
            Named::Path(path) => libc::lremovexattr(path.as_ptr(), name.as_ptr()),
        }
    };
    Errno::result(done).map(drop)
}

/// `struct __user_cap_header_struct` and twice `struct __user_cap_data_struct` of linux/capability.h, version 3.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// capset(2) of this process.
pub(crate) fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let halves = |set: u64| (set as u32, (set >> 32) as u32);
    let sets = [effective, permitted, inheritable].map(halves);
    let low_then_high = [sets.map(|(low, _)| low), sets.map(|(_, high)| high)];
    // SAFETY: header and data have the layout of version 3, which takes two data structs of three words each.
    let done =
        unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), low_then_high.as_ptr()) };
    Errno::result(done).map(drop)
}

/// capget(2) of this process: its permitted set.
pub(crate) fn permitted() -> Result<u64, Errno> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [0u32; 6];
    // SAFETY: header and data have the layout of version 3, which fills two data structs of three words each.
    let done = unsafe { libc::syscall(libc::SYS_capget, std::ptr::from_ref(&header), data.as_mut_ptr()) };
    Errno::result(done)?;
    Ok(u64::from(data[4]) << 32 | u64::from(data[1]))
}

/// prctl(2) with numbers only.
pub(crate) fn prctl(option: i32, first: u64, second: u64) -> Result<i32, Errno> {
    // SAFETY: the callers' options (PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_SET_KEEPCAPS, PR_SET_DUMPABLE) take numbers.
    Errno::result(unsafe { libc::prctl(option, first, second, 0, 0) })
}

/// keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: a new session key ring without a name.
pub fn join_new_session_keyring() -> Result<i64, Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name is what the call takes for a nameless key ring.
    Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, no_name) })
}

/// close_range(2): closes the descriptors from `first` to `last`, none where they are none. Nothing that owns one of them
/// may be used or dropped after it.
pub(crate) fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    if last < first {
        return Ok(());
    }
    // SAFETY: the call takes numbers; its only caller goes on with nothing that owned a descriptor, and ends by _exit(2).
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// close_range(2): marks every descriptor from `first` on to be closed at exec.
pub fn close_from_at_exec(first: u32) -> Result<(), Errno> {
    // SAFETY: the call takes numbers, and with this flag it closes nothing now.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(done).map(drop)
}

/// Replaces the environment of this process; no name is empty or holds `=`.
pub fn set_environment(pairs: &[(std::ffi::OsString, std::ffi::OsString)]) {
    // SAFETY: this process has one thread, so nobody reads the environment meanwhile.
    unsafe {
        libc::clearenv();
        // What std would refuse as a name was none of the caller's making by --env, and means nothing to programs.
        let sound =
            pairs.iter().filter(|(name, _)| !name.is_empty() && !name.as_encoded_bytes().contains(&b'='));
        sound.for_each(|(name, value)| std::env::set_var(name, value));
    }
}

/// memfd_create(2): a file in memory that can be run and sealed.
pub(crate) fn memfd_create(name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // linux/memfd.h, since 6.3: wanted where sysctl vm.memfd_noexec is 1, and not known before.
    const MFD_EXEC: u32 = 0x10;
    // SAFETY: the name is a C string that outlives the call.
    let create = |flags: u32| own(unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) });
    match create(flags | MFD_EXEC) {
        Err(Errno::EINVAL) => create(flags),
        answer => answer,
    }
}

/// pidfd_open(2): a descriptor for a process, which never means another one.
pub fn pidfd_open(process: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: all arguments are numbers.
    own(unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) })
}

/// pidfd_send_signal(2) of no signal: whether the process is there still, if only as a zombie.
pub fn exists(process: &OwnedFd) -> bool {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is what kill(2) would send, and signal 0 is never delivered.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), 0, no_info, 0) };
    Errno::result(sent) != Err(Errno::ESRCH)
}
