/*
 * What a measurement is made of: contestants, and one time a block for each.
 * run.c fills it, report.c prints it.
 */
#ifndef RUN_H
#define RUN_H

#define WORDS 32
#define CONTESTANTS 40
#define QUESTIONS 40

struct contestant {
    const char *name;
    char *argv[WORDS + 1];
    char *not_run;       /* why there are no times, or NULL */
    double *times;       /* milliseconds, one a block */
    long max_rss;        /* KiB, the largest of all runs */
};

/* A ratio of two contestants, or the slope over several. */
struct question {
    enum { RATIO, SLOPE } kind;
    const char *label;
    const char *target;  /* printed beside the answer, never asserted */
    const struct contestant *of[WORDS];
    int count;
};

struct measurement {
    struct contestant contestants[CONTESTANTS];
    int contestant_count;
    struct question questions[QUESTIONS];
    int question_count;
    int blocks;
    int pace;            /* milliseconds of rest before each run */
    unsigned long seed;
};

/* report.c */
void report(const struct measurement *all);

#endif
