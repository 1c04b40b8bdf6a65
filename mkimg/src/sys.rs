//! The unsafe lines of this crate: detached mounts, the child's last will.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

// linux/mount.h
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const MOUNT_ATTR_NOSUID_NODEV_NOEXEC: libc::c_uint = 2 | 4 | 8;

/// Why a mount was refused: the call, its errno, and what the file system said about it.
pub type MountRefusal = (&'static str, Errno, String);

/// fsopen(2), fsconfig(2), fsmount(2): mounts `source` on no directory; the mount goes away with the descriptor.
pub fn mount_detached(kind: &CStr, source: &CStr) -> Result<OwnedFd, MountRefusal> {
    // SAFETY: the arguments are a live C string and a number.
    let opened = unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) };
    let context = File::from(chain::own(opened).map_err(|errno| ("fsopen", errno, String::new()))?);
    let fd = context.as_raw_fd();
    let key = c"source".as_ptr();
    // SAFETY: key and value are live C strings, as FSCONFIG_SET_STRING reads them.
    let set = unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_SET_STRING, key, source.as_ptr(), 0) };
    Errno::result(set).map_err(|errno| ("fsconfig", errno, log(&context)))?;
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes neither key nor value, and both are null.
    let created = unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, null, null, 0) };
    Errno::result(created).map_err(|errno| ("fsconfig", errno, log(&context)))?;
    // SAFETY: the arguments are a live descriptor and numbers.
    let mounted =
        unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID_NODEV_NOEXEC) };
    chain::own(mounted).map_err(|errno| ("fsmount", errno, log(&context)))
}

/// The messages a file system left in its context, `e ext4: ...` each, joined.
fn log(mut context: &File) -> String {
    let mut messages = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(got @ 1..) = context.read(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..got]).trim().to_owned();
        messages.push(text.split_once(' ').map_or(text.clone(), |(_, words)| words.to_owned()));
    }
    messages.join("; ")
}

/// Lets the command be killed when this process dies, however that happens.
pub fn dies_with_us(command: &mut Command) -> &mut Command {
    let parent = Pid::this();
    // SAFETY: between fork and exec the closure makes two system calls, and neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before that call took hold.
            if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
        })
    }
}

/// The name to remove when a signal ends this process: a C string that lives as long as the process.
static TO_REMOVE: std::sync::atomic::AtomicPtr<libc::c_char> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

/// Removes `name` where SIGHUP, SIGINT or SIGTERM ends this process; those that are ignored stay ignored.
pub fn remove_on_signal(name: &'static CStr) {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
    extern "C" fn remove(signal: libc::c_int) {
        let name = TO_REMOVE.load(std::sync::atomic::Ordering::Relaxed);
        // SAFETY: `name` was stored before this handler was installed and is never freed; unlink and raise may be
        // called in a handler. SA_RESETHAND has put the default back, which ends the process when the handler returns.
        unsafe {
            libc::unlink(name);
            libc::raise(signal);
        }
    }
    TO_REMOVE.store(name.as_ptr().cast_mut(), std::sync::atomic::Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(remove), SaFlags::SA_RESETHAND, SigSet::empty());
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler makes only calls that signal-safety(7) allows.
        let before = unsafe { sigaction(signal, &action) };
        if let Some(before) = before.ok().filter(|before| matches!(before.handler(), SigHandler::SigIgn)) {
            // SAFETY: puts back an ignore, which runs no code.
            let _ = unsafe { sigaction(signal, &before) };
        }
    }
}
