//! What is mounted in the new root, and in which order.

use super::*;

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

#[test]
fn without_a_network_or_queues_of_its_own_their_mounts_are_left_out() {
    let bound = Facts { own_net: false, own_ipc: false, ..facts() };
    let (more, less) = changes(&story("", facts()), &story("", bound));
    assert_eq!((more.len(), less.len()), (0, 3));
    assert!(less.iter().all(|line| line.contains("mqueue") || line.contains("/sys")), "{less:#?}");
}
