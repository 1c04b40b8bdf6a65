//! The eight kinds of namespace, as namespaces(7) names them.

use crate::sys;
use nix::errno::Errno;
use nix::sched::CloneFlags;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mount points: mount_namespaces(7).
    Mount,
    /// Host and domain name: uts_namespaces(7).
    Uts,
    /// System V IPC and POSIX message queues: ipc_namespaces(7).
    Ipc,
    /// Interfaces, routes, rules, sockets: network_namespaces(7).
    Net,
    /// Process numbers: pid_namespaces(7).
    Pid,
    /// User and group ids, capabilities: user_namespaces(7).
    User,
    /// The root of the control-group tree: cgroup_namespaces(7).
    Cgroup,
    /// Offsets of the monotonic and boot-time clocks: time_namespaces(7).
    Time,
}

impl Kind {
    /// Every kind, in the order of nsenter(1).
    pub const ALL: [Kind; 8] =
        [Kind::Mount, Kind::Uts, Kind::Ipc, Kind::Net, Kind::Pid, Kind::User, Kind::Cgroup, Kind::Time];

    /// The word for it: the option of unshare(1), and ours.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Mount => "mount",
            Kind::Uts => "uts",
            Kind::Ipc => "ipc",
            Kind::Net => "net",
            Kind::Pid => "pid",
            Kind::User => "user",
            Kind::Cgroup => "cgroup",
            Kind::Time => "time",
        }
    }

    /// Its file in `/proc/PID/ns`.
    pub fn file(self) -> &'static str {
        if self == Kind::Mount { "mnt" } else { self.name() }
    }

    /// Its flag for clone(2), unshare(2) and setns(2).
    pub fn flag(self) -> CloneFlags {
        match self {
            Kind::Mount => CloneFlags::CLONE_NEWNS,
            Kind::Uts => CloneFlags::CLONE_NEWUTS,
            Kind::Ipc => CloneFlags::CLONE_NEWIPC,
            Kind::Net => CloneFlags::CLONE_NEWNET,
            Kind::Pid => CloneFlags::CLONE_NEWPID,
            Kind::User => CloneFlags::CLONE_NEWUSER,
            Kind::Cgroup => CloneFlags::CLONE_NEWCGROUP,
            Kind::Time => CloneFlags::from_bits_retain(libc::CLONE_NEWTIME),
        }
    }

    /// The name of that flag.
    pub fn flag_name(self) -> &'static str {
        match self {
            Kind::Mount => "CLONE_NEWNS",
            Kind::Uts => "CLONE_NEWUTS",
            Kind::Ipc => "CLONE_NEWIPC",
            Kind::Net => "CLONE_NEWNET",
            Kind::Pid => "CLONE_NEWPID",
            Kind::User => "CLONE_NEWUSER",
            Kind::Cgroup => "CLONE_NEWCGROUP",
            Kind::Time => "CLONE_NEWTIME",
        }
    }

    /// The kind whose [`file`](Kind::file) is `name`.
    pub fn from_file(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.file() == name)
    }

    /// The kind whose [`name`](Kind::name) is `name`.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whether this process is in another user namespace than the machine's first, which alone maps every id to itself: its
/// root is nobody to loop devices, file systems and trusted attributes.
pub fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The number that orders mount namespaces by age: NS_GET_MNTNS_ID of ioctl_nsfs(2). None before kernel 6.11, and none
/// is needed there.
pub fn mount_namespace_id() -> Option<u64> {
    const NS_GET_MNTNS_ID: libc::Ioctl = 0x8008_b705_u32 as libc::Ioctl;
    let namespace = File::open("/proc/self/ns/mnt").ok()?;
    let mut id: u64 = 0;
    sys::ioctl_struct(namespace.as_fd(), NS_GET_MNTNS_ID, &mut id).ok()?;
    Some(id)
}

/// Whether the processes of a PID namespace are among those this process sees: it is ours, or was made below it.
pub fn is_below_ours(pid_namespace: &File) -> bool {
    let inode = |file: &File| file.metadata().map(|about| about.ino()).ok();
    let Some(ours) = File::open("/proc/self/ns/pid").ok().as_ref().and_then(inode) else { return false };
    let mut above = pid_namespace.try_clone().ok();
    while let Some(namespace) = above {
        if inode(&namespace) == Some(ours) {
            return true;
        }
        above = parent_of(&namespace).ok().map(File::from);
    }
    false
}

/// NS_GET_PARENT of ioctl_nsfs(2).
fn parent_of(namespace: &File) -> Result<OwnedFd, Errno> {
    const NS_GET_PARENT: libc::Ioctl = 0xb702;
    sys::own(sys::ioctl_number(namespace.as_fd(), NS_GET_PARENT, 0)?.into())
}

/// The first extent of a gid_map, as user_namespaces(7) describes it: `inside outside count`.
pub fn first_extent(map: &str) -> (u32, u32) {
    let numbers: Vec<u64> = map.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect();
    let &[inside, _, count] = numbers.as_slice() else { return (0, 0) };
    let last = (inside + count).saturating_sub(1).min(2_147_483_647);
    (inside.min(last) as u32, last as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_map_end_where_the_sysctl_ends() {
        assert_eq!(first_extent("         0          0 4294967295\n"), (0, 2_147_483_647));
        assert_eq!(first_extent("0 1000 1\n"), (0, 0));
        assert_eq!(first_extent("1000 100000 65536\n"), (1000, 66535));
        assert_eq!(first_extent(""), (0, 0));
    }
}
