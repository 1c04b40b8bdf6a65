//! Why the kernel said no to a mount, and what helps.

use crate::call::Call;
use crate::inside;
use crate::source::Source;
use chain::{Refusal, devices_on, in_user_namespace, quoted, why_no_loop};
use nix::errno::Errno;
use std::path::Path;

/// The cause and the cure, where there are words for them.
pub fn of(call: &Call, refusal: &Refusal) -> Option<String> {
    let errno = refusal.errno?;
    match call {
        Call::UnshareMounts if errno == Errno::EPERM => {
            Some("mounting takes root: run it as root, or be root in a user namespace: nsexec -r -- pivot …".into())
        }
        Call::UnshareMounts => chain::why_no_namespace(&[chain::Kind::Mount], errno),
        Call::MakeUserns(_) => match errno {
            Errno::EPERM if in_user_namespace() => Some("mapping a range of ids takes root outside of any user namespace: leave out --userns, the root of this one is nobody outside".into()),
            _ => chain::why_no_namespace(&[chain::Kind::User], errno),
        },
        Call::AttachLoop { image, .. } => {
            let is_image = refusal.call.as_ref().is_none_or(|call| call.contains(&quoted(image)));
            why_not_attached(image, is_image, errno)
        }
        Call::MountSource { fs, source, .. } => why_not_mounted(fs.kind, source, errno),
        Call::IdmapMount(_) => Some(match errno {
            Errno::EINVAL => "the file system of the root, or one mounted below it, cannot map ids: put the tree in an image, mkimg --from DIR IMG".into(),
            _ => "mapping the ids of a mount takes root outside of any user namespace".into(),
        }),
        Call::MountNew { at, .. } => why_no_place(Path::new(at), errno),
        Call::Attach { at, is_directory: false } if errno == Errno::EINVAL => {
            Some(format!("the source is a file and {} of the new root is not: a file goes on a file", quoted(at)))
        }
        Call::Attach { at, .. } => why_no_place(at, errno),
        Call::ShowResolver { .. } => why_no_place(Path::new(crate::resolver::PLACE), errno),
        Call::Mask(mask) => mask.hint(errno),
        Call::FillDev if errno == Errno::ENODEV => Some(inside::WRONG_DEVICE.into()),
        Call::CopyTree { from, .. } if errno == Errno::EINVAL => {
            Some(format!("{} lies on a mount that may not be copied into another namespace", quoted(from)))
        }
        Call::ChangeDirectory(path) => Some(match errno {
            Errno::EXDEV => "that is a way out of the new root, and is not taken".into(),
            _ => format!("--workdir names a directory of the new root, and {} is none", quoted(path)),
        }),
        _ => None,
    }
}

fn why_not_attached(image: &Path, is_image: bool, errno: Errno) -> Option<String> {
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

fn why_not_mounted(kind: &str, source: &Source, errno: Errno) -> Option<String> {
    let path = match source {
        Source::Image { path, .. } | Source::Device { path, .. } => path,
        _ => return None,
    };
    match errno {
        Errno::ENODEV => Some(format!("this kernel has no {kind}: modprobe {kind}")),
        Errno::EROFS => Some("it was not unmounted cleanly and cannot be repaired read-only: mount it writable once".into()),
        Errno::EPERM if nix::unistd::geteuid().is_root() && !in_user_namespace() => {
            Some("root may not open or mount it: the rules of a device control group or of a security policy forbid it".into())
        }
        Errno::EPERM => Some("the kernel mounts images for root only, not for the root of a user namespace: run it as root, with pivot --userns auto".into()),
        Errno::EUCLEAN | Errno::EINVAL | Errno::EIO => Some(format!("the file system is damaged: e2fsck -f {} repairs an ext4", path.display())),
        Errno::EBUSY => Some("it is mounted elsewhere with other options: unmount it there, or use the same".into()),
        _ => None,
    }
}

fn why_no_place(at: &Path, errno: Errno) -> Option<String> {
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
