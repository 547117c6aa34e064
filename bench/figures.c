/* See figures.h. */
#include "figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

const char *const verdict_names[VERDICTS] = {"continue", "accept", "reject", "tempfail", "discard"};
static const char *const edit_names[EDITS] = {"add_header",    "insert_header",    "change_header", "replace_body",
                                              "add_recipient", "delete_recipient", "change_sender", "quarantine"};

void figures_add(struct figures *f, enum verdict verdict, uint64_t latency_us)
{
    f->verdicts[verdict]++;
    if (!(f->ended & (f->ended + 1))) /* one less than a power of two: double */
        f->latencies = realloc(f->latencies, (f->ended + 1) * 2 * sizeof *f->latencies);
    if (!f->latencies)
        abort();
    f->latencies[f->ended++] = (uint32_t)latency_us;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct figures *f, unsigned long hundredths)
{
    return f->ended ? f->latencies[(f->ended - 1) * hundredths / 100] : 0;
}

void figures_print(const struct figures *f, double seconds, unsigned long sent)
{
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double cpu = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) * 1e6 +
                 (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec);
    if (f->ended)
        qsort(f->latencies, f->ended, sizeof *f->latencies, by_size);
    printf("{\"messages\": %lu, \"seconds\": %.3f, \"messages_per_second\": %.1f,\n", f->ended, seconds,
           seconds > 0 ? (double)f->in_time / seconds : 0);
    printf(" \"latency_us\": {\"p50\": %u, \"p99\": %u, \"max\": %u},\n", percentile(f, 50), percentile(f, 99),
           percentile(f, 100));
    for (int n = 0; n < VERDICTS; n++)
        printf("%s\"%s\": %lu", n ? ", " : " \"verdicts\": {", verdict_names[n], f->verdicts[n]);
    for (int n = 0; n < EDITS; n++)
        printf("%s\"%s\": %lu", n ? ", " : "},\n \"edits\": {", edit_names[n], f->tally.edits[n]);
    printf("},\n \"skips\": %lu, \"progress\": %lu, \"rejected_recipients\": %lu, \"connections\": %lu,\n",
           f->tally.skips, f->tally.progress, f->tally.rejected_recipients, f->opened);
    printf(" \"wrong\": %lu, \"errors\": %lu, \"resets\": %lu, \"refused\": %lu, \"timeouts\": %lu,\n", f->wrong,
           f->errors, f->resets, f->refusals, f->timeouts);
    printf(" \"sent\": %lu, \"own_cpu_us\": %.0f}\n", sent, cpu);
}
