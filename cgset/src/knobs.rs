//! What can be limited: each flag, and each interface file that the two versions call by other names, in one table.
//! kernel: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.

use crate::cli::Cli;
use crate::tree::{Tree, Version};
use chain::{Failure, quoted, size};

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
}

/// A pair of files that mean the same, and how a value is said in the other version.
struct Pair {
    two: &'static str,
    one: &'static str,
    to_one: fn(&str) -> Option<String>,
    to_two: fn(&str) -> Option<String>,
}

/// Files with two names. Those with one name in both versions (pids.max, cpuset.cpus) need no line.
const PAIRS: [Pair; 5] = [
    Pair { two: "memory.max", one: "memory.limit_in_bytes", to_one: max_to_minus, to_two: minus_to_max },
    Pair { two: "memory.low", one: "memory.soft_limit_in_bytes", to_one: max_to_minus, to_two: minus_to_max },
    Pair { two: "cpu.weight", one: "cpu.shares", to_one: weight_to_shares, to_two: shares_to_weight },
    Pair { two: "cpu.max", one: "cpu.cfs_quota_us", to_one: quota_of, to_two: minus_to_max },
    Pair { two: "cgroup.freeze", one: "freezer.state", to_one: freeze_to_state, to_two: state_to_freeze },
];

/// Controllers and files that one version alone has.
const ONLY_ONE: [&str; 11] = [
    "cpuacct.",
    "devices.",
    "net_cls.",
    "net_prio.",
    "memory.memsw.",
    "memory.kmem.",
    "memory.swappiness",
    "memory.oom_control",
    "memory.use_hierarchy",
    "cpu.rt_",
    "cpu.cfs_period_us",
];
const ONLY_TWO: [&str; 7] =
    ["memory.high", "memory.min", "memory.oom.group", "memory.swap.", "cpu.uclamp.", "cpu.idle", "cgroup."];

/// The period of the CPU quota in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

const WHY_MEMORY: &str = "what its members keep in memory is counted together: at the limit old pages go, and if that does not do, a member is killed";
const WHY_SWAP: &str = "and what is pushed out to swap is limited too, or the limit would only make it slow";
const WHY_CPU: &str = "of every tenth of a second its members run this many microseconds, all CPUs together, and wait for the next";
const WHY_WEIGHT: &str = "where others want the CPU too, it gets a share in proportion to this";
const WHY_CPUSET: &str = "its members run on these CPUs and on no others";
const WHY_MEMS: &str = "its members take memory from these nodes";
const WHY_PIDS: &str = "a fork that would make more processes than this fails: no fork bomb goes further";
const WHY_RAW: &str = "the value that was asked for";

/// Everything that is to be written, flags before files, in an order the kernel takes.
///
/// # Errors
/// A value is none, a controller is not here, or this version has no such file.
pub fn writes(cli: &Cli, files: &[(String, String)], tree: &Tree) -> Result<Vec<Write>, Failure> {
    let mut writes = Vec::new();
    memory(cli, tree, &mut writes)?;
    cpu(cli, tree, &mut writes)?;
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
    for (file, value) in files {
        raw(file, value, tree, &mut writes)?;
    }
    Ok(writes)
}

fn write(controller: &str, file: &str, value: String, why: &'static str) -> Write {
    Write { controller: controller.into(), file: file.into(), value, why, if_there: false }
}

fn refused(option: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(format!("{option} {value}: not what it takes")).hint(format!("give {wanted}"))
}

/// The version of the hierarchy that carries a controller.
///
/// # Errors
/// None does; the cause is looked up.
pub fn version_of(tree: &Tree, controller: &str) -> Result<Version, Failure> {
    tree.carrier(controller).map(|carrier| carrier.version).ok_or_else(|| {
        Failure::new(format!("no hierarchy here carries the {controller} controller"))
            .hint(why_absent(controller))
    })
}

/// `/proc/cgroups` of cgroups(7): `name hierarchy groups enabled`.
fn why_absent(controller: &str) -> String {
    let text = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let row = text.lines().map(|line| line.split('\t').collect::<Vec<_>>()).find(|row| row[0] == controller);
    match row.as_deref() {
        None => "this kernel was built without it: /proc/cgroups lists what it has".into(),
        Some([_, _, _, "0"]) => {
            "it was switched off when the machine was started: see cgroup_disable in /proc/cmdline".into()
        }
        Some([_, "0", ..]) => {
            format!("the kernel has it and nobody has mounted it: mount -t cgroup -o {controller} none DIR")
        }
        Some(_) => {
            "it is mounted where this process cannot see it: /proc/self/mountinfo lists what it can".into()
        }
    }
}

fn memory(cli: &Cli, tree: &Tree, writes: &mut Vec<Write>) -> Result<(), Failure> {
    let memory = cli.memory.as_deref().map(|text| bytes("--memory", text)).transpose()?;
    let swap = cli.swap.as_deref().map(|text| bytes("--swap", text)).transpose()?;
    if memory.is_none() && swap.is_none() {
        return Ok(());
    }
    let version = version_of(tree, "memory")?;
    let text = |bytes: Option<u64>| match (bytes, version) {
        (Some(bytes), _) => bytes.to_string(),
        (None, Version::Two) => "max".into(),
        (None, Version::One) => "-1".into(),
    };
    let file = if version == Version::Two { "memory.max" } else { "memory.limit_in_bytes" };
    writes.extend(memory.map(|memory| write("memory", file, text(memory), WHY_MEMORY)));
    let (file, value) = match (version, memory, swap) {
        (Version::Two, _, Some(swap)) => ("memory.swap.max", text(swap)),
        (Version::Two, Some(Some(_)), None) => ("memory.swap.max", "0".into()),
        (Version::Two, _, None) => ("memory.swap.max", "max".into()),
        (Version::One, Some(memory), swap) => {
            let both = memory.zip(swap.unwrap_or(Some(0))).map(|(memory, swap)| memory.saturating_add(swap));
            ("memory.memsw.limit_in_bytes", text(both))
        }
        (Version::One, None, _) => {
            return Err(Failure::new("--swap without --memory")
                .hint("version 1 limits memory and swap together: give --memory as well"));
        }
    };
    writes.push(Write { if_there: swap.is_none(), ..write("memory", file, value, WHY_SWAP) });
    Ok(())
}

/// None is max.
fn bytes(option: &str, text: &str) -> Result<Option<u64>, Failure> {
    match text {
        "max" => Ok(None),
        _ => size::parse(text).map(Some).map_err(|why| Failure::new(format!("{option} {text}: {why}"))),
    }
}

fn cpu(cli: &Cli, tree: &Tree, writes: &mut Vec<Write>) -> Result<(), Failure> {
    if let Some(text) = &cli.cpus {
        let quota =
            quota(text).ok_or_else(|| refused("--cpus", text, "how many CPUs, as in 1.5 or 50%, or max"))?;
        match version_of(tree, "cpu")? {
            Version::Two => {
                let quota = quota.map_or("max".into(), |quota| quota.to_string());
                writes.push(write("cpu", "cpu.max", format!("{quota} {PERIOD}"), WHY_CPU));
            }
            Version::One => {
                let quota = quota.map_or("-1".into(), |quota| quota.to_string());
                writes.push(write(
                    "cpu",
                    "cpu.cfs_period_us",
                    PERIOD.to_string(),
                    "a quota is counted anew in each period of this many microseconds",
                ));
                writes.push(write("cpu", "cpu.cfs_quota_us", quota, WHY_CPU));
            }
        }
    }
    if let Some(text) = &cli.cpu_weight {
        let is_weight = text.parse::<u64>().is_ok_and(|weight| (1..=10_000).contains(&weight));
        let wanted = || refused("--cpu-weight", text, "a number from 1 to 10000; 100 is what others have");
        let shares = weight_to_shares(text).filter(|_| is_weight).ok_or_else(wanted)?;
        writes.push(match version_of(tree, "cpu")? {
            Version::Two => write("cpu", "cpu.weight", text.clone(), WHY_WEIGHT),
            Version::One => write("cpu", "cpu.shares", shares, WHY_WEIGHT),
        });
    }
    Ok(())
}

/// Microseconds a period; the kernel takes no less than 1000. `Some(None)` is max.
fn quota(text: &str) -> Option<Option<u64>> {
    if text == "max" {
        return Some(None);
    }
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let cpus = number.parse::<f64>().ok().filter(|_| is_plain)? / whole;
    let quota = (cpus * PERIOD as f64).round();
    (1_000.0..1e15).contains(&quota).then_some(Some(quota as u64))
}

/// FILE=VALUE, in the spelling of either version.
fn raw(file: &str, value: &str, tree: &Tree, writes: &mut Vec<Write>) -> Result<(), Failure> {
    if file.contains('/') || !file.contains('.') {
        return Err(Failure::new(format!("{}: not an interface file", quoted(file)))
            .hint("they are named after their controller, as in memory.max or pids.max"));
    }
    let pair = PAIRS.iter().find(|pair| pair.two == file || pair.one == file);
    let (controller, version) = place(file, tree)?;
    let (name, values) = match pair {
        Some(pair) if pair.two == file && version == Version::One => {
            if file == "cpu.max" {
                let period = value.split_whitespace().nth(1).unwrap_or("100000");
                writes.push(write(&controller, "cpu.cfs_period_us", period.into(), WHY_RAW));
            }
            (pair.one, (pair.to_one)(value))
        }
        Some(pair) if pair.one == file && version == Version::Two => (pair.two, (pair.to_two)(value)),
        _ => {
            refuse_foreign(file, version)?;
            (file, Some(value.to_owned()))
        }
    };
    let value = values.ok_or_else(|| {
        Failure::new(format!("{file}={value}: this value has no equivalent in {name}"))
            .hint(format!("the machine has the other version: write {name}=VALUE in its own terms"))
    })?;
    writes.push(write(&controller, name, value, WHY_RAW));
    Ok(())
}

/// The controller a file belongs to, and the version of the hierarchy that carries it.
fn place(file: &str, tree: &Tree) -> Result<(String, Version), Failure> {
    let prefix = file.split('.').next().unwrap_or_default();
    if prefix == "cgroup" || prefix == "freezer" {
        let freezer = tree.freezer().map(|one| one.version);
        return freezer
            .map(|version| ("freezer".to_owned(), version))
            .ok_or_else(|| Failure::new("no hierarchy here can freeze a group").hint(why_absent("freezer")));
    }
    // Version 2 has these under other names, or not at all.
    let version = version_of(tree, prefix).or_else(|absent| {
        match tree.hierarchies.iter().any(|one| one.version == Version::Two) && is_of(file, &ONLY_ONE) {
            true => Ok(Version::Two),
            false => Err(absent),
        }
    })?;
    Ok((prefix.to_owned(), version))
}

fn is_of(file: &str, names: &[&str]) -> bool {
    names.iter().any(|name| file.starts_with(name))
}

fn refuse_foreign(file: &str, version: Version) -> Result<(), Failure> {
    let (names, here): (&[&str], _) = match version {
        Version::One => (&ONLY_TWO, "1"),
        Version::Two => (&ONLY_ONE, "2"),
    };
    if !is_of(file, names) {
        return Ok(());
    }
    let hint = match file {
        "cpu.cfs_period_us" => "write quota and period together: cpu.max='QUOTA PERIOD'".to_owned(),
        _ => format!("it is a file of the other version; this machine's hierarchy is of version {here}"),
    };
    Err(Failure::new(format!("{file} has no equivalent in version {here}")).hint(hint))
}

fn max_to_minus(value: &str) -> Option<String> {
    Some(if value == "max" { "-1".into() } else { value.into() })
}

fn minus_to_max(value: &str) -> Option<String> {
    Some(if value == "-1" { "max".into() } else { value.into() })
}

/// 100 and 1024 are what a group has by default; the proportion is kept.
fn weight_to_shares(value: &str) -> Option<String> {
    let weight: u64 = value.parse().ok()?;
    Some((weight.checked_mul(1024)? / 100).clamp(2, 262_144).to_string())
}

fn shares_to_weight(value: &str) -> Option<String> {
    let shares: u64 = value.parse().ok()?;
    Some((shares.checked_mul(100)? / 1024).clamp(1, 10_000).to_string())
}

/// The quota of `QUOTA [PERIOD]`.
fn quota_of(value: &str) -> Option<String> {
    max_to_minus(value.split_whitespace().next()?)
}

fn freeze_to_state(value: &str) -> Option<String> {
    [("1", "FROZEN"), ("0", "THAWED")]
        .into_iter()
        .find(|(freeze, _)| *freeze == value)
        .map(|(_, state)| state.into())
}

fn state_to_freeze(value: &str) -> Option<String> {
    [("FROZEN", "1"), ("THAWED", "0")]
        .into_iter()
        .find(|(state, _)| *state == value)
        .map(|(_, freeze)| freeze.into())
}

#[cfg(test)]
mod tests;
