/*
 * floor-full BRIDGE ROOT PROG WORD...: the physical limit of a whole container.
 * One process makes the groups, the cable, the five namespaces and the root,
 * becomes PROG and afterwards removes the groups. A WORD is the directory of a
 * group of version 1, or FILE=VALUE; BRIDGE is the index of a bridge. What
 * cgset, vethup, nsexec and pivot do in one line, with no confinement, no
 * second exec and no libc.
 */
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "bare.h"


static char **words; /* groups and values */
static int outside;  /* a socket that stays in the network it was made in */
static int bridge;

static unsigned length_of(const char *text)
{
    unsigned length = 0;

    while (text[length])
        length++;
    return length;
}

static void copy(char *to, const void *from, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        to[i] = ((const char *)from)[i];
}

/* Joins two texts in a buffer that is overwritten by the next call. */
static const char *path(const char *directory, const char *name)
{
    static char text[512];
    unsigned length = length_of(directory);

    copy(text, directory, length);
    text[length] = '/';
    copy(text + length + 1, name, length_of(name) + 1);
    return text;
}

static void write_text(const char *file, const char *text)
{
    int fd = must(CALL(openat, AT_FDCWD, file, O_WRONLY | O_CLOEXEC, 0), file);

    must(CALL(write, fd, text, length_of(text)), file);
    CALL(close, fd);
}

static char *equals_sign(char *word)
{
    while (*word && *word != '=')
        word++;
    return *word ? word : 0;
}

static void make_groups(void)
{
    for (char **word = words; *word; word++) {
        char *value = equals_sign(*word);

        if (!value) {
            must(CALL(mkdir, *word, 0755), *word);
            continue;
        }
        *value = '\0';
        write_text(*word, value + 1);
        *value = '=';
    }
}

static void join_groups(void)
{
    for (char **word = words; *word; word++)
        if (!equals_sign(*word))
            write_text(path(*word, "tasks"), "0");
}

static void remove_groups(void)
{
    for (char **word = words; *word; word++)
        if (!equals_sign(*word))
            must(CALL(rmdir, *word), *word);
}

/* A request in the making. */
struct request {
    struct nlmsghdr header;
    char body[512];
};

static void begin(struct request *request, int type, int flags, const void *fixed, unsigned size)
{
    request->header = (struct nlmsghdr){ .nlmsg_type = (unsigned short)type,
        .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags),
        .nlmsg_len = NLMSG_LENGTH(size) };
    copy(request->body, fixed, size);
}

static struct rtattr *add(struct request *request, int type, const void *value, unsigned size)
{
    char *end = (char *)request + NLMSG_ALIGN(request->header.nlmsg_len);
    struct rtattr *attribute = (void *)end;

    attribute->rta_type = (unsigned short)type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(size);
    copy(end + RTA_LENGTH(0), value, size);
    request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
    return attribute;
}

static void end_nest(struct request *request, struct rtattr *attribute)
{
    attribute->rta_len = (unsigned short)((char *)request + request->header.nlmsg_len - (char *)attribute);
}

static void send_request(int socket, struct request *request, const char *step)
{
    struct { struct nlmsghdr header; struct nlmsgerr error; char rest[512]; } answer;

    must(CALL(sendto, socket, request, request->header.nlmsg_len, 0, 0, 0), step);
    must(CALL(recvfrom, socket, &answer, sizeof answer, 0, 0, 0), step);
    must(answer.error.error, step);
}

/* A name no other run has: the cable of the last one may still be there. */
static void make_cable(void)
{
    struct ifinfomsg up = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP }, none = { 0 };
    struct request request;
    char name[16] = "floor";
    long stamp[2];

    CALL(clock_gettime, 1, stamp);
    for (int i = 5; i < 14; i++, stamp[1] /= 10)
        name[i] = (char)('0' + stamp[1] % 10);
    int inside = must(CALL(openat, AT_FDCWD, "/proc/self/ns/net", O_CLOEXEC, 0), "ns/net");
    begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &up, sizeof up);
    add(&request, IFLA_IFNAME, name, length_of(name) + 1);
    add(&request, IFLA_MASTER, &bridge, 4);
    struct rtattr *info = add(&request, IFLA_LINKINFO, "", 0);
    add(&request, IFLA_INFO_KIND, "veth", 5);
    struct rtattr *data = add(&request, IFLA_INFO_DATA, "", 0);
    struct rtattr *peer = add(&request, VETH_INFO_PEER, &none, sizeof none);
    add(&request, IFLA_IFNAME, "eth0", 5);
    add(&request, IFLA_NET_NS_FD, &inside, 4);
    end_nest(&request, peer);
    end_nest(&request, data);
    end_nest(&request, info);
    send_request(outside, &request, "veth");
    CALL(close, inside);
}

/* lo is the first interface, the end of the cable the second. */
static void configure_inside(void)
{
    static const unsigned char address[] = { 10, 98, 255, 250 }, gateway[] = { 10, 98, 0, 1 };
    int socket = must(CALL(socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "socket");
    struct ifaddrmsg with_length = { .ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = 2 };
    struct rtmsg route = { .rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST };
    struct request request;

    for (int index = 1; index <= 2; index++) {
        struct ifinfomsg up = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

        begin(&request, RTM_NEWLINK, 0, &up, sizeof up);
        send_request(socket, &request, "up");
    }
    begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &with_length, sizeof with_length);
    add(&request, IFA_LOCAL, address, 4);
    add(&request, IFA_ADDRESS, address, 4);
    send_request(socket, &request, "address");
    begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &route, sizeof route);
    add(&request, RTA_GATEWAY, gateway, 4);
    send_request(socket, &request, "route");
    CALL(close, socket);
}

static void enter_root_and_exec(const char *new_root, char *program)
{
    char *arguments[] = { program, 0 }, *environment[] = { 0 };

    must(CALL(mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0), "mount private");
    must(CALL(mount, new_root, new_root, 0, MS_BIND, 0), "bind the root");
    must(CALL(chdir, new_root), "chdir");
    must(CALL(mount, "proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0), "mount proc");
    must(CALL(pivot_root, ".", "."), "pivot_root");
    must(CALL(umount2, ".", MNT_DETACH), "umount2");
    must(CALL(execve, program, arguments, environment), program);
}

int main(int argc, char **argv)
{
    const long flags = CLONE_VM | CLONE_VFORK | SIGCHLD | CLONE_NEWPID
        | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;

    if (argc < 4)
        return 125;
    for (const char *digit = argv[1]; *digit; digit++)
        bridge = bridge * 10 + *digit - '0';
    words = argv + 4;
    outside = must(CALL(socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "socket");
    make_groups();
    int child = must(CALL(clone, flags, 0), "clone");
    if (child == 0) {
        join_groups();
        make_cable();
        configure_inside();
        enter_root_and_exec(argv[2], argv[3]);
    }
    int status = wait_for(child);
    remove_groups();
    return status;
}
