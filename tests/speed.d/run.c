/*
 * run [--blocks N] [--pace MS] [--seed N] [--label TEXT] [--csv FILE] LIST
 *
 * Runs the contestants LIST names, each once a block, in a new random order
 * every block, so that drift and neighbours hit all alike. A contestant that
 * exits non-zero is never timed. LIST has one line for each, fields between `|`:
 *
 *     run|NAME|PROG ARG ARG…            words between blanks, no quoting
 *     absent|NAME|WHY                   a row without figures
 *     ratio|LABEL|TARGET|NAME|NAME      first over second
 *     slope|LABEL|TARGET|NAME|NAME|…    per step, in microseconds
 *
 * RSS is wait4's ru_maxrss: the program and what it waited for. A vforked
 * child starts with our own, so nothing below that can be seen.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

/* Caches, page tables and lazily made kernel state are paid for here. */
#define WARM_UP_BLOCKS 3
/* A contestant that hangs is killed, and shows as one that failed. */
#define TIMEOUT_SECONDS 10

static struct measurement all = { .blocks = 100, .seed = 20240229 };
static const char *label = "burst";
static FILE *csv;
static int messages; /* what the contestant says on stderr, in memory */
static volatile sig_atomic_t running;

static void die(const char *what)
{
    perror(what);
    exit(125);
}

static void refuse(const char *why)
{
    fprintf(stderr, "run: %s\n", why);
    exit(125);
}

static void kill_running(int signal_number)
{
    (void)signal_number;
    if (running > 0)
        kill(running, SIGKILL);
}

static struct contestant *find(const char *name)
{
    for (int i = 0; name && i < all.contestant_count; i++)
        if (!strcmp(all.contestants[i].name, name))
            return &all.contestants[i];
    refuse("a ratio or slope names no contestant");
    return NULL;
}

static void read_contestant(char *name, char *rest, int is_absent)
{
    struct contestant *one = &all.contestants[all.contestant_count++];

    if (all.contestant_count > CONTESTANTS || !rest)
        refuse("LIST is too long, or lacks a field");
    one->name = name;
    if (is_absent) {
        one->not_run = rest;
        return;
    }
    for (int i = 0; i < WORDS && (one->argv[i] = strtok(i ? NULL : rest, " ")); i++)
        ;
    one->times = calloc((size_t)all.blocks, sizeof *one->times);
    if (!one->times)
        die("calloc");
}

static void read_question(int kind, char *name, char *rest)
{
    struct question *asked = &all.questions[all.question_count++];

    if (all.question_count > QUESTIONS || !rest)
        refuse("LIST is too long, or lacks a field");
    asked->kind = kind;
    asked->label = name;
    asked->target = strsep(&rest, "|");
    while (rest && asked->count < WORDS)
        asked->of[asked->count++] = find(strsep(&rest, "|"));
    if (asked->count < 2)
        refuse("a ratio or slope needs two contestants");
}

static void read_list(const char *path)
{
    FILE *list = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;

    if (!list)
        die(path);
    while (getline(&line, &size, list) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = strdup(line), *kind = strsep(&rest, "|"), *name = strsep(&rest, "|");

        if (!strcmp(kind, "run") || !strcmp(kind, "absent"))
            read_contestant(name, rest, *kind == 'a');
        else if (!strcmp(kind, "ratio") || !strcmp(kind, "slope"))
            read_question(*kind == 'r' ? RATIO : SLOPE, name, rest);
    }
    free(line);
    fclose(list);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void rest_for_pace(void)
{
    struct timespec time = { .tv_sec = all.pace / 1000, .tv_nsec = all.pace % 1000 * 1000000L };

    nanosleep(&time, NULL);
}

/* "not run: exit 125: unshare: Operation not permitted" */
static char *why_not_run(int status)
{
    char said[4096] = "", *line = said, *text;
    ssize_t length = pread(messages, said, sizeof said - 1, 0);

    while (length > 0 && said[length - 1] == '\n')
        said[--length] = '\0';
    if (strrchr(said, '\n'))
        line = strrchr(said, '\n') + 1;
    int done = WIFSIGNALED(status)
        ? asprintf(&text, "not run: signal %d: %s", WTERMSIG(status), line)
        : asprintf(&text, "not run: exit %d: %s", WEXITSTATUS(status), line);
    if (done < 0)
        die("asprintf");
    return text;
}

/* Milliseconds from before the vfork to after the wait; a failure is noted. */
static double run_once(struct contestant *one, posix_spawn_file_actions_t *files)
{
    static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL };
    struct rusage used;
    int status;
    pid_t child;

    if (ftruncate(messages, 0) || lseek(messages, 0, SEEK_SET))
        die("memfd");
    alarm(TIMEOUT_SECONDS);
    double start = now();
    if ((status = posix_spawn(&child, one->argv[0], files, NULL, one->argv, environment))) {
        if (asprintf(&one->not_run, "not run: %s: %s", one->argv[0], strerror(status)) < 0)
            die("asprintf");
        return 0;
    }
    running = child;
    while (wait4(child, &status, 0, &used) < 0)
        ;
    double end = now();
    running = 0;
    alarm(0);
    if (status)
        one->not_run = why_not_run(status);
    if (used.ru_maxrss > one->max_rss)
        one->max_rss = used.ru_maxrss;
    return end - start;
}

/* xorshift64: the same order on every machine for the same seed. */
static unsigned random_below(unsigned limit)
{
    static unsigned long state;

    if (!state)
        state = all.seed ? all.seed : 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % limit;
}

static void shuffle(int *order, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int other = (int)random_below((unsigned)i + 1), kept = order[i];

        order[i] = order[other];
        order[other] = kept;
    }
}

/* A negative block is warm-up: it runs like the others and leaves no trace. */
static void run_block(int block, int *order, posix_spawn_file_actions_t *files)
{
    shuffle(order, all.contestant_count);
    for (int i = 0; i < all.contestant_count; i++) {
        struct contestant *one = &all.contestants[order[i]];

        if (one->not_run)
            continue;
        if (all.pace)
            rest_for_pace();
        double time = run_once(one, files);
        if (block < 0 || one->not_run)
            continue;
        one->times[block] = time;
        if (csv)
            fprintf(csv, "%s,%lu,%d,%d,%s,%.6f,%ld\n", label, all.seed, block, i, one->name, time, one->max_rss);
    }
}

static void open_csv(const char *path)
{
    csv = fopen(path, "a");
    if (!csv)
        die(path);
    if (ftell(csv) == 0)
        fputs("label,seed,block,position,name,milliseconds,max_rss_kib\n", csv);
}

static void read_options(int argc, char **argv)
{
    int at = 1;

    for (; at + 2 < argc; at += 2) {
        const char *option = argv[at], *value = argv[at + 1];

        if (!strcmp(option, "--blocks"))
            all.blocks = atoi(value);
        else if (!strcmp(option, "--pace"))
            all.pace = atoi(value);
        else if (!strcmp(option, "--seed"))
            all.seed = strtoul(value, NULL, 10);
        else if (!strcmp(option, "--label"))
            label = value;
        else if (!strcmp(option, "--csv"))
            open_csv(value);
        else
            break;
    }
    if (at + 1 != argc || all.blocks < 1)
        refuse("usage: run [--blocks N] [--pace MS] [--seed N] [--label TEXT] [--csv FILE] LIST");
    read_list(argv[at]);
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t files;
    int order[CONTESTANTS];

    read_options(argc, argv);
    signal(SIGALRM, kill_running);
    messages = memfd_create("stderr", MFD_CLOEXEC);
    if (messages < 0)
        die("memfd_create");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, messages, 2);
    for (int i = 0; i < CONTESTANTS; i++)
        order[i] = i;
    for (int block = -WARM_UP_BLOCKS; block < all.blocks; block++)
        run_block(block, order, &files);
    report(&all);
    return csv && fclose(csv) ? 125 : 0;
}
