//! What pivot does for what was typed, as text, on machines that are literals.

use super::*;
use crate::user::UserSpec;
use clap::Parser;

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
fn a_user_namespace_is_made_first_and_entered_last() {
    let range = IdRange { outer: 200_000, count: 1000 };
    let with = || Facts { userns: Some(range), root: image(), ..facts() };
    let (without, story) = (story("", Facts { root: image(), ..facts() }), story("", with()));
    let (more, less) = changes(&without, &story);
    let closed = "MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC";
    assert_eq!(
        more,
        [
            "clone(CLONE_NEWUSER|SIGCHLD)\nwrite(\"/proc/CHILD/uid_map\", \"0 200000 1000\")\nwrite(\"/proc/CHILD/gid_map\", \"0 200000 1000\")",
            "mount_setattr({the mount}, AT_RECURSIVE, MOUNT_ATTR_IDMAP, {map \"0 200000 1000\"})",
            &format!(
                "move_mount(fsmount(fsopen(\"tmpfs\", mode=0755, size=64k, uid=200000, gid=200000), {closed}), \"/dev\")"
            ),
            "move_mount(fsmount(fsopen(\"devpts\", ptmxmode=0666, mode=0620, gid=200005), MOUNT_ATTR_NOSUID|MOUNT_ATTR_NOEXEC), \"/dev/pts\")",
            &format!(
                "move_mount(fsmount(fsopen(\"tmpfs\", mode=1777, size=64m, uid=200000, gid=200000), {closed}), \"/dev/shm\")"
            ),
            "setns({map \"0 200000 1000\"}, CLONE_NEWUSER)",
            "setresgid(GID, GID, GID)\nsetresuid(UID, UID, UID)",
        ]
    );
    assert_eq!(less.len(), 3);
    // The root is built with the caller's rights, and capabilities are dropped of the new namespace.
    let order = [
        "clone(",
        "move_mount({the mount}, \"/\")",
        "pivot_root",
        "umount2",
        "setns",
        "prctl(PR_CAPBSET_DROP",
    ];
    let positions = order.map(|start| position(&story, start));
    assert!(positions.is_sorted(), "{positions:?}");
}

#[test]
fn a_user_is_looked_up_before_the_old_root_goes_and_become_before_capabilities_go() {
    let user = |text: &str| Facts { user: Some(UserSpec::parse(text).unwrap()), ..facts() };
    let story_of_user = story("", user("user"));
    let (more, less) = changes(&story("", facts()), &story_of_user);
    assert_eq!(more[0], "openat2(\"etc/passwd\", RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS)");
    assert!(more[1].starts_with("clearenv()") && !more[1].contains("HOME"), "HOME is the user's");
    assert_eq!(
        more[2..],
        [
            "prctl(PR_CAPBSET_DROP, {all but none})",
            "setresgid(GID, GID, GID)\nsetresuid(UID, UID, UID)",
            "capset({effective=permitted=none, inheritable=0})\nprctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
        ]
    );
    assert_eq!(less.len(), 3);
    let order = [
        "openat2",
        "pivot_root",
        "prctl(PR_CAPBSET_DROP",
        "setgroups",
        "setresgid",
        "capset",
        "prctl(PR_SET_NO",
    ];
    assert!(order.map(|start| position(&story_of_user, start)).is_sorted());
    // With a capability to keep, the change of ids must not take it.
    let keeping = story("--cap-add NET_RAW", user("1000"));
    assert!(keeping[position(&keeping, "prctl(PR_SET_KEEPCAPS, 1)\nsetresgid")..].len() > 2);
    // Root by number is root, whatever the files say.
    let root = story("", user("0"));
    assert!(root.iter().any(|line| line.contains(&format!("permitted={DEFAULT_CAPS},"))));
}

#[test]
fn capabilities_are_added_to_the_default_and_dropped_from_it_by_name_last() {
    let kept = |options: &str, permitted: CapSet| {
        let story = story(options, Facts { permitted, ..facts() });
        let line = &story[position(&story, "capset(")];
        line.split_once("permitted=").unwrap().1.split_once(", inheritable").unwrap().0.to_owned()
    };
    assert_eq!(kept("--cap-drop ALL", CapSet::ALL), "none");
    assert_eq!(kept("--cap-drop ALL --cap-add kill", CapSet::ALL), "cap_kill");
    assert_eq!(
        kept("--cap-add KILL --cap-drop KILL --cap-drop ALL --cap-add CHOWN", CapSet::ALL),
        "cap_chown"
    );
    assert_eq!(kept("--cap-add ALL", CapSet(0b10_0001)), "cap_chown,cap_kill", "ALL is what there is");
    assert_eq!(kept("--cap-add ALL", CapSet::ALL), CapSet::ALL.names());
    assert!(!kept("--cap-add ALL --cap-drop SYS_ADMIN", CapSet::ALL).contains("cap_sys_admin"));
}

#[test]
fn privileged_shows_the_hosts_dev_and_sys_and_drops_nothing() {
    let (more, less) = changes(&story("", facts()), &story("--privileged", facts()));
    assert_eq!(
        more,
        [
            "open_tree(AT_FDCWD, \"/dev\", OPEN_TREE_CLONE|AT_RECURSIVE)",
            "move_mount({the mount}, \"/dev\")",
            "open_tree(AT_FDCWD, \"/sys\", OPEN_TREE_CLONE|AT_RECURSIVE)",
            "move_mount({the mount}, \"/sys\")",
        ]
    );
    for lost in
        ["mount_setattr", "mount(\"/dev/null\"", "prctl(PR_CAPBSET_DROP", "capset", "prctl(PR_SET_NO_NEW"]
    {
        assert!(less.iter().any(|line| line.starts_with(lost)), "{lost}");
    }
}

#[test]
fn without_a_network_or_queues_of_its_own_their_mounts_are_left_out() {
    let bound = Facts { own_net: false, own_ipc: false, ..facts() };
    let (more, less) = changes(&story("", facts()), &story("", bound));
    assert_eq!((more.len(), less.len()), (0, 3));
    assert!(less.iter().all(|line| line.contains("mqueue") || line.contains("/sys")), "{less:#?}");
}

#[test]
fn without_privileges_groups_and_the_group_of_terminals_are_left_as_they_are() {
    let rootless = Facts { may_set_groups: false, has_tty_group: false, ..facts() };
    let (more, less) = changes(&story("", facts()), &story("", rootless));
    assert_eq!(
        more,
        [
            "move_mount(fsmount(fsopen(\"devpts\", ptmxmode=0666, mode=0620), MOUNT_ATTR_NOSUID|MOUNT_ATTR_NOEXEC), \"/dev/pts\")",
            "no call: /proc/self/setgroups says deny"
        ]
    );
    assert_eq!(less[1], "setgroups(0, [])");
}

#[test]
fn what_is_mounted_beside_comes_after_ours_and_before_the_pivot() {
    let extra = |source, at: &str| Extra {
        source,
        at: at.into(),
        attributes: Attributes::NO_SUID.and(Attributes::NO_DEV),
        idmap: true,
    };
    let extras = || {
        vec![
            extra(Source::Directory("/src".into()), "/mnt"),
            extra(Source::Memory(vec![("size", Some("1M".into()))]), "/opt"),
            extra(image(), "/home"),
        ]
    };
    let range = IdRange { outer: 5, count: 9 };
    let story = story("", Facts { extras: extras(), userns: Some(range), ..facts() });
    let start = position(&story, "open_tree(AT_FDCWD, \"/src\"");
    assert!(position(&story, "move_mount(fsmount(fsopen(\"sysfs\")") < start);
    assert!(position(&story, "pivot_root") > start + 9);
    let idmap = "mount_setattr({the mount}, AT_RECURSIVE, MOUNT_ATTR_IDMAP, {map \"0 5 9\"})";
    assert_eq!(
        story[start + 1..start + 10],
        [
            "mount_setattr({the mount}, AT_RECURSIVE, MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV)",
            idmap,
            "move_mount({the mount}, \"/mnt\")",
            "fsmount(fsopen(\"tmpfs\"), \"tmpfs\", MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV)",
            "move_mount({the mount}, \"/opt\")",
            "flock(\"img\", LOCK_EX|LOCK_NB)\nioctl(\"/dev/loop-control\", LOOP_CTL_GET_FREE)\nioctl(\"/dev/loopN\", LOOP_CONFIGURE, {\"img\", LO_FLAGS_AUTOCLEAR|LO_FLAGS_DIRECT_IO})",
            "fsmount(fsopen(\"ext4\"), \"/dev/loopN\", MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV)",
            idmap,
            "move_mount({the mount}, \"/home\")",
        ]
    );
}

#[test]
fn the_environment_is_what_was_asked_for_and_no_more() {
    let line = |options: &str| {
        let story = story(options, facts());
        story[position(&story, "clearenv()")].clone()
    };
    assert!(!line("").contains("SECRET"));
    assert!(line("--keep-env").contains("setenv(\"SECRET\", \"hidden\")"));
    assert!(line("--env SECRET").contains("setenv(\"SECRET\", \"hidden\")"));
    assert!(line("--env SECRET=other").contains("setenv(\"SECRET\", \"other\")"));
    assert!(!line("--env UNSET").contains("UNSET"));
    assert_eq!(line("--env HOME=/a --env HOME=/b").matches("HOME").count(), 1);
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

#[test]
fn the_resolver_comes_after_all_other_mounts_so_that_none_covers_it() {
    let resolver = || Facts { resolver: Some("nameserver 10.0.0.1\n".into()), ..facts() };
    let (more, less) = changes(&story("", facts()), &story("", resolver()));
    assert_eq!(
        more,
        [
            "open_tree(fsmount(fsopen(\"tmpfs\"), MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC), {\"nameserver 10.0.0.1\\n\"}, OPEN_TREE_CLONE)\nmove_mount({that file}, \"/etc/resolv.conf\")"
        ]
    );
    assert!(less.is_empty());
    let etc = Extra {
        source: Source::Directory("/srv/etc".into()),
        at: "/etc".into(),
        attributes: Attributes::NONE,
        idmap: false,
    };
    let calls = story("", Facts { extras: vec![etc], ..resolver() });
    let at = |text: &str| calls.iter().position(|call| call.contains(text)).unwrap();
    assert!(at("\"/etc\")") < at("/etc/resolv.conf") && at("/etc/resolv.conf") < at("pivot_root"));
}
