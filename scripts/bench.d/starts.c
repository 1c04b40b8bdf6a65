/*
 * starts --mode burst|spaced --rounds N --seed N --first N --failed FILE LIST
 *
 * Starts everything that LIST names, once a round and in a new order every round. LIST has a line for each way, its
 * fields between tabs: WAY PROG ARG... The program in the container must write its clock, eight bytes, on stdout
 * (stamp.c). Prints a row a start,
 *
 *     order,way,mode,first_usec,whole_usec,status
 *
 * from before the fork to the clock of the program, and to the end of the wait; always whole rounds. A way that fails
 * has no times; three times in a row, and it is not started again. FILE gets a line with the reason: WAY, tab, why.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAYS 16
#define WORDS 64
/* Caches and lazily made kernel state are paid for here. */
#define WARM_UP_ROUNDS 3
#define TIMEOUT_SECONDS 10
#define SPACE_MS 20

struct way {
    char *name, *argv[WORDS + 1];
    int failures; /* in a row */
    int status;
    double first, whole;
};

static struct way ways[WAYS];
static int way_count;
static const char *mode = "burst";
static int rounds = 1;
static long order = 1;
static unsigned long state = 1;
static FILE *failed;
static int messages;   /* what a way says on stderr, in memory */
static int stamps[2];  /* the pipe that is its stdout, a new one each time: it may leave somebody behind who writes late */
static volatile sig_atomic_t running, ended;

static void die(const char *what)
{
    perror(what);
    exit(125);
}

static void kill_running(int signal_number)
{
    (void)signal_number;
    if (running > 0)
        kill(running, SIGKILL);
}

/* What has begun comes to its end: a container lives for milliseconds. */
static void note_end(int signal_number)
{
    (void)signal_number;
    ended = 1;
}

static void read_list(const char *path)
{
    FILE *list = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;

    if (!list)
        die(path);
    while (way_count < WAYS && getline(&line, &size, list) > 0) {
        struct way *way = &ways[way_count];
        char *rest = strdup(line);

        rest[strcspn(rest, "\n")] = '\0';
        way->name = strsep(&rest, "\t");
        for (int i = 0; i < WORDS && rest; i++)
            way->argv[i] = strsep(&rest, "\t");
        if (way->argv[0])
            way_count++;
    }
    free(line);
    fclose(list);
}

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* The last line of what was said, with no tab in it. */
static void note_failure(struct way *way, const char *why)
{
    char said[4096] = "", *line = said;
    ssize_t length = pread(messages, said, sizeof said - 1, 0);

    while (length > 0 && strchr(" \r\n", said[length - 1]))
        said[--length] = '\0';
    if (strrchr(said, '\n'))
        line = strrchr(said, '\n') + 1;
    for (char *tab = line; (tab = strpbrk(tab, "\t\r")); )
        *tab = ' ';
    fprintf(failed, "%s\t%s%s%s\n", way->name, why, *line ? ": " : "", line);
    fflush(failed);
}

static void judge(struct way *way, int result, long long began, long long ended_at)
{
    char why[80];
    long long stamp[512];
    ssize_t length = read(stamps[0], stamp, sizeof stamp);

    way->status = WIFSIGNALED(result) ? 128 + WTERMSIG(result) : WEXITSTATUS(result);
    if (way->status)
        snprintf(why, sizeof why, "it ended with status %d", way->status);
    else if (length != sizeof *stamp || stamp[0] < began || stamp[0] > ended_at)
        way->status = 1, snprintf(why, sizeof why, "the program inside wrote no clock (%zd bytes)", length > 0 ? length : 0);
    if (way->status) {
        way->failures++;
        note_failure(way, why);
        return;
    }
    way->failures = 0;
    way->first = (double)(stamp[0] - began) / 1e3;
    way->whole = (double)(ended_at - began) / 1e3;
}

static void end_start(posix_spawn_file_actions_t *files)
{
    posix_spawn_file_actions_destroy(files);
    close(stamps[0]);
    close(stamps[1]);
}

static void start(struct way *way, posix_spawnattr_t *attributes)
{
    static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL };
    posix_spawn_file_actions_t files;
    int result, error;
    pid_t child;

    if (ftruncate(messages, 0) || lseek(messages, 0, SEEK_SET))
        die("memfd");
    if (pipe2(stamps, O_CLOEXEC) || fcntl(stamps[0], F_SETFL, O_NONBLOCK))
        die("pipe");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, stamps[1], 1);
    posix_spawn_file_actions_adddup2(&files, messages, 2);
    alarm(TIMEOUT_SECONDS);
    long long began = now();
    error = posix_spawn(&child, way->argv[0], &files, attributes, way->argv, environment);
    if (error) {
        alarm(0);
        way->failures++, way->status = 127;
        note_failure(way, strerror(error));
        end_start(&files);
        return;
    }
    running = child;
    while (waitpid(child, &result, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    long long ended_at = now();
    running = 0;
    alarm(0);
    judge(way, result, began, ended_at);
    end_start(&files);
}

/* xorshift64: the same order on every machine for the same seed. */
static unsigned random_below(unsigned limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % limit;
}

static void run_round(int counts, posix_spawnattr_t *attributes)
{
    struct timespec space = { .tv_nsec = SPACE_MS * 1000000L };
    int turn[WAYS];

    for (int i = 0; i < way_count; i++) {
        int other = (int)random_below((unsigned)i + 1);

        turn[i] = turn[other], turn[other] = i;
    }
    for (int i = 0; i < way_count && !ended; i++) {
        struct way *way = &ways[turn[i]];

        if (way->failures >= 3)
            continue;
        if (!strcmp(mode, "spaced"))
            nanosleep(&space, NULL);
        start(way, attributes);
    }
    if (!counts || ended)
        return;
    for (int i = 0; i < way_count; i++) {
        const struct way *way = &ways[turn[i]];

        printf("%ld,%s,%s,", order++, way->name, mode);
        if (way->status)
            printf(",,%d\n", way->status);
        else
            printf("%.1f,%.1f,0\n", way->first, way->whole);
    }
    fflush(stdout);
}

static void read_options(int argc, char **argv)
{
    int at = 1;

    for (; at + 2 < argc; at += 2) {
        const char *option = argv[at], *value = argv[at + 1];

        if (!strcmp(option, "--mode"))
            mode = value;
        else if (!strcmp(option, "--rounds"))
            rounds = atoi(value);
        else if (!strcmp(option, "--seed"))
            state = strtoul(value, NULL, 10) * 2 + 1;
        else if (!strcmp(option, "--first"))
            order = atol(value);
        else if (!strcmp(option, "--failed"))
            failed = fopen(value, "a");
    }
    if (at + 1 != argc || !failed) {
        fputs("usage: starts --mode burst|spaced --rounds N --seed N --first N --failed FILE LIST\n", stderr);
        exit(125);
    }
    read_list(argv[at]);
}

int main(int argc, char **argv)
{
    static char rows[1 << 16];
    posix_spawnattr_t attributes;
    sigset_t none;

    read_options(argc, argv);
    setvbuf(stdout, rows, _IOFBF, sizeof rows);
    signal(SIGALRM, kill_running);
    signal(SIGTERM, note_end);
    signal(SIGINT, note_end);
    messages = memfd_create("stderr", MFD_CLOEXEC);
    if (messages < 0)
        die("memfd");
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    for (int round = -WARM_UP_ROUNDS; round < rounds && !ended; round++)
        run_round(round >= 0, &attributes);
    return ended ? 143 : 0;
}
