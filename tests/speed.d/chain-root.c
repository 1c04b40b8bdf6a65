/*
 * chain-root DIR PROG [ARG]...: what `pivot DIR PROG` does with confinement
 * on: DIR as the root with /proc, /dev and /sys of its own, what tells of the
 * host masked, eight capabilities, nothing inherited. The second link; chain is
 * the first. The order and the calls are the cheapest found, see "cheap:".
 */
#include <linux/capability.h>
#include <linux/stat.h>

#include "bare.h"

#define QUIET (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty", 0 };

static const char *const masked_proc_files[] = {
    "kcore", "keys", "kallsyms", "kmsg", "config.gz", "slabinfo", "vmallocinfo",
    "pagetypeinfo", "kpagecount", "kpageflags", "kpagecgroup", "key-users",
    "sysrq-trigger", "mtrr", "interrupts", "latency_stats", "sched_debug",
    "timer_list", "timer_stats", 0
};
static const char *const masked_proc_dirs[] = { "scsi", "acpi", "asound", 0 };
static const char *const masked_sys_dirs[] = {
    "firmware", "kernel/debug", "kernel/tracing", "kernel/security", "fs/bpf",
    "module", "devices/virtual/block", "devices/virtual/powercap", 0
};
static const char *const read_only_proc[] = { "bus", "fs", "irq", "sys", 0 };

static const int kept_capabilities[] = {
    CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID,
    CAP_SETUID, CAP_NET_BIND_SERVICE
};

/* A file system of its own, mounted nowhere yet. A null option ends the list. */
static int new_mount(const char *type, const char *const *options, unsigned attributes)
{
    int context = must(CALL(fsopen, type, FSOPEN_CLOEXEC), type);

    for (; options && *options; options += 2)
        must(CALL(fsconfig, context, FSCONFIG_SET_STRING, options[0], options[1], 0), options[0]);
    must(CALL(fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0), type);
    int mount = must(CALL(fsmount, context, FSMOUNT_CLOEXEC, attributes), type);
    CALL(close, context);
    return mount;
}

static void attach(int mount, int dir, const char *path)
{
    must(CALL(move_mount, mount, "", dir, path, MOVE_MOUNT_F_EMPTY_PATH), path);
}

/* The root, as a mount of its own: pivot_root(2) wants one. */
static int attach_root(const char *path)
{
    struct mount_attr no_escape = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };
    int root = must(CALL(open_tree, AT_FDCWD, path,
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), path);

    must(CALL(mount_setattr, root, "", AT_EMPTY_PATH | AT_RECURSIVE, &no_escape, sizeof no_escape), path);
    attach(root, AT_FDCWD, path);
    return root;
}

static void bind_device(int host, int dev, const char *name)
{
    must(CALL(mknodat, dev, name, S_IFREG, 0), name);
    int node = must(CALL(open_tree, host, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), name);
    attach(node, dev, name);
    CALL(close, node);
}

/* Filled before it is attached: nothing of the image is walked. */
static void attach_dev(int root)
{
    static const char *const dev_options[] = { "mode", "755", "size", "64k", 0 };
    static const char *const pts_options[] = { "ptmxmode", "0666", "mode", "620", "gid", "5", 0 };
    static const char *const shm_options[] = { "mode", "1777", "size", "64m", 0 };
    int host = must(CALL(openat, AT_FDCWD, "/dev", O_PATH | O_DIRECTORY | O_CLOEXEC), "/dev");
    int dev = new_mount("tmpfs", dev_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);

    attach(dev, root, "dev");
    for (const char *const *name = devices; *name; name++)
        bind_device(host, dev, *name);
    must(CALL(mkdirat, dev, "pts", 0755), "pts");
    must(CALL(mkdirat, dev, "shm", 0755), "shm");
    must(CALL(mkdirat, dev, "mqueue", 0755), "mqueue");
    must(CALL(symlinkat, "pts/ptmx", dev, "ptmx"), "ptmx");
    must(CALL(symlinkat, "/proc/self/fd", dev, "fd"), "fd");
    must(CALL(symlinkat, "/proc/self/fd/0", dev, "stdin"), "stdin");
    must(CALL(symlinkat, "/proc/self/fd/1", dev, "stdout"), "stdout");
    must(CALL(symlinkat, "/proc/self/fd/2", dev, "stderr"), "stderr");
    attach(new_mount("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), dev, "pts");
    attach(new_mount("tmpfs", shm_options, QUIET), dev, "shm");
    attach(new_mount("mqueue", 0, QUIET), dev, "mqueue");
}

/* cheap: the working directory is our own proc, so mount(2) can take bare
 * names: one call instead of open_tree, move_mount, close, and a file this
 * kernel lacks costs one lookup. /dev/null has a number of its own. */
static void mask_proc_files(int proc)
{
    int null = must(CALL(openat, AT_FDCWD, "/dev/null", O_PATH | O_CLOEXEC), "/dev/null");

    must(CALL(dup3, null, 99, O_CLOEXEC), "dup3");
    must(CALL(fchdir, proc), "fchdir");
    /* Below, ENOENT must mean the file, never the mask. */
    must(CALL(faccessat, AT_FDCWD, "self/fd/99", 0), "self/fd/99");
    for (const char *const *name = masked_proc_files; *name; name++) {
        long result = CALL(mount, "self/fd/99", *name, 0, MS_BIND, 0);
        if (result != -ENOENT)
            must(result, *name);
    }
}

/* cheap: look before cloning. A clone that is closed unattached is an unmount,
 * and waits for an RCU grace period. */
static void mask_dirs(int nothing, int parent, const char *const *names)
{
    for (; *names; names++) {
        int target = (int)CALL(openat, parent, *names, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (target == -ENOENT)
            continue;
        must(target, *names);
        int copy = must(CALL(open_tree, nothing, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH), *names);
        must(CALL(move_mount, copy, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH), *names);
        CALL(close, copy);
        CALL(close, target);
    }
}

static void make_proc_read_only(int proc)
{
    struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

    must(CALL(fchdir, proc), "fchdir");
    for (const char *const *name = read_only_proc; *name; name++) {
        must(CALL(mount, *name, *name, 0, MS_BIND, 0), *name);
        must(CALL(mount_setattr, AT_FDCWD, *name, 0, &read_only, sizeof read_only), *name);
    }
}

static void attach_proc_and_sys(int root)
{
    static const char *const nothing_options[] = { "mode", "555", "size", "4k", 0 };
    int nothing = new_mount("tmpfs", nothing_options, QUIET | MOUNT_ATTR_RDONLY);
    int proc = new_mount("proc", 0, QUIET);
    int sys = new_mount("sysfs", 0, QUIET | MOUNT_ATTR_RDONLY);

    attach(proc, root, "proc");
    attach(sys, root, "sys");
    mask_proc_files(proc);
    make_proc_read_only(proc);
    mask_dirs(nothing, proc, masked_proc_dirs);
    mask_dirs(nothing, sys, masked_sys_dirs);
}

static void change_root(int root)
{
    must(CALL(fchdir, root), "fchdir");
    must(CALL(pivot_root, ".", "."), "pivot_root");
    /* The old root is stacked on the new one at ".". */
    must(CALL(umount2, ".", MNT_DETACH), "umount2");
    must(CALL(chdir, "/"), "chdir");
}

static void give_up_privileges(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = { 0 };
    unsigned long kept = 0;

    for (unsigned long i = 0; i < sizeof kept_capabilities / sizeof *kept_capabilities; i++)
        kept |= 1UL << kept_capabilities[i];
    /* The bounding set is dropped one by one; EINVAL is past the last. */
    for (int cap = 0; cap < 64; cap++)
        if (!(kept >> cap & 1) && CALL(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) == -EINVAL)
            break;
    must(CALL(setgroups, 0, 0), "setgroups");
    sets[0].effective = sets[0].permitted = (unsigned)kept;
    must(CALL(capset, &header, sets), "capset");
    must(CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
}

int main(int argc, char **argv)
{
    static const char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root", "TERM=linux", "container=boxutils", 0
    };

    if (argc < 3)
        return 125;
    must(CALL(unshare, CLONE_NEWNS), "unshare");
    must(CALL(mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0), "mount private");
    int root = attach_root(argv[1]);
    attach_dev(root);
    attach_proc_and_sys(root);
    change_root(root);
    give_up_privileges();
    must(CALL(close_range, 3, ~0U, 0), "close_range");
    must(CALL(execve, argv[2], argv + 2, environment), argv[2]);
    return 127;
}
