//! What each flag and each file writes, on a machine of either version.

use super::*;
use crate::tree::Hierarchy;
use clap::Parser;
use io::Limit;

fn one() -> Tree {
    let line = |name: &str| Hierarchy {
        version: Version::One,
        mount: format!("/cg/{name}").into(),
        controllers: vec![name.into()],
    };
    let names =
        ["blkio", "cpu", "cpuset", "devices", "freezer", "hugetlb", "memory", "net_cls", "net_prio", "pids"];
    Tree { hierarchies: names.map(line).into() }
}

fn two() -> Tree {
    let controllers = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"].map(str::to_owned).into();
    Tree { hierarchies: vec![Hierarchy { version: Version::Two, mount: "/cg".into(), controllers }] }
}

/// A machine whose disk is 8:0 whatever the path, with both schedulers that count weights and pages of 2M and 1G.
fn look(cli: &Cli) -> Result<Look, Failure> {
    let disk = |_: &std::ffi::OsStr| Ok(vec!["8:0".to_owned()]);
    Ok(Look {
        io: cli.io.iter().map(|word| Limit::parse(word, disk)).collect::<Result<_, _>>()?,
        devices: device::parse(&cli.device)?,
        device_list: None,
        weights: vec!["blkio.bfq.weight", "io.bfq.weight", "io.weight"],
        huge_pages: vec![2 << 20, 1 << 30],
    })
}

fn said(words: &str, tree: &Tree) -> String {
    let cli = Cli::try_parse_from(["cgset", "web"].into_iter().chain(words.split_whitespace())).unwrap();
    let files: Vec<(String, String)> =
        cli.files().unwrap().into_iter().map(|(file, value)| (file, value.replace('_', " "))).collect();
    match look(&cli).and_then(|look| writes(&cli, &files, tree, &look)) {
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
        (
            "--io /dev/vda:rbps=1M,wiops=7",
            "blkio.throttle.read_bps_device=8:0 1048576\nblkio.throttle.write_iops_device=8:0 7",
            "io.max=8:0 rbps=1048576 wiops=7",
        ),
        (
            "--io a:b:wbps=max --io c:riops=2",
            "blkio.throttle.write_bps_device=8:0 0\nblkio.throttle.read_iops_device=8:0 2",
            "io.max=8:0 wbps=max\nio.max=8:0 riops=2",
        ),
        ("--io-weight 300", "blkio.bfq.weight=300", "io.bfq.weight=default 300\nio.weight=default 300"),
        (
            "--hugetlb 2M=5M --hugetlb 1G=max",
            "hugetlb.2MB.limit_in_bytes=5242880\nhugetlb.1GB.limit_in_bytes=-1",
            "hugetlb.2MB.max=5242880\nhugetlb.1GB.max=max",
        ),
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
        (
            "io.max=8:0_rbps=5_wiops=max",
            "blkio.throttle.read_bps_device=8:0 5\nblkio.throttle.write_iops_device=8:0 0",
            "io.max=8:0 rbps=5 wiops=max",
        ),
        (
            "blkio.throttle.write_bps_device=8:0_9",
            "blkio.throttle.write_bps_device=8:0 9",
            "io.max=8:0 wbps=9",
        ),
        (
            "blkio.throttle.read_iops_device=8:0_0",
            "blkio.throttle.read_iops_device=8:0 0",
            "io.max=8:0 riops=max",
        ),
        ("blkio.bfq.weight=50", "blkio.bfq.weight=50", "io.bfq.weight=default 50"),
        ("blkio.bfq.weight_device=8:0_50", "blkio.bfq.weight_device=8:0 50", "io.bfq.weight=8:0 50"),
        ("io.bfq.weight=default_50", "blkio.bfq.weight=50", "io.bfq.weight=default 50"),
        ("io.bfq.weight=8:0_50", "blkio.bfq.weight_device=8:0 50", "io.bfq.weight=8:0 50"),
        ("io.weight=50", "blkio.bfq.weight=50", "io.weight=50"),
        ("blkio.weight=50", "blkio.weight=50", "io.bfq.weight=default 50\nio.weight=default 50"),
        ("hugetlb.2MB.max=max", "hugetlb.2MB.limit_in_bytes=-1", "hugetlb.2MB.max=max"),
        ("hugetlb.2MB.limit_in_bytes=-1", "hugetlb.2MB.limit_in_bytes=-1", "hugetlb.2MB.max=max"),
        ("hugetlb.1GB.rsvd.max=0", "hugetlb.1GB.rsvd.limit_in_bytes=0", "hugetlb.1GB.rsvd.max=0"),
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
    assert_eq!(said("io.latency=8:0_target=5", &one()), "no: io.latency has no equivalent in version 1");
    assert_eq!(said("blkio.reset_stats=1", &two()), "no: blkio.reset_stats has no equivalent in version 2");
    assert_eq!(
        said("io.max=8:0", &one()),
        "no: io.max=8:0: this value has no equivalent in blkio.throttle.read_bps_device"
    );
    for (words, controller) in [
        ("rdma.max=1", "rdma"),
        ("net_cls.classid=1", "net_cls"),
        ("--net-class 1:1", "net_cls"),
        ("--net-prio lo:1", "net_prio"),
    ] {
        assert_eq!(said(words, &two()), format!("no: no hierarchy here carries the {controller} controller"));
    }
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
        "--io /dev/vda",
        "--io /dev/vda:",
        "--io :rbps=1",
        "--io a:rbps=0",
        "--io a:rbps",
        "--io a:speed=1",
        "--io a:riops=1K",
        "--io a:rbps=1,",
        "--io-weight 0",
        "--io-weight 1001",
        "--io-weight max",
        "--hugetlb 2M",
        "--hugetlb 2M=x",
        "--hugetlb x=2M",
        "--hugetlb 4M=2M",
        "--net-class 1",
        "--net-class 10000:1",
        "--net-class +1:1",
        "--net-class 1:",
        "--net-prio eth0",
        "--net-prio eth0:high",
        "--net-prio :1",
        "nodot=1",
        "a/b.c=1",
    ] {
        assert!(said(words, &one()).starts_with("no: "), "{words}");
    }
}

#[test]
fn what_is_tagged_is_tagged_in_version_1() {
    assert_eq!(said("--net-class 10:1", &one()), "net_cls.classid=0x00100001");
    assert_eq!(said("--net-class ffff:a", &one()), "net_cls.classid=0xffff000a");
    assert_eq!(
        said("--net-prio lo:5 --net-prio a:b:0", &one()),
        "net_prio.ifpriomap=lo 5\nnet_prio.ifpriomap=a:b 0"
    );
}

#[test]
fn devices_are_files_in_version_1_and_a_program_in_version_2() {
    assert_eq!(said("--device none", &one()), "devices.deny=a");
    assert_eq!(said("--device a", &one()), "devices.allow=a");
    let cli = Cli::try_parse_from(["cgset", "--device", "c 1:3", "--device", "b *:* m", "web"]).unwrap();
    let told = |tree: &Tree| -> Vec<String> {
        let writes = writes(&cli, &[], tree, &look(&cli).unwrap()).unwrap();
        writes
            .iter()
            .map(|one| format!("{}={}{:?}", one.file, one.value, one.rules.as_ref().map(Rules::to_string)))
            .collect()
    };
    assert_eq!(
        told(&one()),
        ["devices.deny=aNone", "devices.allow=c 1:3 rwmNone", "devices.allow=b *:* mNone"]
    );
    assert_eq!(told(&two()), ["=Some(\"c 1:3 rwm; b *:* m\")"]);
}

#[test]
fn a_kernel_without_a_scheduler_that_counts_weights_is_told_of() {
    let cli = Cli::try_parse_from(["cgset", "--io-weight", "50", "web"]).unwrap();
    let failure = writes(&cli, &[], &two(), &Look::default()).unwrap_err().to_string();
    assert!(
        failure.starts_with("--io-weight 50: this kernel has no scheduler that counts weights\nhint: "),
        "{failure}"
    );
    // Where only blk-iocost is, its range holds.
    let cli = Cli::try_parse_from(["cgset", "--io-weight", "5000", "web"]).unwrap();
    let iocost = Look { weights: vec!["io.weight"], ..Look::default() };
    assert_eq!(writes(&cli, &[], &two(), &iocost).unwrap()[0].value, "default 5000");
}

#[test]
fn a_write_is_taken_back_by_what_the_file_held_for_the_same_device() {
    let back = |file: &str, value: &str, now: &str| write("io", file, value.into(), "").old(Some(now));
    let of = |file: &str, value: &str| Some((file.to_owned(), value.to_owned()));
    assert_eq!(back("pids.max", "5", "max"), of("pids.max", "max"));
    let now = "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=2 wbps=2 riops=2 wiops=2";
    assert_eq!(back("io.max", "8:16 wbps=7", now), of("io.max", "8:16 rbps=2 wbps=2 riops=2 wiops=2"));
    assert_eq!(back("io.max", "8:1 wbps=7", now), of("io.max", "8:1 rbps=max wbps=max riops=max wiops=max"));
    assert_eq!(
        back("blkio.throttle.read_bps_device", "8:0 7", ""),
        of("blkio.throttle.read_bps_device", "8:0 0")
    );
    assert_eq!(back("io.bfq.weight", "default 7", "default 100\n8:0 5"), of("io.bfq.weight", "default 100"));
    assert_eq!(back("io.bfq.weight", "7", "default 100\n8:0 5"), of("io.bfq.weight", "default 100"));
    assert_eq!(back("blkio.bfq.weight", "7", "100"), of("blkio.bfq.weight", "100"));
    assert_eq!(back("net_prio.ifpriomap", "lo 7", "lo 0\neth0 5"), of("net_prio.ifpriomap", "lo 0"));
    assert_eq!(back("net_prio.ifpriomap", "none 7", "lo 0"), None);
}
