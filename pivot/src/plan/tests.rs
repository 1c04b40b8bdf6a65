//! What pivot does for what was typed, as text, on machines that are literals.

use super::*;
use crate::mask;
use chain::CapSet;
use clap::Parser;

mod mounts;
mod privileges;

/// Root of a machine, alone in all namespaces, with a directory to go to.
fn facts() -> Facts {
    Facts {
        root: Source::Directory("root".into()),
        extras: Vec::new(),
        own_net: true,
        own_ipc: true,
        own_pid: true,
        may_set_groups: true,
        permitted: CapSet::ALL,
        has_tty_group: true,
        lifeline: None,
        userns: None,
        user: None,
        pipes: Vec::new(),
        keep: Vec::new(),
        environment: vec![("SECRET".into(), "hidden".into()), ("TERM".into(), "vt100".into())],
        resolver: None,
        parking: ["/mnt", "/media"],
        on_terminal: false,
    }
}

fn image() -> Source {
    Source::Image { path: "img".into(), file_system: "ext4" }
}

fn story(options: &str, facts: Facts) -> Vec<String> {
    let words = format!("pivot {options} root /bin/true");
    let cli = Cli::try_parse_from(words.split_whitespace()).unwrap();
    plan(cli, facts).unwrap().story()
}

/// The lines of `new` that `old` has not, and those it has lost; the order of the others must be the same.
fn changes(old: &[String], new: &[String]) -> (Vec<String>, Vec<String>) {
    let only_in = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
    };
    let in_both = |these: &[String], those: &[String]| {
        these.iter().filter(|line| those.contains(line)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(in_both(old, new), in_both(new, old));
    (only_in(new, old), only_in(old, new))
}

fn position(story: &[String], start: &str) -> usize {
    story
        .iter()
        .position(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no {start} in {story:#?}"))
}

const DEFAULT_CAPS: &str =
    "cap_chown,cap_dac_override,cap_fowner,cap_fsetid,cap_kill,cap_setgid,cap_setuid,cap_net_bind_service";

#[test]
fn a_directory_confined_is_the_whole_story() {
    let environment = "clearenv()\nsetenv(\"PATH\", \"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\")\nsetenv(\"TERM\", \"vt100\")\nsetenv(\"HOME\", \"/root\")\nsetenv(\"container\", \"boxutils\")";
    let files = mask::PROC_FILES.join(", ");
    let below_sys = mask::SYS_DIRECTORIES.join(", ");
    let closed = "MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC";
    let expected = [
        "unshare(CLONE_NEWNS)",
        "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)",
        "open_tree(AT_FDCWD, \"root\", OPEN_TREE_CLONE|AT_RECURSIVE)",
        "mount_setattr({the mount}, AT_RECURSIVE, MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV)",
        "move_mount({the mount}, \"/\")\nfchdir({the mount})",
        &format!("move_mount(fsmount(fsopen(\"proc\"), {closed}), \"/proc\")"),
        &format!("mount(\"/dev/null\", \"/proc/{{{files}}}\", NULL, MS_BIND, NULL)"),
        "move_mount({empty tmpfs}, \"/proc/{acpi, asound, scsi}\")",
        "mount(\"/proc/{bus, fs, irq, sys}\", \"/proc/{bus, fs, irq, sys}\", NULL, MS_BIND, NULL)\nmount_setattr(\"/proc/{bus, fs, irq, sys}\", MOUNT_ATTR_RDONLY)",
        &format!("move_mount(fsmount(fsopen(\"tmpfs\", mode=0755, size=64k), {closed}), \"/dev\")"),
        "mount(\"/dev/{null, zero, full, random, urandom, tty}\", \"dev/{null, zero, full, random, urandom, tty}\", NULL, MS_BIND, NULL)\nmkdirat({pts, shm, mqueue})\nsymlinkat({fd -> /proc/self/fd, stdin -> /proc/self/fd/0, stdout -> /proc/self/fd/1, stderr -> /proc/self/fd/2, ptmx -> pts/ptmx})",
        "move_mount(fsmount(fsopen(\"devpts\", ptmxmode=0666, mode=0620, gid=5), MOUNT_ATTR_NOSUID|MOUNT_ATTR_NOEXEC), \"/dev/pts\")",
        &format!("move_mount(fsmount(fsopen(\"tmpfs\", mode=1777, size=64m), {closed}), \"/dev/shm\")"),
        &format!("move_mount(fsmount(fsopen(\"mqueue\"), {closed}), \"/dev/mqueue\")"),
        &format!("move_mount(fsmount(fsopen(\"sysfs\"), MOUNT_ATTR_RDONLY|{closed}), \"/sys\")"),
        &format!("move_mount({{empty tmpfs}}, \"/sys/{{{below_sys}}}\")"),
        "signal({1…64}, SIG_DFL)\nsigprocmask(SIG_SETMASK, [], NULL)",
        environment,
        "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)",
        "setrlimit(RLIMIT_CORE, {1, 1})",
        "umask(022)",
        "pivot_root(\".\", \".\")",
        "umount2(\".\", MNT_DETACH)",
        &format!("prctl(PR_CAPBSET_DROP, {{all but {DEFAULT_CAPS}}})"),
        "setgroups(0, [])",
        &format!(
            "capset({{effective=permitted={DEFAULT_CAPS}, inheritable=0}})\nprctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)"
        ),
        "prctl(PR_SET_NO_NEW_PRIVS, 1)",
        "close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)",
    ];
    assert_eq!(story("", facts()), expected);
}

#[test]
fn an_image_differs_in_how_the_root_is_made_and_in_nothing_else() {
    let (more, less) = changes(&story("", facts()), &story("", Facts { root: image(), ..facts() }));
    assert_eq!(
        more,
        [
            "flock(\"img\", LOCK_EX|LOCK_NB)\nioctl(\"/dev/loop-control\", LOOP_CTL_GET_FREE)\nioctl(\"/dev/loopN\", LOOP_CONFIGURE, {\"img\", LO_FLAGS_AUTOCLEAR|LO_FLAGS_DIRECT_IO})",
            "fsmount(fsopen(\"ext4\"), \"/dev/loopN\", MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV)"
        ]
    );
    assert_eq!(
        less,
        [
            "open_tree(AT_FDCWD, \"root\", OPEN_TREE_CLONE|AT_RECURSIVE)",
            "mount_setattr({the mount}, AT_RECURSIVE, MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV)"
        ]
    );
}

#[test]
fn read_only_is_the_device_the_file_system_and_the_mount() {
    let (more, _) = changes(
        &story("", Facts { root: image(), ..facts() }),
        &story("--read-only", Facts { root: image(), ..facts() }),
    );
    assert_eq!(
        more,
        [
            "flock(\"img\", LOCK_SH|LOCK_NB)\nioctl(\"/dev/loop-control\", LOOP_CTL_GET_FREE)\nioctl(\"/dev/loopN\", LOOP_CONFIGURE, {\"img\", LO_FLAGS_READ_ONLY|LO_FLAGS_AUTOCLEAR|LO_FLAGS_DIRECT_IO})",
            "fsmount(fsopen(\"ext4\"), \"/dev/loopN\", MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV)"
        ]
    );
    let squashed = Source::Image { path: "img".into(), file_system: "squashfs" };
    let story = story("", Facts { root: squashed, ..facts() });
    assert!(story[2].contains("LO_FLAGS_READ_ONLY"), "{}", story[2]);
}

#[test]
fn bare_is_the_primitive_and_nothing_else() {
    let expected = [
        "unshare(CLONE_NEWNS)",
        "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)",
        "open_tree(AT_FDCWD, \"root\", OPEN_TREE_CLONE|AT_RECURSIVE)",
        "move_mount({the mount}, \"/\")\nfchdir({the mount})",
        "pivot_root(\".\", \".\")",
        "umount2(\".\", MNT_DETACH)",
    ];
    assert_eq!(story("--bare", facts()), expected);
    let (more, less) = changes(&expected.map(String::from), &story("--bare --workdir /tmp", facts()));
    assert_eq!((more, less), (vec!["chdir(\"/tmp\")".into()], Vec::new()));
}

#[test]
fn the_notice_is_for_who_shares_processes_and_watches() {
    let notice = |facts: Facts, options: &str| {
        let words = format!("pivot {options} root");
        facts.notice(&Cli::try_parse_from(words.split_whitespace()).unwrap()).is_some()
    };
    let watched = |own_pid| Facts { on_terminal: true, own_pid, ..facts() };
    assert!(notice(watched(false), ""));
    assert!(!notice(watched(true), ""));
    assert!(!notice(watched(false), "--bare"));
    assert!(!notice(Facts { on_terminal: false, own_pid: false, ..facts() }, ""));
}
