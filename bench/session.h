/*
 * One connection of an MTA to a milter, as Postfix 3.7 leads it: what is sent, and what the replies mean.
 *
 * The law: no socket and no clock. Bytes to send collect in `out`, bytes received go into `in`; whoever owns the
 * session moves them.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    unsigned char *data;
    size_t start, end, size;
};

enum verdict { CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD, VERDICTS };
enum edit {
    ADD_HEADER, INSERT_HEADER, CHANGE_HEADER, REPLACE_BODY, ADD_RECIPIENT, DELETE_RECIPIENT, CHANGE_SENDER, QUARANTINE,
    EDITS
};
enum step { NEGOTIATE, CONNECT, HELO, MAIL, RCPT, DATA, HEADER, EOH, BODY, EOM, OVER };
enum stage { AT_CONNECT, AT_HELO, AT_MAIL, AT_RCPT, AT_DATA, AT_EOM, AT_EOH, STAGES }; /* SMFIM_ numbers */

/* What every message of a run has in common. */
struct plan {
    const char *sender, *recipient, *subject; /* subject: NULL is one that holds the message's number */
    unsigned recipients;                      /* RCPT commands in a message */
    const unsigned char *body;
    size_t body_size, chunk_size;
    unsigned messages; /* in one session */
};

/* What the filter did, over all sessions that share it. */
struct tally {
    unsigned long edits[EDITS], skips, progress, rejected_recipients;
};

struct session {
    const struct plan *plan;
    struct tally *tally;
    struct buffer out, in;
    uint32_t actions, steps;  /* what was granted */
    uint32_t symbols[STAGES]; /* bit n: macro number n of macros.c is sent at that stage */
    enum step step;
    char awaited;         /* the command whose reply is awaited, or 0 */
    unsigned index;       /* within the recipients or the headers */
    unsigned willing;     /* recipients that were not rejected */
    size_t body_sent;
    unsigned messages;    /* ended in this session */
    unsigned long number; /* of the message, unique in a run */
    enum verdict verdict; /* of the message that ended last */
    char decided_by;      /* the command that was answered with it */
    char text[512];       /* of the reply, or what is wrong with it */
};

enum received { MORE, MESSAGE_ENDED, BROKEN };

/* A new connection; the buffers' memory is used again. */
void session_begin(struct session *s, const struct plan *plan, struct tally *tally);
/* The next message of the session will have this number. */
void session_number(struct session *s, unsigned long number);
/* Put into `out` what can be said without a reply, up to a limit and up to where Postfix flushes. */
void session_advance(struct session *s);
/* Read the replies in `in`. After MESSAGE_ENDED: `verdict`; `step` is OVER if the session is, QUIT is in `out`. */
enum received session_receive(struct session *s);

/* Room for `length` more bytes at the end. */
unsigned char *buffer_room(struct buffer *b, size_t length);
void buffer_add(struct buffer *b, const void *data, size_t length);

uint32_t macros_default(enum stage stage);
uint32_t macros_named(const char *names, size_t length);
/* The macros' names and values; returns the end of what was written to `to`, which has room for 2 kB. */
char *macros_write(char *to, uint32_t which, enum step step, const struct session *s);

#endif
