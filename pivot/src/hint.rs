//! Why the kernel said no to a mount, and what helps.

use crate::source::Source;
use chain::{be_root, devices_on, in_user_namespace, quoted, why_no_loop};
use nix::errno::Errno;
use std::path::Path;

/// Of what root may not do either.
pub const FORBIDDEN: &str =
    "root may not open or mount it: the rules of a device control group or of a security policy forbid it";

/// Of an image; `is_image`: it was the image that was refused, and not a loop device.
pub fn why_not_attached(image: &Path, is_image: bool, errno: Errno) -> Option<String> {
    if errno != Errno::EWOULDBLOCK {
        return match errno {
            Errno::EACCES | Errno::EPERM if in_user_namespace() => Some("the kernel mounts images for root only, not for the root of a user namespace: run it as root, with pivot --userns auto, or give it a directory".into()),
            Errno::EACCES | Errno::EPERM | Errno::ETXTBSY if is_image => Some("the image may not be written: --read-only needs no right to".into()),
            Errno::EROFS if is_image => Some("the image lies on a read-only file system: --read-only".into()),
            _ if is_image => None,
            _ => why_no_loop(errno),
        };
    }
    Some(match devices_on(image).first() {
        Some(device) => {
            let place = mount_of(&device.device).map(|at| format!(", mounted on {at}")).unwrap_or_default();
            format!(
                "it is attached as {}{place}: two writers would destroy it; wait for the other to end, or use --read-only in both",
                device.device.display()
            )
        }
        None => {
            "another process holds its lock: two writers would destroy it; wait for the other to end".into()
        }
    })
}

fn mount_of(device: &Path) -> Option<String> {
    let device = device.to_str()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find(|line| line.split(' ').next() == Some(device))?.split(' ').nth(1).map(str::to_owned)
}

/// Of an image or a block device with a file system of that kind.
pub fn why_not_mounted(kind: &str, source: &Source, errno: Errno) -> Option<String> {
    let path = match source {
        Source::Image { path, .. } | Source::Device { path, .. } => path,
        _ => return None,
    };
    match errno {
        Errno::ENODEV => Some(format!("this kernel has no {kind}: modprobe {kind}")),
        Errno::EROFS => Some("it was not unmounted cleanly and cannot be repaired read-only: mount it writable once".into()),
        Errno::EPERM if nix::unistd::geteuid().is_root() && !in_user_namespace() => {
            Some(FORBIDDEN.into())
        }
        Errno::EPERM => Some("the kernel mounts images for root only, not for the root of a user namespace: run it as root, with pivot --userns auto".into()),
        Errno::EUCLEAN | Errno::EINVAL | Errno::EIO => Some(format!("the file system is damaged: e2fsck -f {} repairs an ext4", path.display())),
        Errno::EBUSY => Some("it is mounted elsewhere with other options: unmount it there, or use the same".into()),
        _ => None,
    }
}

/// Of any mount at all, before one is tried; `for_image`: one of an image is to come.
pub fn why_no_mounts(for_image: bool) -> String {
    let root = be_root("CAP_SYS_ADMIN");
    match for_image {
        true => format!(
            "the kernel mounts images for root only: {root}; a directory can be the root of a user namespace's: nsexec -r --pid --net --ipc -- pivot DIR …"
        ),
        false => format!(
            "mounting takes root: {root}, or be root in a user namespace: nsexec -r --pid --net --ipc -- pivot …"
        ),
    }
}

/// Of the place in the new root that something was to be mounted on.
pub fn why_no_place(at: &Path, errno: Errno) -> Option<String> {
    let at = quoted(at);
    match errno {
        Errno::ELOOP => Some(format!("{at} of the new root is a symbolic link: one could lead the mount anywhere, so it must be a directory")),
        Errno::EEXIST => Some(format!("{at} of the new root leads through a symbolic link to what is not in it")),
        Errno::ENOTDIR => Some(format!("{at} of the new root is not a directory")),
        Errno::EROFS => Some(format!("{at} is missing and the root is read-only: make the directory in it first")),
        Errno::EACCES => Some(format!("{at} is missing and this user may not make it: make the directory in ROOT first")),
        Errno::EPERM => Some("a user namespace may mount this only for a namespace it owns: nsexec -r --pid --net --ipc -- pivot …".into()),
        _ => None,
    }
}
