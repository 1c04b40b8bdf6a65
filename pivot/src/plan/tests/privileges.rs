//! Who the program is, and what it may do.

use super::*;
use crate::pipes::Fchown;
use crate::user::UserSpec;
use chain::Shell;

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
fn the_pipes_go_to_the_programs_user_while_there_are_rights_over_them() {
    let range = Some(IdRange { outer: 200_000, count: 1000 });
    let with = |userns, user: Option<&str>| {
        let user = user.map(|text| UserSpec::parse(text).unwrap());
        story("", Facts { userns, user, pipes: vec![0, 2], ..facts() })
    };
    let given = |story: &[String]| story[position(story, "fchown")].clone();
    assert_eq!(given(&with(range, None)), "fchown(0, 200000, -1)\nfchown(2, 200000, -1)");
    assert_eq!(given(&with(range, Some("5"))), "fchown(0, 200005, -1)\nfchown(2, 200005, -1)");
    assert_eq!(given(&with(range, Some("user"))), "fchown(0, 200000 + UID, -1)\nfchown(2, 200000 + UID, -1)");
    assert_eq!(given(&with(None, Some("user"))), "fchown(0, UID, -1)\nfchown(2, UID, -1)");
    let story = with(range, Some("user"));
    assert!(["openat2", "fchown", "setns", "setresgid"].map(|start| position(&story, start)).is_sorted());
    // Where there is none of somebody else's, as with a terminal, nothing is given.
    let none = self::story("", Facts { userns: range, pipes: Vec::new(), ..facts() });
    assert!(!none.iter().any(|line| line.starts_with("fchown")));
}

#[test]
fn the_script_asks_itself_which_descriptors_are_pipes() {
    let shell = |range, typed| match (Fchown { pipes: vec![0, 1, 2], range, typed }).shell() {
        Shell::Line(line) => line.into_string().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        shell(None, None),
        "find /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 -lname 'pipe:*' -exec chown \"${uid:-0}\" '{}' + || :"
    );
    assert!(shell(Some(IdRange { outer: 7, count: 9 }), None).contains("chown \"$((7 + ${uid:-0}))\""));
}
