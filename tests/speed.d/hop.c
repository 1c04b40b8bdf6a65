/*
 * hop PROG [ARG]...: the cheapest link a chain can have. It becomes the
 * program named by the rest of its command line and does nothing else, so the
 * slope of `hop hop … true` over the number of hops is the price of one exec.
 * Built twice: with glibc, as most static programs are, and with -DBARE.
 */
#ifdef BARE
#include "bare.h"
#else
#include <unistd.h>
#endif

int main(int argc, char **argv)
{
    char *environment[] = { 0 };

    if (argc < 2)
        return 125;
#ifdef BARE
    CALL(execve, argv[1], argv + 1, environment);
#else
    execve(argv[1], argv + 1, environment);
#endif
    return 127;
}
