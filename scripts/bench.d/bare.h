/*
 * System calls and a start without a libc, for the programs that say what the
 * kernel costs. glibc, static or not, asks the processor about its caches
 * before main; under a hypervisor each CPUID traps, 60 of them take 0.3 ms, and
 * a limit must not hold that. x86-64 only, as is the target of our tools.
 */
#ifndef BARE_H
#define BARE_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#define MNT_DETACH 2 /* umount2(2); not in the kernel's own headers */
#define SIGCHLD 17
#define SIGKILL 9

int main(int argc, char **argv);

/* The kernel leaves argc and argv on the stack; main's result is our status. */
__asm__(".globl _start\n_start: xor %ebp, %ebp; mov (%rsp), %rdi; lea 8(%rsp), %rsi;"
        "and $-16, %rsp; call main; mov %eax, %edi; mov $231, %eax; syscall");

/* The result, or minus the errno. Pointers go in as numbers. */
static inline long call6(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall" : "=a"(result)
        : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
        : "rcx", "r11", "memory");
    return result;
}

#define PADDED(number, a, b, c, d, e, f, ...) \
    call6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(name, ...) PADDED(__NR_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)

static void say(const char *text)
{
    unsigned long length = 0;

    while (text[length])
        length++;
    CALL(write, 2, text, length);
}

/* A step that fails ends the run: half a container is none. */
static int must(long result, const char *step)
{
    if (result >= 0)
        return (int)result;
    char digits[] = ": errno 000\n";
    for (long at = 10, rest = -result; at > 7; at--, rest /= 10)
        digits[at] = (char)('0' + rest % 10);
    say(step);
    say(digits);
    CALL(exit_group, 125);
    __builtin_unreachable();
}

__attribute__((unused)) static int wait_for(int child)
{
    int status;

    must(CALL(wait4, child, &status, 0, 0), "wait4");
    return status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff;
}

#endif
