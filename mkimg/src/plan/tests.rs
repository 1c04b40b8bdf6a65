use super::*;
use crate::cli::Alloc;
use clap::Parser;

const MIB: u64 = 1 << 20;

fn typed(words: &str) -> Cli {
    Cli::try_parse_from(std::iter::once("mkimg").chain(words.split_whitespace())).unwrap()
}

fn root() -> Facts {
    Facts {
        is_root: true,
        pid: 7,
        is_nameless: true,
        free: 100 << 30,
        mkfs: Some("/sbin/mkfs.ext4".into()),
        ..Facts::default()
    }
}

fn tree(facts: Facts) -> Facts {
    let content = Content { bytes: 10 * MIB, inodes: 100, ..Content::default() };
    Facts { source: Some(Source::Tree("rootfs".into())), content: Some(content), ..facts }
}

fn loop_device() -> Attached {
    Attached {
        device: "/dev/loop3".into(),
        backing_file: "/srv/img".into(),
        size: MIB,
        read_only: false,
        autoclear: false,
        direct_io: true,
    }
}

fn story(words: &str, facts: Facts) -> Vec<String> {
    plan(&typed(words), facts).unwrap().story()
}

fn refusal(words: &str, facts: Facts) -> String {
    plan(&typed(words), facts).unwrap_err().to_string()
}

#[test]
fn an_empty_image_is_a_file_a_loop_device_and_a_file_system() {
    assert_eq!(
        story("--size 64M img", root()),
        [
            r#"open(".", O_TMPFILE|O_RDWR, 0666)"#,
            "ftruncate(image, 67108864)",
            "ioctl(loop, LOOP_CONFIGURE, {fd=image, lo_flags=LO_FLAGS_AUTOCLEAR|LO_FLAGS_DIRECT_IO})",
            r#"execve("mkfs.ext4", ["mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-E", "nodiscard,assume_storage_prezeroed=1", loop])"#,
            "close(loop)",
            "fsync(image)",
            r#"linkat(image, "img")"#,
            r#"fsync(".")"#,
        ]
    );
}

#[test]
fn a_tree_is_copied_through_a_mount_nobody_else_sees() {
    let calls = story("--from rootfs /srv/img", tree(root()));
    assert_eq!(calls[0], r#"open("/srv", O_TMPFILE|O_RDWR, 0666)"#);
    // 10 MiB, a quarter more, 100 inodes, 64 MiB; in whole MiB.
    assert_eq!(calls[1], format!("ftruncate(image, {})", 77 * MIB));
    assert!(calls[3].contains(r#""-N", "4928", loop]"#), "{}", calls[3]);
    assert_eq!(
        calls[4..],
        [
            "fsopen(\"ext4\")\nfsconfig(FSCONFIG_SET_STRING, \"source\", loop)\n\
             fsmount(MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC)",
            r#"openat, read, write, fchown, fsetxattr, futimens("rootfs" -> root)"#,
            "syncfs(root)",
            "close(root)",
            "close(loop)",
            "fsync(image)",
            r#"linkat(image, "/srv/img")"#,
            r#"fsync("/srv")"#,
        ]
    );
}

#[test]
fn an_archive_is_unpacked_in_the_same_place() {
    let facts = Facts { source: Some(Source::Archive("-".into())), ..root() };
    let calls = story("--from - img", facts);
    // How much comes is not known, so it is the default size, with twice the inodes.
    assert_eq!(calls[1], "ftruncate(image, 1073741824)");
    assert!(calls[3].contains(r#""-N", "131072""#), "{}", calls[3]);
    assert_eq!(calls[5], r#"openat2(RESOLVE_IN_ROOT), write, fchown, fsetxattr, futimens("-" -> root)"#);
}

#[test]
fn without_root_mke2fs_writes_into_the_file() {
    let facts = tree(Facts { is_root: false, ..root() });
    assert_eq!(
        story("--from rootfs -L home img", facts)[2..4],
        [
            r#"execve("mkfs.ext4", ["mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-E", "nodiscard,assume_storage_prezeroed=1", "-N", "4928", "-L", "home", "-d", "rootfs", image])"#,
            "fsync(image)",
        ]
    );
}

#[test]
fn where_files_without_a_name_are_not_known_another_name_does() {
    let facts = Facts { is_nameless: false, ..root() };
    let calls = story("--size 1M a/img", facts);
    assert_eq!(
        calls[0],
        "open(\"a/.img.mkimg-7\", O_CREAT|O_EXCL|O_RDWR, 0666)\nflock(image, LOCK_EX|LOCK_NB)"
    );
    assert_eq!(calls[6], r#"renameat2("a/.img.mkimg-7", "a/img", RENAME_NOREPLACE)"#);
}

#[test]
fn only_force_replaces_a_file_and_nothing_replaces_what_is_none() {
    let there = || Facts { existing: Some(Existing::Regular((1, 2))), ..root() };
    assert!(refusal("img", there()).starts_with("\"img\": it is there already\nhint: --force"));
    assert_eq!(
        story("--force img", there())[6],
        "flock(image, LOCK_EX|LOCK_NB)\nlinkat(image, \"./.img.mkimg-7\")\nrename(\"./.img.mkimg-7\", \"img\")"
    );
    let device = Facts { existing: Some(Existing::Other("a block device")), ..root() };
    assert!(refusal("--force img", device).starts_with("\"img\": it is a block device"));
}

#[test]
fn what_a_killed_one_left_is_removed_first_and_its_room_counts() {
    let left = |pid| Leftover { path: format!("./.img.mkimg-{pid}").into(), identity: (1, 2), room: 4 * MIB };
    let facts = |leftovers| Facts { leftovers, free: 4 * MIB, ..root() };
    let calls = story("--size 1M img", facts(vec![left(3), left(5)]));
    let removal = |pid| {
        format!(
            "open(\"./.img.mkimg-{pid}\", O_RDWR|O_NOFOLLOW)\nflock(leftover, LOCK_EX|LOCK_NB)\n\
             unlink(\"./.img.mkimg-{pid}\")"
        )
    };
    assert_eq!(calls[..2], [removal(3), removal(5)]);
    assert_eq!(calls[2..], story("--size 1M img", facts(vec![])));
    assert_eq!(story("--size 8M --alloc full img", facts(vec![left(3)]))[0], removal(3));
    assert!(refusal("--size 8M --alloc full img", facts(vec![])).contains("has 4M free"));
    assert!(refusal("--size 9M --alloc full img", facts(vec![left(3)])).contains("has 8M free"));
    // What is refused removes nothing, and to attach and to detach is not to write.
    let there = Facts { existing: Some(Existing::Regular((1, 2))), ..facts(vec![left(3)]) };
    assert!(refusal("img", there).starts_with("\"img\": it is there already"));
    assert_eq!(story("--attach img", facts(vec![left(3)])).len(), 3);
}

#[test]
fn an_image_in_use_is_left_alone() {
    let used = || Facts { devices: vec![loop_device()], existing: Some(Existing::Regular((1, 2))), ..root() };
    for words in ["--force img", "--attach img"] {
        assert_eq!(
            refusal(words, used()),
            "\"img\": /dev/loop3 shows it already\nhint: mkimg --detach /dev/loop3 takes it away"
        );
    }
}

#[test]
fn attach_alone_makes_nothing_and_with_a_size_comes_last() {
    let attachment = [
        "open(\"img\", O_RDWR)\nflock(image, LOCK_EX|LOCK_NB)",
        "ioctl(loop, LOOP_CONFIGURE, {fd=image, lo_flags=LO_FLAGS_DIRECT_IO})",
        "write(1, loop)",
    ];
    assert_eq!(story("--attach img", root()), attachment);
    let calls = story("--attach --size 1M img", root());
    assert_eq!(calls[calls.len() - 3..], attachment);
    assert_eq!(calls.len(), 8 + 3);
}

#[test]
fn detach_names_the_devices_it_takes_away() {
    let facts = Facts { devices: vec![loop_device()], ..root() };
    assert_eq!(story("--detach img", facts), [r#"ioctl("/dev/loop3", LOOP_CLR_FD)"#]);
    assert!(refusal("--detach img", root()).starts_with("\"img\": no loop device shows it"));
}

#[test]
fn what_cannot_fit_is_refused_before_anything_is_made() {
    let text = refusal("--size 8M --from rootfs img", tree(root()));
    assert_eq!(text, "--size 8M: \"rootfs\" alone takes 10M\nhint: without --size it would be 77M");
    let full = tree(Facts { free: 9 * MIB, ..root() });
    assert!(
        refusal("--from rootfs img", full)
            .contains("needs 10M, and the file system it would be on has 9M free")
    );
    // A sparse image may be larger than what is free; one that is reserved may not.
    let little = || Facts { free: 9 * MIB, ..root() };
    assert_eq!(story("--size 10M img", little()).len(), 8);
    assert!(refusal("--size 10M --alloc full img", little()).contains("needs 10M"));
}

#[test]
fn without_root_a_tree_that_cannot_be_copied_right_is_refused() {
    let rootless = || Facts { is_root: false, ..tree(root()) };
    let mut mounted = rootless();
    mounted.content.as_mut().unwrap().mounted_below = Some("rootfs/proc".into());
    assert!(refusal("--from rootfs img", mounted).starts_with("\"rootfs/proc\": something is mounted there"));
    let named = Facts { is_nameless: false, place_in_tree: Some("img".into()), ..rootless() };
    assert!(refusal("--from rootfs rootfs/img", named).contains("it would hold itself"));
    let archive = Facts { source: Some(Source::Archive("a.tar".into())), ..rootless() };
    assert!(refusal("--from a.tar img", archive).contains("only root can make"));
}

#[test]
fn a_size_is_rounded_up_to_whole_blocks() {
    assert_eq!(story("--size 1000KB img", root())[1], "ftruncate(image, 1003520)");
    assert_eq!(typed("--size 1.5K img").alloc, Alloc::Sparse);
    assert_eq!(story("--size 1M --alloc full img", root())[1], "fallocate(image, 0, 0, 1048576)");
    assert_eq!(story("--size 1M --alloc zero img", root())[1], r#"write(image, "\0"..., 1048576)"#);
}

#[test]
fn what_mkfs_would_cut_or_is_not_there_to_do_is_refused() {
    assert!(refusal("--label seventeen-letters img", root()).contains("16 bytes"));
    let bare = Facts { mkfs: None, ..root() };
    assert!(refusal("img", bare).ends_with("hint: apt install e2fsprogs"));
}

#[test]
fn the_command_line_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    for words in [
        "",
        "--attach",
        "--json img",
        "--list img",
        "--attach --detach img",
        "--size 1X img",
        "--detach --size 1M img",
    ] {
        let words: Vec<&str> = std::iter::once("mkimg").chain(words.split_whitespace()).collect();
        assert!(Cli::try_parse_from(&words).is_err(), "{words:?}");
    }
    assert_eq!(Cli::try_parse_from(["mkimg", "img", "--size", "1M"]).unwrap().size, Some(MIB));
}
