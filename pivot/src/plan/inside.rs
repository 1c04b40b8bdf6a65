//! What the kernel shows in the new root: /proc, /dev and /sys, and what of them is shut.

use super::{CLOSED, owned, tree_step};
use crate::call::Call;
use crate::cli::Cli;
use crate::facts::Facts;
use crate::mask::{self, Mask, Names};
use crate::mountfd::{Attributes, FileSystem};
use crate::tree::{At, TreeCall};
use chain::Step;

/// /proc, /dev and /sys.
pub fn kernel_mounts(cli: &Cli, facts: &Facts) -> Vec<Step<Call>> {
    let shut =
        |why, mask: fn(Names) -> Mask, base, names| Step::new(why, Call::Mask(mask(Names { base, names })));
    let mut steps = vec![Step::new(
        "programs look themselves up in /proc; a new one shows the PID namespace of who mounts it",
        Call::MountNew { fs: FileSystem::new("proc", CLOSED), at: "/proc" },
    )];
    if cli.privileged {
        steps.extend(hosts_own());
        return steps;
    }
    steps.push(shut(
        "these tell of the whole machine, or pull its levers: show /dev/null instead",
        Mask::HideFiles,
        "/proc",
        mask::PROC_FILES,
    ));
    steps.push(shut(
        "and these directories: show an empty one instead",
        Mask::HideDirectories,
        "/proc",
        mask::PROC_DIRECTORIES,
    ));
    steps.push(shut(
        "settings of the kernel are for reading here, not for writing",
        Mask::MakeReadOnly,
        "/proc",
        mask::PROC_READ_ONLY,
    ));
    steps.extend(dev_steps(facts));
    if facts.own_net {
        steps.push(Step::new(
            "/sys shows the network namespace it is mounted from: a new one for the new network, for reading",
            Call::MountNew { fs: FileSystem::new("sysfs", CLOSED.and(Attributes::READ_ONLY)), at: "/sys" },
        ));
        steps.push(shut(
            "firmware, modules, tracing and power meters are the host's affair",
            Mask::HideDirectories,
            "/sys",
            mask::SYS_DIRECTORIES,
        ));
    }
    steps
}

/// /dev and /sys of the privileged.
fn hosts_own() -> Vec<Step<Call>> {
    let mut steps = Vec::new();
    for path in ["/dev", "/sys"] {
        steps.push(tree_step(
            "privileged: the host's own, with all that is mounted on it",
            TreeCall::CopyTree { from: path.into(), at: At::Below(path.into()) },
        ));
        steps.push(tree_step(
            "attach it where programs expect it",
            TreeCall::Attach { at: path.into(), is_directory: true },
        ));
    }
    steps
}

fn dev_steps(facts: &Facts) -> Vec<Step<Call>> {
    let first_id = facts.userns.map_or(0, |range| range.outer);
    let mount = |why, fs, at| Step::new(why, Call::MountNew { fs, at });
    let dev = FileSystem::new("tmpfs", CLOSED).with("mode", "0755").with("size", "64k");
    let pts = FileSystem::new("devpts", Attributes::NO_SUID.and(Attributes::NO_EXEC))
        .with("ptmxmode", "0666")
        .with("mode", "0620");
    let pts = if facts.has_tty_group { pts.with("gid", (first_id + 5).to_string()) } else { pts };
    let shm = FileSystem::new("tmpfs", CLOSED).with("mode", "1777").with("size", "64m");
    let mut steps = vec![
        mount(
            "an empty /dev hides the image's own, whose nodes could be any device",
            owned(dev, facts),
            "/dev",
        ),
        Step::new("the six devices every program expects, each bound from the host by itself", Call::FillDev),
        mount("terminals of its own, numbered from 0", pts, "/dev/pts"),
        mount("shared memory of its own", owned(shm, facts), "/dev/shm"),
    ];
    if facts.own_ipc {
        steps.push(mount(
            "the message queues of the new IPC namespace",
            FileSystem::new("mqueue", CLOSED),
            "/dev/mqueue",
        ));
    }
    steps
}
