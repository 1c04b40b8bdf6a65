//! What each flag and each file writes, on a machine of either version.

use super::*;
use crate::tree::Hierarchy;
use clap::Parser;

fn one() -> Tree {
    let line = |name: &str| Hierarchy {
        version: Version::One,
        mount: format!("/cg/{name}").into(),
        controllers: vec![name.into()],
    };
    Tree { hierarchies: ["cpu", "cpuset", "freezer", "memory", "pids"].map(line).into() }
}

fn two() -> Tree {
    let controllers = ["cpu", "cpuset", "memory", "pids"].map(str::to_owned).into();
    Tree { hierarchies: vec![Hierarchy { version: Version::Two, mount: "/cg".into(), controllers }] }
}

fn said(words: &str, tree: &Tree) -> String {
    let cli = Cli::try_parse_from(["cgset", "web"].into_iter().chain(words.split_whitespace())).unwrap();
    let files: Vec<(String, String)> =
        cli.files().unwrap().into_iter().map(|(file, value)| (file, value.replace('_', " "))).collect();
    match writes(&cli, &files, tree) {
        Ok(writes) => {
            writes.iter().map(|one| format!("{}={}", one.file, one.value)).collect::<Vec<_>>().join("\n")
        }
        Err(failure) => format!("no: {failure}").lines().next().unwrap_or_default().into(),
    }
}

#[test]
fn a_flag_writes_the_files_of_the_version_that_is_there() {
    let rows = [
        (
            "--memory 64M",
            "memory.limit_in_bytes=67108864\nmemory.memsw.limit_in_bytes=67108864",
            "memory.max=67108864\nmemory.swap.max=0",
        ),
        (
            "--memory 64M --swap 1M",
            "memory.limit_in_bytes=67108864\nmemory.memsw.limit_in_bytes=68157440",
            "memory.max=67108864\nmemory.swap.max=1048576",
        ),
        (
            "--memory max",
            "memory.limit_in_bytes=-1\nmemory.memsw.limit_in_bytes=-1",
            "memory.max=max\nmemory.swap.max=max",
        ),
        ("--swap 1M", "no: --swap without --memory", "memory.swap.max=1048576"),
        ("--cpus 0.5", "cpu.cfs_period_us=100000\ncpu.cfs_quota_us=50000", "cpu.max=50000 100000"),
        ("--cpus 150%", "cpu.cfs_period_us=100000\ncpu.cfs_quota_us=150000", "cpu.max=150000 100000"),
        ("--cpus max", "cpu.cfs_period_us=100000\ncpu.cfs_quota_us=-1", "cpu.max=max 100000"),
        ("--cpu-weight 300", "cpu.shares=3072", "cpu.weight=300"),
        ("--cpuset 0-1 --cpuset-mems 0", "cpuset.mems=0\ncpuset.cpus=0-1", "cpuset.mems=0\ncpuset.cpus=0-1"),
        ("--pids 64", "pids.max=64", "pids.max=64"),
    ];
    for (words, of_one, of_two) in rows {
        assert_eq!(said(words, &one()), of_one, "{words}");
        assert_eq!(said(words, &two()), of_two, "{words}");
    }
}

#[test]
fn a_file_of_the_other_version_is_translated_with_its_value() {
    for (words, of_one, of_two) in [
        ("memory.max=max", "memory.limit_in_bytes=-1", "memory.max=max"),
        ("memory.limit_in_bytes=-1", "memory.limit_in_bytes=-1", "memory.max=max"),
        ("cpu.max=20000_50000", "cpu.cfs_period_us=50000\ncpu.cfs_quota_us=20000", "cpu.max=20000 50000"),
        ("cpu.cfs_quota_us=20000", "cpu.cfs_quota_us=20000", "cpu.max=20000"),
        ("cpu.shares=512", "cpu.shares=512", "cpu.weight=50"),
        ("cgroup.freeze=1", "freezer.state=FROZEN", "cgroup.freeze=1"),
        ("freezer.state=THAWED", "freezer.state=THAWED", "cgroup.freeze=0"),
        ("pids.max=5", "pids.max=5", "pids.max=5"),
        ("memory.nonsense=1", "memory.nonsense=1", "memory.nonsense=1"),
    ] {
        assert_eq!(said(words, &one()), of_one, "{words}");
        assert_eq!(said(words, &two()), of_two, "{words}");
    }
}

#[test]
fn what_the_other_version_alone_has_is_refused() {
    assert_eq!(said("memory.high=1M", &one()), "no: memory.high has no equivalent in version 1");
    assert_eq!(said("memory.high=1M", &two()), "memory.high=1M");
    assert_eq!(said("memory.swappiness=0", &two()), "no: memory.swappiness has no equivalent in version 2");
    assert_eq!(said("devices.deny=a", &two()), "no: devices.deny has no equivalent in version 2");
    assert_eq!(said("cpu.cfs_period_us=1", &two()), "no: cpu.cfs_period_us has no equivalent in version 2");
    assert_eq!(said("hugetlb.2MB.max=0", &two()), "no: no hierarchy here carries the hugetlb controller");
    assert_eq!(
        said("freezer.state=1", &two()),
        "no: freezer.state=1: this value has no equivalent in cgroup.freeze"
    );
}

#[test]
fn what_is_no_value_is_refused() {
    for words in [
        "--memory 64X",
        "--memory=-1",
        "--cpus 0",
        "--cpus=-1",
        "--cpus 1e3",
        "--cpus half",
        "--cpus %",
        "--cpu-weight 0",
        "--cpu-weight 10001",
        "--pids many",
        "--pids=-1",
        "nodot=1",
        "a/b.c=1",
    ] {
        assert!(said(words, &one()).starts_with("no: "), "{words}");
    }
}
