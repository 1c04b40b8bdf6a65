//! The cgset binary as it is typed: help, refusals, the dry run as text, and what lands in the files. Plain directories stand
//! in for the hierarchies, so nothing here needs root or touches a group.

#[path = "../../../tests/cli.rs"]
mod cli;
mod typed;

use cli::{is_one_screen, is_refused, names_as_much, run, stderr, stdout};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Output};

fn cgset(words: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_cgset")).args(words))
}

/// Runs `words` and expects a refusal with this text, nothing on stdout, and this status.
fn refused(words: &[&str], status: i32, wanted: &str) {
    is_refused(&cgset(words), words, status, wanted);
}

/// A tree of directories that is gone with the test.
struct Tree(PathBuf);

impl Tree {
    /// With the files given, each as PATH=CONTENT; a path that ends in a slash is a directory.
    fn new(name: &str, files: &[&str]) -> Tree {
        let root = std::env::temp_dir().join(format!("cgset-{name}-{}", std::process::id()));
        for file in files {
            let (path, content) = file.split_once('=').unwrap_or((file, ""));
            let path = root.join(path);
            let directory = if file.ends_with('/') { &path } else { path.parent().expect("a file") };
            std::fs::create_dir_all(directory).expect("a directory");
            if !file.ends_with('/') {
                std::fs::write(path, content).expect("a file");
            }
        }
        Tree(root)
    }

    fn run(&self, words: &[&str]) -> Output {
        run(Command::new(env!("CARGO_BIN_EXE_cgset")).arg("--root").arg(&self.0).args(words))
    }

    fn holds(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).expect("a file")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_short_help_is_one_screen_and_names_at_most_24_options() {
    let output = cgset(&["-h"]);
    is_one_screen(&output);
    assert!(!stdout(&output).contains("--root"));
}

#[test]
fn the_long_help_explains_what_the_short_one_names() {
    names_as_much(&cgset(&["-h"]), &cgset(&["--help"]));
}

#[test]
fn a_program_that_is_not_there_or_cannot_run_changes_nothing() {
    let tree = Tree::new("program", &["pids/", "freezer/"]);
    assert_eq!(tree.run(&["web", "--", "/nonexistent"]).status.code(), Some(127));
    assert_eq!(tree.run(&["web", "--", "/etc/passwd"]).status.code(), Some(126));
    assert!(!tree.0.join("pids/web").exists());
}

#[test]
fn values_land_in_the_files_of_version_1() {
    let tree = Tree::new(
        "one",
        &[
            "pids/web/pids.max=max and more",
            "freezer/web/",
            "memory/web/memory.limit_in_bytes=9",
            "cpu/web/cpu.cfs_quota_us=-1",
            "cpu/web/cpu.cfs_period_us=1",
        ],
    );
    let output = tree.run(&["--memory", "1M", "--cpus", "50%", "--pids", "7", "web"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert_eq!(tree.holds("memory/web/memory.limit_in_bytes"), "1048576");
    assert_eq!(
        tree.holds("cpu/web/cpu.cfs_quota_us") + &tree.holds("cpu/web/cpu.cfs_period_us"),
        "50000100000"
    );
    assert_eq!(tree.holds("pids/web/pids.max"), "7");
}

#[test]
fn values_land_in_the_files_of_version_2_and_the_other_versions_names_are_translated() {
    let tree = Tree::new(
        "two",
        &[
            "cgroup.controllers=cpu memory pids",
            "cgroup.subtree_control=cpu memory pids",
            "web/memory.max=max",
            "web/cpu.weight=100",
            "web/cpu.max=max 100000",
        ],
    );
    let output = tree.run(&["web", "memory.limit_in_bytes=4096", "cpu.shares=512", "cpu.cfs_quota_us=-1"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert_eq!(tree.holds("web/memory.max"), "4096");
    assert_eq!(tree.holds("web/cpu.weight") + &tree.holds("web/cpu.max"), "50max");
    assert_eq!(tree.run(&["web", "devices.deny=a"]).status.code(), Some(125));
}

#[test]
fn limits_of_disks_and_devices_land_in_the_files_of_version_1() {
    let tree = Tree::new(
        "disks",
        &[
            "pids/web/",
            "freezer/web/",
            "blkio/web/blkio.throttle.write_bps_device=",
            "devices/web/devices.list=c 1:3 rwm\nc 1:5 r\n",
            "devices/web/devices.allow=",
            "devices/web/devices.deny=",
        ],
    );
    let output =
        tree.run(&["--io", "8:0:wbps=4M", "--device", "c 1:3 rwm", "--device", "/dev/full w", "web"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert_eq!(tree.holds("blkio/web/blkio.throttle.write_bps_device"), "8:0 4194304");
    assert_eq!(
        tree.holds("devices/web/devices.allow") + &tree.holds("devices/web/devices.deny"),
        "c 1:7 wc 1:5 r"
    );
}

#[test]
fn what_only_bpf_can_do_ends_a_dry_run_as_a_script() {
    let tree = Tree::new("bpf", &["cgroup.controllers=pids", "cgroup.subtree_control=pids"]);
    let output = tree.run(&["--dry-run", "--device", "c 1:3 rwm", "web", "--", "true"]);
    let script = stdout(&output);
    let why = "no command does this: the kernel runs this program whenever a member opens or makes a device";
    assert_eq!(output.status.code(), Some(0));
    assert!(script.lines().any(|line| line.starts_with(&format!("# {why}"))), "{script}");
    assert!(
        script.lines().any(|line| line.starts_with(&format!("echo '{why}")) && line.ends_with("exit 125")),
        "{script}"
    );
}

#[test]
fn a_value_that_is_refused_late_puts_back_those_before_it() {
    let tree = Tree::new("back", &["pids/web/pids.max=3", "freezer/web/"]);
    let output = tree.run(&["--pids", "7", "web", "pids.none=1"]);
    let path = tree.0.join("pids/web/pids.none");
    assert_eq!(
        stderr(&output),
        format!(
            "cgset: open(\"{}\", O_WRONLY): No such file or directory (ENOENT)\ncgset: while: the value that was asked for\ncgset: hint: this kernel has no file of that name there: it has pids.max\n",
            path.display()
        )
    );
    assert_eq!((output.status.code(), tree.holds("pids/web/pids.max")), (Some(125), "3".into()));
}

#[test]
fn the_program_is_joined_with_0_in_tasks_or_cgroup_procs() {
    let one = Tree::new("join-one", &["pids/web/tasks=", "freezer/web/tasks="]);
    let output = one.run(&["web", "--", "echo", "here"]);
    assert_eq!((stdout(&output), one.holds("pids/web/tasks")), ("here\n".into(), "0".into()));
    let two = Tree::new(
        "join-two",
        &["cgroup.controllers=pids", "cgroup.subtree_control=pids", "web/cgroup.procs="],
    );
    let output = two.run(&["web", "--", "sh", "-c", "exit 3"]);
    assert_eq!((output.status.code(), two.holds("web/cgroup.procs")), (Some(3), "0".into()));
}

#[test]
fn the_dry_run_is_a_script_and_does_nothing() {
    let tree = Tree::new("dry", &["pids/", "freezer/"]);
    let output = tree.run(&["--dry-run", "--transient", "--pids", "7", "web", "--", "echo", "a b"]);
    let script = stdout(&output);
    let place = |name: &str| tree.0.join(name).join("web").display().to_string();
    for line in [
        format!("mkdir -p {}", place("pids")),
        format!("echo 7 > {}/pids.max", place("pids")),
        "status=0".into(),
        "setpriv --pdeathsig KILL sh -e /dev/fd/3 3<<'END_cgset' || status=$?".into(),
        format!("echo 0 > {}/tasks", place("pids")),
        "exec echo 'a b' 3<&-".into(),
        "END_cgset".into(),
        format!(
            "tries=0; while [ -d {0} ] && ! {1} 2>/dev/null; do [ $((tries += 1)) -lt 500 ] || {{ {1} || exit; }}; sleep 0.01; done",
            place("freezer"),
            format_args!("find {} -depth -type d -exec rmdir {{}} +", place("freezer"))
        ),
        "exit \"$status\"".into(),
    ] {
        assert!(script.lines().any(|known| known == line), "{line} in {script}");
    }
    assert!(!tree.0.join("pids/web").exists());
}

#[test]
fn procs_and_stat_are_data_on_stdout() {
    let tree = Tree::new(
        "stat",
        &[
            "pids/web/cgroup.procs=7\n12\n7\n",
            "pids/web/pids.current=2",
            "pids/web/pids.max=max",
            "memory/web/memory.limit_in_bytes=4096\n",
            "memory/web/memory.oom_control=oom_kill_disable 0\noom_kill 2\n",
        ],
    );
    assert_eq!(stdout(&tree.run(&["--procs", "web"])), "7\n12\n");
    assert_eq!(
        stdout(&tree.run(&["--stat", "--json", "web"])),
        "{\"group\": \"web\", \"procs\": 2, \"frozen\": null, \"memory.current_bytes\": null, \"memory.peak_bytes\": null, \"memory.max_bytes\": 4096, \"memory.oom_kills\": 2, \"cpu.usage_usec\": null, \"cpu.throttled_usec\": null, \"cpu.quota_usec\": null, \"cpu.period_usec\": null, \"pids.current\": 2, \"pids.max\": null, \"labels\": {}}\n"
    );
    let output = tree.run(&["--procs", "none"]);
    assert!(
        output.stdout.is_empty() && stderr(&output).starts_with("cgset: \"none\": there is no such group\n")
    );
}

#[test]
fn a_group_may_have_any_bytes_in_its_name() {
    let tree = Tree::new("bytes", &["pids/", "freezer/"]);
    let output = run(Command::new(env!("CARGO_BIN_EXE_cgset"))
        .arg("--root")
        .arg(&tree.0)
        .arg("--dry-run")
        .arg(OsStr::from_bytes(b"w\xffb")));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.windows(3).any(|three| three == b"w\xffb"));
}

#[test]
fn the_tree_is_text_for_people_and_a_line_of_json_for_each_group() {
    let tree = Tree::new(
        "tree",
        &[
            "cpu,memory/cgroup.procs=1\n7\n",
            "cpu,memory/web/cgroup.procs=7\n12\n12\n0\n",
            "cpu,memory/web/tasks=7\n12\n",
            "cpu,memory/web/inner\u{1b}[2J/cgroup.procs=",
            "pids/cgroup.procs=1\n7\n12\n",
        ],
    );
    let root = tree.0.display();
    assert_eq!(
        stdout(&tree.run(&["--tree"])),
        format!(
            "cpu,memory (version 1, {root}/cpu,memory)\n  /  1\n    web  2\n      inner\\x1b[2J  0\npids (version 1, {root}/pids)\n  /  3\n"
        )
    );
    assert_eq!(
        stdout(&tree.run(&["--tree", "--json", "web"])),
        "[{\"hierarchy\":\"cpu,memory\",\"group\":\"/web\",\"procs\":[7,12],\"marked\":false,\"labels\":{}},\n{\"hierarchy\":\"cpu,memory\",\"group\":\"/web/inner\\u001b[2J\",\"procs\":[],\"marked\":false,\"labels\":{}}]\n"
    );
    assert_eq!(tree.run(&["--tree", "none"]).status.code(), Some(125));
    refused(
        &["--label", "No=1", "web"],
        125,
        "cgset: --label \"No=1\": no label\ncgset: hint: a key is a small letter, then up to 199 small letters, digits, _ and -\n",
    );
}
