/* See options.h. */
#include "options.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "figures.h"

#define USAGE \
    "usage: miltload [options] unix:PATH | inet:PORT@HOST\n" \
    "  -c N    connections at the same time (1)\n" \
    "  -k N    messages in each (1)\n" \
    "  -n N    messages in all; or\n" \
    "  -d S    seconds (5, if there is no -n)\n" \
    "  -w S    seconds before that, which are not counted (0)\n" \
    "  -b N    bytes of body (10000)\n" \
    "  -p N    bytes in a piece of it (65535)\n" \
    "  -r N    recipients (1)\n" \
    "  -f, -t, -s TEXT   sender, recipient, subject\n" \
    "  -x WHAT expected of every message: continue (also accept; the default), reject, tempfail, discard, any\n" \
    "  -v      print every other reply to stderr\n" \
    "  -g      go on after a lost or refused connection, and only count it\n" \
    "  -o S    seconds that a reply may take (300)\n" \
    "  -N      TCP_NODELAY on this side, which MTAs do not set\n" \
    "exit status: 0; 1 another reply than expected, or none; 2 a lost, refused or silent connection (not with -g),\n" \
    "or a reply that breaks the protocol; 64 bad usage\n"

enum { BAD_USAGE = 64 };

static void usage(const char *problem)
{
    fprintf(stderr, "miltload: %s\n%s", problem, USAGE);
    exit(BAD_USAGE);
}

static unsigned long number(const char *text, unsigned long least)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || end == text || *text == '-' || errno || value < least || value > 1000000000)
        usage("a number is expected");
    return value;
}

static uint64_t microseconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= 0 && value < 1e6))
        usage("a number of seconds is expected");
    return (uint64_t)(value * 1e6);
}

static const char *envelope(const char *text)
{
    if (strlen(text) > 300)
        usage("an address has at most 300 bytes");
    return text;
}

static void resolve(struct options *o, char *where)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&o->address;
    char *at = strchr(where, '@');
    if (!strncmp(where, "unix:", 5) && strlen(where + 5) < sizeof un->sun_path) {
        un->sun_family = AF_UNIX;
        strcpy(un->sun_path, where + 5);
        o->address_size = sizeof *un;
        o->write_size = 4096; /* Postfix's buffer; on TCP it takes one beyond the segment size */
    } else if ((!strncmp(where, "inet:", 5) || !strncmp(where, "inet6:", 6)) && at) {
        struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
        *at = 0;
        int error = getaddrinfo(at + 1, strchr(where, ':') + 1, &hints, &found);
        if (error)
            usage(gai_strerror(error));
        memcpy(&o->address, found->ai_addr, found->ai_addrlen);
        o->address_size = found->ai_addrlen;
        o->write_size = 1 << 18;
        freeaddrinfo(found);
    } else {
        usage("expected unix:PATH or inet:PORT@HOST");
    }
}

static const unsigned char *body(size_t size)
{
    static const char line[] = "Some eighty columns of text, as they stand in an ordinary letter, and no more.\r\n";
    unsigned char *made = malloc(size + 1);
    if (!made)
        abort();
    for (size_t n = 0; n < size; n++)
        made[n] = (unsigned char)line[n % (sizeof line - 1)];
    return made;
}

void options_read(struct options *o, int argc, char **argv)
{
    *o = (struct options){
        .plan = {.sender = "sender@client.example", .recipient = "user@mx.test", .recipients = 1, .body_size = 10000,
                 .chunk_size = 65535, .messages = 1},
        .expected = "continue", .connections = 1, .patience = 300000000,
    };
    for (int option; (option = getopt(argc, argv, "c:k:n:d:w:b:p:r:f:t:s:x:vgo:N")) != -1;) {
        switch (option) {
        case 'c': o->connections = (unsigned)number(optarg, 1); break;
        case 'k': o->plan.messages = (unsigned)number(optarg, 1); break;
        case 'n': o->messages = number(optarg, 1); break;
        case 'd': o->duration = microseconds(optarg); break;
        case 'w': o->warm_up = microseconds(optarg); break;
        case 'b': o->plan.body_size = number(optarg, 0); break;
        case 'p': o->plan.chunk_size = number(optarg, 1); break;
        case 'r': o->plan.recipients = (unsigned)number(optarg, 1); break;
        case 'f': o->plan.sender = envelope(optarg); break;
        case 't': o->plan.recipient = envelope(optarg); break;
        case 's': o->plan.subject = optarg; break;
        case 'x': o->expected = optarg; break;
        case 'v': o->verbose = true; break;
        case 'g': o->go_on = true; break;
        case 'o': o->patience = microseconds(optarg); break;
        case 'N': o->no_delay = true; break;
        default: usage("unknown option");
        }
    }
    if (optind + 1 != argc)
        usage("one socket is expected");
    bool known = !strcmp(o->expected, "any");
    for (int n = 0; n < VERDICTS; n++)
        known |= !strcmp(o->expected, verdict_names[n]);
    if (!known)
        usage("-x is followed by a verdict");
    if (o->messages && o->duration)
        usage("-n or -d");
    if (!o->messages && !o->duration)
        o->duration = 5000000;
    if (o->messages && o->messages < o->connections)
        o->connections = (unsigned)o->messages;
    if (o->plan.subject && strlen(o->plan.subject) > 900)
        usage("a subject has at most 900 bytes");
    resolve(o, argv[optind]);
    o->plan.body = body(o->plan.body_size);
}
