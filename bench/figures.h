/*
 * What a run counts, and how it is printed.
 *
 * The law: counting only; what a figure means for the exit status is said in miltload.c.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include "session.h"

struct figures {
    struct tally tally;
    unsigned long verdicts[VERDICTS];
    unsigned long wrong;                              /* messages with another verdict than expected */
    unsigned long errors, resets, refusals, timeouts; /* connections that ended before their message did */
    unsigned long opened;                             /* connections */
    unsigned long ended, in_time;                     /* messages, and those of them within the time of the run */
    uint32_t *latencies;                              /* us, one for each message */
};

extern const char *const verdict_names[VERDICTS];

void figures_add(struct figures *f, enum verdict verdict, uint64_t latency_us);
/* One JSON object to stdout. sent: messages begun, the warm-up's included. */
void figures_print(const struct figures *f, double seconds, unsigned long sent);

#endif
