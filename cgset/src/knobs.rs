//! What can be limited: each flag, and each interface file that the two versions call by other names, in one table.
//! kernel: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.

mod cpu;
pub mod device;
mod disk;
mod hugetlb;
mod io;
mod look;
mod memory;
mod net;
mod raw;
pub mod refusal;
mod undo;

use crate::cli::Cli;
use crate::tree::{Tree, Version};
use chain::{Failure, quoted};
use cpu::{shares_to_weight, weight_to_shares};
use device::Rules;
pub use look::Look;
use memory::{max_to_minus, minus_to_max};
use raw::ToOne::{Files, Value};
use raw::{Pair, freeze_to_state, quota_and_period, state_to_freeze};
use std::ffi::OsStr;

/// A value for a file of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Whose hierarchy the file is in.
    pub controller: String,
    pub file: String,
    pub value: String,
    pub why: &'static str,
    /// A kernel built without it has nothing to limit.
    pub if_there: bool,
    /// The file and the value that take it back, where its old content does not.
    pub undo: Option<(&'static str, String)>,
    /// Version 2 has no file for these: a program.
    pub rules: Option<Rules>,
}

/// Files with two names. Those with one name in both versions (pids.max, cpuset.cpus) need no line.
const PAIRS: [Pair; 13] = [
    Pair {
        two: "memory.max",
        one: "memory.limit_in_bytes",
        to_one: Value(max_to_minus),
        to_two: minus_to_max,
    },
    Pair {
        two: "memory.low",
        one: "memory.soft_limit_in_bytes",
        to_one: Value(max_to_minus),
        to_two: minus_to_max,
    },
    Pair { two: "cpu.weight", one: "cpu.shares", to_one: Value(weight_to_shares), to_two: shares_to_weight },
    Pair { two: "cpu.max", one: "cpu.cfs_quota_us", to_one: Files(quota_and_period), to_two: minus_to_max },
    Pair {
        two: "cgroup.freeze",
        one: "freezer.state",
        to_one: Value(freeze_to_state),
        to_two: state_to_freeze,
    },
    Pair { two: "io.max", one: io::FILES[0], to_one: Files(io::to_one), to_two: io::read_bytes },
    Pair { two: "io.max", one: io::FILES[1], to_one: Files(io::to_one), to_two: io::write_bytes },
    Pair { two: "io.max", one: io::FILES[2], to_one: Files(io::to_one), to_two: io::reads },
    Pair { two: "io.max", one: io::FILES[3], to_one: Files(io::to_one), to_two: io::writes },
    Pair {
        two: "io.bfq.weight",
        one: "blkio.bfq.weight",
        to_one: Files(io::weight_to_one),
        to_two: io::weight_to_two,
    },
    Pair {
        two: "io.bfq.weight",
        one: "blkio.bfq.weight_device",
        to_one: Files(io::weight_to_one),
        to_two: io::same,
    },
    Pair {
        two: "hugetlb.*.max",
        one: "hugetlb.*.limit_in_bytes",
        to_one: Value(max_to_minus),
        to_two: minus_to_max,
    },
    Pair {
        two: "hugetlb.*.rsvd.max",
        one: "hugetlb.*.rsvd.limit_in_bytes",
        to_one: Value(max_to_minus),
        to_two: minus_to_max,
    },
];

/// Controllers that changed their name.
const RENAMED: [(&str, &str); 1] = [("blkio", "io")];

/// Controllers and files that one version alone has.
const ONLY_ONE: [&str; 12] = [
    "cpuacct.",
    "devices.",
    "blkio.throttle.io_",
    "blkio.reset_stats",
    "blkio.weight",
    "memory.memsw.",
    "memory.kmem.",
    "memory.swappiness",
    "memory.oom_control",
    "memory.use_hierarchy",
    "cpu.rt_",
    "cpu.cfs_period_us",
];
const ONLY_TWO: [&str; 12] = [
    "memory.high",
    "memory.min",
    "memory.oom.group",
    "memory.swap.",
    "cpu.uclamp.",
    "cpu.idle",
    "cgroup.",
    "cpuset.cpus.partition",
    "io.weight",
    "io.latency",
    "io.cost.",
    "io.prio.class",
];

const WHY_CPUSET: &str = "its members run on these CPUs and on no others";
const WHY_MEMS: &str = "its members take memory from these nodes";
const WHY_PIDS: &str = "a fork that would make more processes than this fails: no fork bomb goes further";

/// Everything that is to be written, flags before files, in an order the kernel takes.
///
/// # Errors
/// A value is none, a controller is not here, or this version has no such file.
pub fn writes(
    cli: &Cli,
    files: &[(String, String)],
    tree: &Tree,
    look: &Look,
) -> Result<Vec<Write>, Failure> {
    let mut writes = Vec::new();
    memory::add(cli, tree, &mut writes)?;
    cpu::add(cli, tree, &mut writes)?;
    let simple = [
        ("--cpuset-mems", &cli.cpuset_mems, "cpuset", "cpuset.mems", WHY_MEMS),
        ("--cpuset", &cli.cpuset, "cpuset", "cpuset.cpus", WHY_CPUSET),
        ("--pids", &cli.pids, "pids", "pids.max", WHY_PIDS),
    ];
    for (option, value, controller, file, why) in simple {
        let Some(value) = value else { continue };
        version_of(tree, controller)?;
        if controller == "pids" && value != "max" && value.parse::<u64>().is_err() {
            return Err(refused(option, value, "a number, or max"));
        }
        writes.push(write(controller, file, value.clone(), why));
    }
    hugetlb::add(cli, tree, look, &mut writes)?;
    io::add(cli, tree, look, &mut writes)?;
    net::add(cli, tree, &mut writes)?;
    device::add(tree, look, &mut writes)?;
    for (file, value) in files {
        raw::add(file, value, tree, look, &mut writes)?;
    }
    Ok(writes)
}

fn write(controller: &str, file: impl Into<String>, value: String, why: &'static str) -> Write {
    Write {
        controller: controller.into(),
        file: file.into(),
        value,
        why,
        if_there: false,
        undo: None,
        rules: None,
    }
}

fn refused(option: &str, value: impl AsRef<OsStr>, wanted: &str) -> Failure {
    let value = value.as_ref();
    let shown = value.to_str().map_or_else(|| quoted(value), str::to_owned);
    Failure::new(format!("{option} {shown}: not what it takes")).hint(format!("give {wanted}"))
}

/// The version of the hierarchy that carries a controller.
///
/// # Errors
/// None does; the cause is looked up.
pub fn version_of(tree: &Tree, controller: &str) -> Result<Version, Failure> {
    tree.home(controller).map(|carrier| carrier.version).ok_or_else(|| {
        Failure::new(format!("no hierarchy here carries the {controller} controller"))
            .hint(why_absent(controller, tree))
    })
}

/// What a controller is called in the hierarchy that carries it.
///
/// # Errors
/// None does, under either name; the cause is looked up.
fn carried<'a>(tree: &Tree, controller: &'a str) -> Result<(&'a str, Version), Failure> {
    let renamed = RENAMED.iter().find(|(one, two)| [*one, *two].contains(&controller));
    let names = renamed.map_or([controller, controller], |(one, two)| [one, two]);
    let found = names.into_iter().find_map(|name| tree.home(name).map(|home| (name, home.version)));
    found.map_or_else(|| version_of(tree, controller).map(|version| (controller, version)), Ok)
}

/// `/proc/cgroups` of cgroups(7): `name hierarchy groups enabled`.
fn why_absent(controller: &str, tree: &Tree) -> String {
    let text = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let row = text.lines().map(|line| line.split('\t').collect::<Vec<_>>()).find(|row| row[0] == controller);
    let cause = match row.as_deref() {
        None => "this kernel was built without it: /proc/cgroups lists what it has".into(),
        Some([_, _, _, "0"]) => {
            "it was switched off when the machine was started: see cgroup_disable in /proc/cmdline".into()
        }
        Some([_, "0", ..]) => {
            // The two are made for each other, and in one hierarchy a program joins once.
            let names = if controller.starts_with("net_") { "net_cls,net_prio" } else { controller };
            format!("the kernel has it and nobody has mounted it: cgset --hierarchy {names} DIR")
        }
        Some(_) => {
            "it is mounted where this process cannot see it: /proc/self/mountinfo lists what it can".into()
        }
    };
    cause + net::instead(controller, tree)
}

#[cfg(test)]
mod tests;
