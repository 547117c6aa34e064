/*
 * The conversation, by Postfix's habits: macros before every event, also before one that the filter negotiated away;
 * no pause where no reply is due; ABORT after every message, and QUIT, unasked, at the end.
 *
 * The law: a reply that Postfix would complain of is BROKEN and `text` says why.
 */
#include "session.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_ACTIONS = 0x1FF, ALL_STEPS = 0x1FFFFF, SKIP = 0x400, LEADING_SPACE = 0x100000 };
enum { VERSION = 6, ENOUGH = 1 << 18, LONGEST = 1 << 20 };

/* In the order of enum step; off, silent: the SMFIP_ bits "don't send it" and "I don't answer it". */
static const struct {
    char command;
    uint32_t off, silent;
    enum stage stage;
} events[] = {
    [CONNECT] = {'C', 0x1, 0x1000, AT_CONNECT}, [HELO] = {'H', 0x2, 0x2000, AT_HELO},
    [MAIL] = {'M', 0x4, 0x4000, AT_MAIL},       [RCPT] = {'R', 0x8, 0x8000, AT_RCPT},
    [DATA] = {'T', 0x200, 0x10000, AT_DATA},    [HEADER] = {'L', 0x20, 0x80, AT_EOH},
    [EOH] = {'N', 0x40, 0x40000, AT_EOH},       [BODY] = {'B', 0x10, 0x80000, AT_EOM},
    [EOM] = {'E', 0, 0, AT_EOM},
};

/* In the order of enum edit: the reply, and the SMFIF_ bits of which it needs one. */
static const struct {
    char reply;
    uint32_t action;
} edits[EDITS] = {{'h', 0x1}, {'i', 0x1}, {'m', 0x10}, {'b', 0x2}, {'+', 0x4}, {'-', 0x8}, {'e', 0x40}, {'q', 0x20}};

/* NULL: the message's own. Continuation lines as Postfix sends them. */
static const struct {
    const char *name, *value;
} headers[] = {
    {"Received", "from out.client.example (out.client.example [198.51.100.7])\n\tby client.example (Postfix) with "
                 "ESMTPS id 4B0FF1CE\n\tfor <user@mx.test>; Tue,  6 May 2025 10:00:01 +0000 (UTC)"},
    {"Received", "from desk.client.example (unknown [10.1.2.3])\n\tby out.client.example (Postfix) with ESMTPSA id "
                 "4B0FF1CD\n\tfor <user@mx.test>; Tue,  6 May 2025 10:00:00 +0000 (UTC)"},
    {"Date", "Tue, 6 May 2025 10:00:00 +0000"},
    {"From", NULL},
    {"To", NULL},
    {"Subject", NULL},
    {"Message-ID", NULL},
    {"MIME-Version", "1.0"},
    {"Content-Type", "text/plain; charset=UTF-8; format=flowed"},
    {"Content-Transfer-Encoding", "7bit"},
    {"Content-Language", "en-GB"},
    {"User-Agent", "Mozilla Thunderbird"},
    {"X-Filler", "what an ordinary message carries besides"},
};
enum { HEADERS = sizeof headers / sizeof *headers };

unsigned char *buffer_room(struct buffer *b, size_t length)
{
    if (b->start == b->end)
        b->start = b->end = 0;
    if (b->end + length > b->size && b->start) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->end + length > b->size) {
        b->size = (b->end + length) * 2;
        b->data = realloc(b->data, b->size);
        if (!b->data)
            abort();
    }
    return b->data + b->end;
}

void buffer_add(struct buffer *b, const void *data, size_t length)
{
    memcpy(buffer_room(b, length), data, length);
    b->end += length;
}

static void packet(struct session *s, char command, const void *data, size_t length)
{
    unsigned char *to = buffer_room(&s->out, length + 5);
    uint32_t size = htonl((uint32_t)length + 1);
    memcpy(to, &size, 4);
    to[4] = (unsigned char)command;
    if (length)
        memcpy(to + 5, data, length);
    s->out.end += length + 5;
}

/* Macros and the event; the reply is awaited unless it was negotiated away. */
static void event(struct session *s, const void *data, size_t length)
{
    enum step step = s->step;
    bool content = step >= HEADER, off = s->steps & events[step].off;
    if (off && content)
        return;
    char macros[2048] = {events[step].command};
    char *end = macros_write(macros + 1, s->symbols[events[step].stage], step, s);
    packet(s, 'D', macros, (size_t)(end - macros));
    if (off)
        return;
    packet(s, events[step].command, data, length);
    if (!(s->steps & events[step].silent))
        s->awaited = events[step].command;
}

static void header(struct session *s)
{
    char line[2048];
    const char *name = headers[s->index].name, *value = headers[s->index].value;
    const char *space = s->steps & LEADING_SPACE ? " " : "";
    int length = sprintf(line, "%s%c%s", name, 0, space);
    if (value)
        length += sprintf(line + length, "%s", value);
    else if (*name == 'F' || *name == 'T')
        length += sprintf(line + length, "%.300s", *name == 'F' ? s->plan->sender : s->plan->recipient);
    else if (*name == 'M')
        length += sprintf(line + length, "<%lu.4b0ff1ce@client.example>", s->number);
    else if (s->plan->subject)
        length += sprintf(line + length, "%.900s", s->plan->subject);
    else
        length += sprintf(line + length, "Minutes of meeting %lu", s->number);
    event(s, line, (size_t)length + 1);
}

void session_begin(struct session *s, const struct plan *plan, struct tally *tally)
{
    struct buffer out = s->out, in = s->in;
    out.start = out.end = in.start = in.end = 0;
    *s = (struct session){.plan = plan, .tally = tally, .out = out, .in = in};
    for (enum stage stage = 0; stage < STAGES; stage++)
        s->symbols[stage] = macros_default(stage);
}

void session_number(struct session *s, unsigned long number)
{
    s->number = number;
}

static void next_step(struct session *s)
{
    s->step++;
    s->index = 0;
}

void session_advance(struct session *s)
{
    static const char connect[] = "client.example\0" "4\x9c\x40" "192.0.2.1", helo[] = "client.example";
    const struct plan *plan = s->plan;
    char argument[512];
    while (!s->awaited && s->out.end - s->out.start < ENOUGH) {
        switch (s->step) {
        case NEGOTIATE: {
            uint32_t offer[3] = {htonl(VERSION), htonl(ALL_ACTIONS), htonl(ALL_STEPS)};
            packet(s, 'O', offer, sizeof offer);
            s->awaited = 'O';
            break;
        }
        case CONNECT:
            event(s, connect, sizeof connect);
            next_step(s);
            break;
        case HELO:
            event(s, helo, sizeof helo);
            next_step(s);
            break;
        case MAIL:
            event(s, argument, (size_t)sprintf(argument, "<%.300s>%cBODY=8BITMIME", plan->sender, 0) + 1);
            s->willing = plan->recipients;
            s->body_sent = 0;
            next_step(s);
            break;
        case RCPT:
            event(s, argument, (size_t)sprintf(argument, "<%.300s>", plan->recipient) + 1);
            if (++s->index == plan->recipients)
                next_step(s);
            break;
        case DATA:
            event(s, NULL, 0);
            next_step(s);
            return; /* smtpd gives the connection to cleanup and flushes before */
        case HEADER:
            header(s);
            if (++s->index >= HEADERS)
                next_step(s);
            break;
        case EOH:
            event(s, NULL, 0);
            next_step(s);
            break;
        case BODY: {
            size_t left = plan->body_size - s->body_sent, length = left < plan->chunk_size ? left : plan->chunk_size;
            if (length)
                event(s, plan->body + s->body_sent, length);
            s->body_sent += length;
            if (s->body_sent == plan->body_size)
                next_step(s);
            break;
        }
        case EOM:
            event(s, NULL, 0);
            break;
        case OVER:
            return;
        }
    }
}

static enum received broken(struct session *s, const char *what, char reply)
{
    snprintf(s->text, sizeof s->text, "%s: reply %c (0x%02x) to %c", what, reply >= ' ' && reply < 127 ? reply : '?',
             (unsigned char)reply, s->awaited ? s->awaited : '-');
    return BROKEN;
}

/* SMFIC_OPTNEG as the answer. */
static enum received negotiated(struct session *s, char reply, const unsigned char *data, size_t length)
{
    uint32_t terms[3], stage;
    if (reply != 'O' || length < sizeof terms)
        return broken(s, "not the negotiation's", reply);
    memcpy(terms, data, sizeof terms);
    uint32_t version = ntohl(terms[0]);
    s->actions = ntohl(terms[1]);
    s->steps = ntohl(terms[2]);
    if (version < 2 || version > VERSION || s->actions & ~(uint32_t)ALL_ACTIONS || s->steps & ~(uint32_t)ALL_STEPS)
        return broken(s, "more than was offered", reply);
    const unsigned char *end = data + length, *names = data + sizeof terms, *stop;
    for (; names < end; names = stop + 1) {
        if ((size_t)(end - names) < sizeof stage || !(stop = memchr(names + 4, 0, (size_t)(end - names) - 4)))
            return broken(s, "a list of macros that does not end", reply);
        memcpy(&stage, names, sizeof stage);
        if ((stage = ntohl(stage)) >= STAGES)
            return broken(s, "a list of macros for an unknown stage", reply);
        s->symbols[stage] = macros_named((const char *)names + 4, (size_t)(stop - names) - 4);
    }
    s->awaited = 0;
    s->step = CONNECT;
    return MORE;
}

static enum received ended(struct session *s, enum verdict verdict, bool over)
{
    s->verdict = verdict;
    s->decided_by = s->awaited;
    s->awaited = 0;
    if (s->in.start != s->in.end)
        return broken(s, "bytes behind the reply that ended the message", (char)s->in.data[s->in.start]);
    if (s->step > MAIL)
        packet(s, 'A', NULL, 0);
    s->step = MAIL;
    s->index = 0;
    if (++s->messages == s->plan->messages || over) {
        packet(s, 'Q', NULL, 0);
        s->step = OVER;
    }
    return MESSAGE_ENDED;
}

static enum received refused(struct session *s, enum verdict verdict, bool over)
{
    if (s->awaited == 'R' && !over) {
        s->tally->rejected_recipients++;
        if (--s->willing || s->step == RCPT) { /* another one is welcome, or still to be asked about */
            s->awaited = 0;
            return MORE;
        }
    }
    return ended(s, verdict, over || s->awaited == 'C' || s->awaited == 'H');
}

static enum received answered(struct session *s, char reply, const unsigned char *data, size_t length)
{
    bool early = s->awaited == 'C' || s->awaited == 'H';
    s->text[0] = 0;
    for (enum edit edit = 0; edit < EDITS; edit++) {
        bool same = reply == edits[edit].reply || (edit == ADD_RECIPIENT && reply == '2');
        if (!same)
            continue;
        if (s->awaited != 'E')
            return broken(s, "an edit before the end of the message", reply);
        if (!(s->actions & (reply == '2' ? 0x80 : edits[edit].action)))
            return broken(s, "an edit that was not negotiated", reply);
        s->tally->edits[edit]++;
        return MORE;
    }
    if (length && reply != 'y')
        return broken(s, "data where none belongs", reply);
    switch (reply) {
    case 'p':
        s->tally->progress++;
        return MORE;
    case 'c':
        if (s->awaited == 'E')
            return ended(s, CONTINUE, false);
        s->awaited = 0;
        return MORE;
    case 's':
        if (!(s->steps & SKIP) || (s->awaited != 'B' && s->awaited != 'L'))
            return broken(s, "a skip out of place", reply);
        s->tally->skips++;
        s->step = s->awaited == 'B' ? EOM : EOH;
        s->awaited = 0;
        return MORE;
    case 'a':
        return ended(s, ACCEPT, early);
    case 'd':
        return early ? broken(s, "a discard of a connection", reply) : ended(s, DISCARD, false);
    case 'r':
        return refused(s, REJECT, false);
    case 't':
        return refused(s, TEMPFAIL, false);
    case '4':
        return refused(s, TEMPFAIL, true);
    case 'y':
        if (length < 5 || data[length - 1] || (data[0] != '4' && data[0] != '5') || (data[3] != ' ' && data[3] != '-'))
            return broken(s, "no SMTP reply in it", reply);
        snprintf(s->text, sizeof s->text, "%s", (const char *)data);
        return refused(s, data[0] == '4' ? TEMPFAIL : REJECT, !memcmp(data, "421", 3));
    default:
        return broken(s, "unknown", reply);
    }
}

enum received session_receive(struct session *s)
{
    for (;;) {
        uint32_t length;
        unsigned char *data = s->in.data + s->in.start;
        size_t have = s->in.end - s->in.start;
        if (have < 4)
            return MORE;
        memcpy(&length, data, 4);
        length = ntohl(length);
        if (!length || length > LONGEST)
            return broken(s, "an impossible length", (char)length);
        if (have - 4 < length)
            return MORE;
        if (!s->awaited)
            return broken(s, "nothing was asked", (char)data[4]);
        s->in.start += length + 4;
        enum received result = s->awaited == 'O' ? negotiated(s, (char)data[4], data + 5, length - 1)
                                                 : answered(s, (char)data[4], data + 5, length - 1);
        if (result != MORE)
            return result;
    }
}
