//! Why a namespace cannot be made: EPERM and ENOSPC each stand for several causes, and each can be looked up.

use crate::namespace::Kind;
use crate::room::why_no_process;
use crate::root::be_root;
use nix::errno::Errno;

/// The cause and the cure of `errno` from clone(2) or unshare(2) with these kinds.
pub fn why_no_namespace(kinds: &[Kind], errno: Errno) -> Option<String> {
    let wants_user = kinds.contains(&Kind::User);
    if let Some(hint) = why_no_process(errno, None) {
        return Some(hint);
    }
    match errno {
        Errno::EPERM if !wants_user && !may_administrate() => Some(format!(
            "making namespaces takes root (CAP_SYS_ADMIN): {}, or add -r to be root in a user namespace",
            be_root("CAP_SYS_ADMIN")
        )),
        Errno::EPERM if wants_user && switched_off("kernel/unprivileged_userns_clone") => Some(
            "this kernel lets only root make user namespaces: sysctl kernel.unprivileged_userns_clone=1, or run it as root"
                .into(),
        ),
        Errno::EPERM if wants_user => Some(
            "a security policy or a chroot forbids user namespaces: run it as root, or outside that sandbox".into(),
        ),
        Errno::ENOSPC | Errno::EUSERS => Some(match kinds.iter().find(|kind| limit_of(**kind) == Some(0)) {
            Some(kind) => format!("{} forbids it: sysctl user.max_{}_namespaces=1000", sysctl(*kind), kind.file()),
            None => "the limit of nested or counted namespaces is reached: see /proc/sys/user".into(),
        }),
        Errno::EINVAL => kinds.iter().find(|kind| !is_built_in(**kind)).map(|kind| {
            format!("this kernel was built without {} namespaces: there is no /proc/self/ns/{}", kind.name(), kind.file())
        }),
        Errno::ENOMEM if kinds.contains(&Kind::Pid) || children_go_elsewhere() => {
            Some("the PID namespace is dead: its first process has ended, and it takes no others; one that is kept lives as long as that, so let it stay: nsexec --pid --init --keep DIR -- sleep infinity".into())
        }
        _ => None,
    }
}

/// Whether this process has CAP_SYS_ADMIN (21) in its user namespace.
fn may_administrate() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .is_some_and(|caps| caps >> 21 & 1 == 1)
}

/// Whether this process has joined a PID namespace that its children will be born in.
fn children_go_elsewhere() -> bool {
    let namespace = |file| std::fs::read_link(std::path::Path::new("/proc/self/ns").join(file)).ok();
    namespace("pid_for_children") != namespace("pid")
}

fn switched_off(name: &str) -> bool {
    std::fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|text| text.trim() == "0")
}

fn sysctl(kind: Kind) -> String {
    format!("/proc/sys/user/max_{}_namespaces", kind.file())
}

fn limit_of(kind: Kind) -> Option<u64> {
    std::fs::read_to_string(sysctl(kind)).ok()?.trim().parse().ok()
}

fn is_built_in(kind: Kind) -> bool {
    std::path::Path::new("/proc/self/ns").join(kind.file()).exists()
}
