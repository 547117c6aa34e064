/*
 * The command line of miltload.
 *
 * The law: after options_read everything is checked; bad usage has ended the process with status 64.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <sys/socket.h>

#include "session.h"

struct options {
    struct plan plan;
    const char *expected; /* a verdict's name, or "any" */
    bool go_on, verbose, no_delay;
    unsigned connections;
    unsigned long messages;               /* in all, or 0 */
    uint64_t warm_up, duration, patience; /* us; duration: 0 where `messages` is given */
    struct sockaddr_storage address;
    socklen_t address_size;
    size_t write_size; /* bytes in one write */
};

void options_read(struct options *o, int argc, char **argv);

#endif
