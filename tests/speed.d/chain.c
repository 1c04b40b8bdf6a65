/*
 * chain PROG [ARG]...: what `nsexec --pid --net --mount --uts --ipc -- PROG`
 * does: five namespaces, loopback up, PROG as PID 1, its status handed on. The
 * first of the two links whose time says how near our tools come to what C
 * can do; chain-root is the second.
 */
#include <linux/if.h>
#include <linux/sockios.h>

#include "bare.h"

/* A new network namespace has its loopback down. */
static void loopback_up(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int any_socket = must(CALL(socket, 2 /* AF_INET */, 2 /* SOCK_DGRAM */, 0), "socket");

    must(CALL(ioctl, any_socket, SIOCSIFFLAGS, &request), "lo up");
    must(CALL(close, any_socket), "close");
}

static void become(char **argv, char **environment)
{
    /* The container must not outlive the one who waits for it. */
    must(CALL(prctl, PR_SET_PDEATHSIG, SIGKILL), "PR_SET_PDEATHSIG");
    must(CALL(mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0), "mount private");
    loopback_up();
    must(CALL(execve, argv[0], argv, environment), argv[0]);
}

int main(int argc, char **argv)
{
    /* As vfork(2); and namespaces made by the clone are the child's alone, so
     * nothing has to be let go of here when it ends. */
    const long flags = CLONE_VM | CLONE_VFORK | SIGCHLD | CLONE_NEWPID
        | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;

    if (argc < 2)
        return 125;
    int child = must(CALL(clone, flags, 0), "clone");
    if (child == 0)
        become(argv + 1, argv + argc + 1);
    return wait_for(child);
}
