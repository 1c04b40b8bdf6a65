/*
 * Times to tables. Ratios and slopes are computed inside each block, where
 * both sides met the same noise, and only then reduced to a median: the ratio
 * of two medians would compare moments that never met.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The value below which the given share of them lies; sorts in place. */
static double percentile(double *values, int count, double share)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[(int)(share * (count - 1) + 0.5)];
}

static void print_spread(double *values, int count)
{
    double median = percentile(values, count, 0.5);

    printf("%9.3f %9.3f %9.3f", median, percentile(values, count, 0.1),
        percentile(values, count, 0.9));
}

static void print_contestants(const struct measurement *all, double *scratch)
{
    printf("%-24s %9s %9s %9s %9s\n", "milliseconds", "median", "p10", "p90", "RSS KiB");
    for (int i = 0; i < all->contestant_count; i++) {
        const struct contestant *one = &all->contestants[i];

        printf("%-24s ", one->name);
        if (one->not_run) {
            printf("%s\n", one->not_run);
            continue;
        }
        memcpy(scratch, one->times, (size_t)all->blocks * sizeof *scratch);
        print_spread(scratch, all->blocks);
        printf(" %9ld\n", one->max_rss);
    }
}

/* Least squares over 1, 2, 3 … links: what one more link costs, in microseconds. */
static double slope(const struct question *asked, int block)
{
    double mean_x = (asked->count + 1) / 2.0, mean_y = 0, above = 0, below = 0;

    for (int i = 0; i < asked->count; i++)
        mean_y += asked->of[i]->times[block] / asked->count;
    for (int i = 0; i < asked->count; i++) {
        double x = i + 1 - mean_x;

        above += x * (asked->of[i]->times[block] - mean_y);
        below += x * x;
    }
    return 1000 * above / below;
}

static const char *what_is_missing(const struct question *asked)
{
    for (int i = 0; i < asked->count; i++)
        if (asked->of[i]->not_run)
            return asked->of[i]->name;
    return NULL;
}

static void print_answer(const struct measurement *all, const struct question *asked, double *scratch)
{
    const char *missing = what_is_missing(asked);

    printf("%-24s ", asked->label);
    if (missing) {
        printf("no %-25s  %s\n", missing, asked->target);
        return;
    }
    for (int block = 0; block < all->blocks; block++)
        scratch[block] = asked->kind == SLOPE ? slope(asked, block)
            : asked->of[0]->times[block] / asked->of[1]->times[block];
    print_spread(scratch, all->blocks);
    printf("  %s\n", asked->target);
}

void report(const struct measurement *all)
{
    double *scratch = malloc((size_t)all->blocks * sizeof *scratch);

    if (!scratch)
        exit(125);
    printf("%d blocks, seed %lu, ", all->blocks, all->seed);
    if (all->pace)
        printf("%d ms between runs\n", all->pace);
    else
        printf("back to back\n");
    print_contestants(all, scratch);
    for (int i = 0; i < all->question_count; i++) {
        if (i == 0)
            printf("%-24s %9s %9s %9s  %s\n", "per block", "median", "p10", "p90", "target");
        print_answer(all, &all->questions[i], scratch);
    }
    free(scratch);
}
