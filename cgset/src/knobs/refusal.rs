//! Why the kernel said no to a limit that is more than a number, and what helps.

use crate::group::{children, named};
use nix::errno::Errno;
use std::path::Path;

/// The cause and the cure for a file whose value names a device, an interface or a scheduler.
pub fn of(path: &Path, errno: Errno) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let directory = path.parent()?;
    let is_io = file.starts_with("io.") || file.starts_with("blkio.");
    match errno {
        Errno::ENODEV if file == "net_prio.ifpriomap" => Some(
            "there is no such interface; those of other network namespaces than the machine's own have no priorities"
                .into(),
        ),
        Errno::ENODEV | Errno::ENXIO if is_io => {
            Some("no disk has that number, or it takes no limits: lsblk lists those that are here".into())
        }
        Errno::EOPNOTSUPP if is_io => Some("that disk has no scheduler that counts weights".into()),
        Errno::EINVAL if file.starts_with("devices.") && !children(directory).is_empty() => Some(format!(
            "a group with groups in it ({}) cannot go from everything to a list, or back: give the list before they are made",
            named(&children(directory))
        )),
        Errno::EPERM if file == "devices.allow" && nix::unistd::geteuid().is_root() => {
            let above = directory.parent().unwrap_or(directory);
            let list = std::fs::read_to_string(above.join("devices.list")).unwrap_or_default();
            Some(format!(
                "the group around it may not do that itself: it has {}",
                list.trim_end().replace('\n', ", ")
            ))
        }
        _ => None,
    }
}

/// The same for a program that judges about devices.
pub fn of_program(errno: Errno) -> Option<String> {
    let is_root = nix::unistd::geteuid().is_root() && !chain::in_user_namespace();
    match errno {
        Errno::EPERM | Errno::EACCES if !is_root => {
            Some("in version 2 device rules are a program in the kernel, and only the machine's root may load one".into())
        }
        Errno::EPERM => Some(
            "this group, or one around it, has a program that lets no other stand beside it: bpftool cgroup tree shows it"
                .into(),
        ),
        Errno::ENOSYS | Errno::EINVAL => {
            Some("this kernel was built without CONFIG_CGROUP_BPF, and version 2 has nothing else for devices".into())
        }
        Errno::E2BIG => Some("64 programs judge there already, and there may be no more".into()),
        _ => None,
    }
}
