//! The dry run as text.

use super::*;

#[test]
fn a_root_that_looks_like_an_option_is_none_in_the_script() {
    let here = Directory::new("hyphen");
    std::fs::create_dir(here.path().join("-r")).expect("a directory is made");
    let script = String::from_utf8(here.script(&["--dry-run", "--bare", "--", "-r"])).expect("UTF-8");
    assert!(script.contains("mount --rbind ./-r ./-r\ncd ./-r\n"), "{script}");
}

#[test]
fn the_dry_run_of_the_primitive_is_this_script() {
    let here = Directory::new("bare");
    let script =
        String::from_utf8(here.script(&["--dry-run", "--bare", "root", "/bin/sh", "-c", "echo \"$0\""]));
    assert_eq!(script.expect("UTF-8"), BARE);
}

#[test]
fn the_dry_run_of_a_confined_directory_is_this_script() {
    let map = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    if !map.split_whitespace().eq(["0", "0", "4294967295"]) {
        eprintln!(
            "in a user namespace the script is another: groups cannot be cleared, and there may be no group 5"
        );
        return;
    }
    let here = Directory::new("confined");
    let script = String::from_utf8(here.script(&["--dry-run", "root", "/bin/ls", "-l"])).expect("UTF-8");
    assert_eq!(script, CONFINED);
}

#[test]
fn a_dry_run_changes_nothing() {
    let here = Directory::new("nothing");
    here.script(&["--dry-run", "--tmpfs", "/a/b", "--bind", "root:/c", "--user", "user", "root"]);
    let left: Vec<_> = std::fs::read_dir(here.path().join("root"))
        .expect("it is there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["bin"]);
}

const BARE: &str = r#"# a copy of the mount table, so that no mount made in here is made on the host
# the copy is still tied to the original wherever that is shared: cut it, both ways
exec unshare --mount --propagation private sh -e /dev/fd/3 3<<'END_pivot'
# take the files as a mount by itself, attached nowhere yet
mount --rbind root root
cd root
# attach it over / of our own mount table, the only place it is ever attached, and stand in it
# the new root becomes /, and the old one ends up stacked on it
mount -n --move . /
# let go of the old root, lazily because it is in use: from here on no path leads to the host
# become the program: same process, same number, another life
exec "$(command -v capsh)" --chroot=. --shell=/bin/sh -- -c 'echo "$0"' 3<&-
END_pivot
"#;

const CONFINED: &str = r#"# a copy of the mount table, so that no mount made in here is made on the host
# the copy is still tied to the original wherever that is shared: cut it, both ways
exec unshare --mount --propagation private sh -e /dev/fd/3 3<<'END_pivot'
# take the files as a mount by itself, attached nowhere yet
mount --rbind root root
cd root
# what lies in it may not raise privileges: set-user-ID bits and device nodes are dead
mount -o remount,bind,nosuid,nodev .
findmnt -Rlno TARGET -T . | tail -n +2 | while IFS= read -r mount; do mount -o remount,bind,nosuid,nodev "$mount"; done
# attach it over / of our own mount table, the only place it is ever attached, and stand in it
# programs look themselves up in /proc; a new one shows the PID namespace of who mounts it
mkdir -p ./proc
mount -t proc -o nosuid,nodev,noexec proc ./proc
# these tell of the whole machine, or pull its levers: show /dev/null instead
for name in proc/config.gz proc/interrupts proc/kallsyms proc/kcore proc/key-users proc/keys proc/kmsg proc/kpagecgroup proc/kpagecount proc/kpageflags proc/latency_stats proc/mtrr proc/pagetypeinfo proc/sched_debug proc/slabinfo proc/sysrq-trigger proc/timer_list proc/timer_stats proc/vmallocinfo; do if [ -e "$name" ]; then mount --bind /dev/null "$name"; fi; done
# and these directories: show an empty one instead
for name in proc/acpi proc/asound proc/scsi; do if [ -d "$name" ]; then mount -t tmpfs -o nosuid,nodev,noexec,size=0,mode=0555 tmpfs "$name" && mount -o remount,bind,ro,nosuid,nodev,noexec "$name"; fi; done
# settings of the kernel are for reading here, not for writing
for name in proc/bus proc/fs proc/irq proc/sys; do if [ -e "$name" ]; then mount --bind "$name" "$name" && mount -o remount,bind,ro,nosuid,nodev,noexec "$name"; fi; done
# an empty /dev hides the image's own, whose nodes could be any device
mkdir -p ./dev
mount -t tmpfs -o nosuid,nodev,noexec,mode=0755,size=64k tmpfs ./dev
# the six devices every program expects, each bound from the host by itself
for name in null zero full random urandom tty; do : > dev/$name; mount --bind /dev/$name dev/$name; done
mkdir -m 755 dev/pts dev/shm dev/mqueue
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
ln -s pts/ptmx dev/ptmx
# terminals of its own, numbered from 0
mkdir -p ./dev/pts
mount -t devpts -o nosuid,noexec,ptmxmode=0666,mode=0620,gid=5 devpts ./dev/pts
# shared memory of its own
mkdir -p ./dev/shm
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=64m tmpfs ./dev/shm
# what the caller ignores or blocks is no business of the program's
# variables of the host may hold its secrets, and name its paths
# no command does this: keys of the host's session would be in reach: begin a session without any
# a core dump is written by the host, outside of all this: write none; with 1 the program that core_pattern may name is not started either, with 0 it is
[ "$(ulimit -H -c)" = 0 ] || prlimit --pid $$ --core=1:1
# files are made with the usual mode, whatever the caller's was
umask 022
# the new root becomes /, and the old one ends up stacked on it
mount -n --move . /
# let go of the old root, lazily because it is in use: from here on no path leads to the host
# no program started from here on can ever have other capabilities than these
# groups of the caller would open the host's files to it
# keep these capabilities and no others, and hand none down by inheritance
# no set-user-ID program and no file capability gives any back
# no command does this: an open directory of the host would be a way out: keep no descriptor that was not asked for
# become the program: same process, same number, another life
exec env -i --default-signal PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root container=boxutils "$(command -v capsh)" --chroot=. --drop=cap_dac_read_search,cap_setpcap,cap_linux_immutable,cap_net_broadcast,cap_net_admin,cap_net_raw,cap_ipc_lock,cap_ipc_owner,cap_sys_module,cap_sys_rawio,cap_sys_chroot,cap_sys_ptrace,cap_sys_pacct,cap_sys_admin,cap_sys_boot,cap_sys_nice,cap_sys_resource,cap_sys_time,cap_sys_tty_config,cap_mknod,cap_lease,cap_audit_write,cap_audit_control,cap_setfcap,cap_mac_override,cap_mac_admin,cap_syslog,cap_wake_alarm,cap_block_suspend,cap_audit_read,cap_perfmon,cap_bpf,cap_checkpoint_restore --groups= --caps=cap_chown,cap_dac_override,cap_fowner,cap_fsetid,cap_kill,cap_setgid,cap_setuid,cap_net_bind_service=ep --no-new-privs --shell=/bin/ls -- -l 3<&-
END_pivot
"#;
