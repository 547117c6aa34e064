/*
 * miltload: sends messages to a milter as Postfix does, over some connections at once, and prints what came back and
 * how long it took as one JSON object.
 *
 * The law: one thread, never blocked, and a clock that runs from a message's first byte, connect(2) included, to the
 * reply that ends it. An MTA waits for every reply, and so does each connection: there is no open loop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "options.h"
#include "session.h"

enum { OK, WRONG = 1, FAILED = 2, RETRY_US = 1000 };

struct client {
    struct session session;
    int fd; /* -1: not connected */
    bool connecting, writing;
    uint64_t begun, heard, retry; /* us; retry: when to connect again, 0 is not at all */
};

static struct options options;
static struct figures figures;
static unsigned long numbers; /* of messages begun */
static uint64_t counting_from, counting_to, last_connected, look_at; /* us */
static bool counting;         /* the warm-up is over */
static bool closing, hurried; /* no new message; and none again whose connection was lost */
static int poller;
static unsigned long active; /* messages under way */
static volatile sig_atomic_t interrupted;

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void hang_up(struct client *c)
{
    close(c->fd);
    c->fd = -1;
}

static void connect_at(struct client *c, uint64_t time)
{
    c->retry = time;
    if (time < look_at)
        look_at = time;
}

/* The connection ended before the message did; `counter` says how. The message is sent again, or the run ends. */
static void lost(struct client *c, unsigned long *counter, const char *how)
{
    ++*counter;
    if (options.verbose || !options.go_on)
        fprintf(stderr, "miltload: message %lu: %s\n", c->session.number, how);
    hang_up(c);
    connect_at(c, now_us() + (counter == &figures.refusals ? 10 * RETRY_US : 0));
    if (!options.go_on)
        closing = hurried = true;
}

static void flush(struct client *c);

static void watch(struct client *c, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (c->writing ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void next_message(struct client *c)
{
    session_number(&c->session, ++numbers);
    c->begun = c->heard = now_us();
}

static void open_connection(struct client *c)
{
    bool again = c->fd >= 0; /* the listener's queue was full: the message waits since then */
    if (!again) {
        session_begin(&c->session, &options.plan, &figures.tally);
        next_message(c);
        c->fd = socket(options.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0) {
            perror("miltload: socket");
            exit(FAILED);
        }
        int on = 1;
        if (options.no_delay && options.address.ss_family != AF_UNIX)
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    c->retry = 0;
    int status = connect(c->fd, (struct sockaddr *)&options.address, options.address_size);
    if (status < 0 && errno == EAGAIN) {
        connect_at(c, now_us() + RETRY_US);
        return;
    }
    if (status < 0 && errno != EINPROGRESS) {
        lost(c, &figures.refusals, strerror(errno));
        return;
    }
    c->connecting = c->writing = status < 0;
    watch(c, EPOLL_CTL_ADD);
    if (!c->connecting) {
        figures.opened++;
        last_connected = now_us();
        flush(c);
    }
}

/* Say and write what can be said without another reply. */
static void flush(struct client *c)
{
    struct session *s = &c->session;
    bool full = false;
    for (;;) {
        session_advance(s);
        size_t left = s->out.end - s->out.start;
        if (!left)
            break;
        size_t piece = left < options.write_size ? left : options.write_size;
        ssize_t sent = send(c->fd, s->out.data + s->out.start, piece, MSG_NOSIGNAL);
        if (sent < 0) {
            full = errno == EAGAIN;
            if (!full)
                lost(c, &figures.resets, "connection lost while writing");
            break;
        }
        s->out.start += (size_t)sent;
    }
    if (c->fd >= 0 && full != c->writing) {
        c->writing = full;
        watch(c, EPOLL_CTL_MOD);
    }
}

static bool time_is_up(uint64_t now)
{
    return options.duration && now >= counting_from + options.duration;
}

static void count(const struct client *c, uint64_t now)
{
    const struct session *s = &c->session;
    bool right = !strcmp(options.expected, "any") || !strcmp(options.expected, verdict_names[s->verdict]) ||
                 (s->verdict == ACCEPT && !strcmp(options.expected, "continue"));
    figures_add(&figures, s->verdict, now - c->begun);
    figures.wrong += !right;
    if (!time_is_up(now)) {
        figures.in_time++;
        counting_to = now;
    }
    if (!right && options.verbose)
        fprintf(stderr, "miltload: message %lu: %s at %c, expected %s%s%s\n", s->number,
                verdict_names[s->verdict], s->decided_by, options.expected, *s->text ? ": " : "", s->text);
}

static void message_ended(struct client *c)
{
    struct session *s = &c->session;
    uint64_t now = now_us();
    if (counting) {
        count(c, now);
    } else if (now >= counting_from) {
        counting = true;
        counting_from = counting_to = now;
        figures = (struct figures){0};
    }
    if (counting)
        closing |= options.messages ? figures.ended + active > options.messages : time_is_up(now);
    bool over = s->step == OVER;
    if (over || closing) {
        size_t left = s->out.end - s->out.start; /* ABORT and QUIT, for which there is always room */
        if (send(c->fd, s->out.data + s->out.start, left, MSG_NOSIGNAL) == (ssize_t)left && !over)
            (void)send(c->fd, "\0\0\0\1Q", 5, MSG_NOSIGNAL);
        hang_up(c);
        if (closing)
            active--;
        else
            open_connection(c);
    } else {
        next_message(c);
        flush(c);
    }
}

static void readable(struct client *c)
{
    struct session *s = &c->session;
    enum { PIECE = 65536 };
    ssize_t got = recv(c->fd, buffer_room(&s->in, PIECE), PIECE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lost(c, &figures.resets, got ? strerror(errno) : "the filter closed the connection");
        return;
    }
    s->in.end += (size_t)got;
    c->heard = now_us();
    switch (session_receive(s)) {
    case MORE:
        flush(c);
        break;
    case MESSAGE_ENDED:
        message_ended(c);
        break;
    case BROKEN:
        lost(c, &figures.errors, s->text);
        break;
    }
}

static void ready(struct client *c, uint32_t events)
{
    if (c->connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            lost(c, &figures.refusals, strerror(error));
            return;
        }
        c->connecting = false;
        figures.opened++;
        last_connected = now_us();
        flush(c);
    } else if (events & EPOLLOUT) {
        flush(c);
    }
    if (c->fd >= 0 && !c->connecting && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        readable(c);
}

/* Timers: connections to make again, filters that say nothing. */
static void look(struct client *clients, uint64_t now)
{
    bool waiting = false;
    look_at = now + 100000;
    for (struct client *c = clients; c < clients + options.connections; c++) {
        if (c->retry && hurried) {
            if (c->fd >= 0)
                hang_up(c);
            c->retry = 0;
            active--;
        } else if (c->retry && now >= c->retry) {
            open_connection(c);
        } else if (c->retry) {
            connect_at(c, c->retry);
        } else if (c->fd >= 0 && now > c->heard + options.patience) {
            lost(c, &figures.timeouts, "no reply in time");
        }
        waiting |= c->retry != 0;
    }
    if (waiting && now > last_connected + options.patience) {
        fputs("miltload: nobody takes connections\n", stderr);
        closing = hurried = true;
    }
}

static void run(void)
{
    static struct client *clients;
    clients = calloc(options.connections, sizeof *clients);
    struct epoll_event events[256];
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || poller < 0)
        abort();
    uint64_t now = now_us();
    last_connected = now;
    counting_from = counting_to = now + options.warm_up;
    counting = !options.warm_up;
    for (unsigned n = 0; n < options.connections; n++)
        clients[n] = (struct client){.fd = -1, .retry = 1};
    active = options.connections;
    while (active) {
        int got = epoll_wait(poller, events, 256, look_at > now ? (int)((look_at - now + 999) / 1000) : 0);
        for (int n = 0; n < got; n++)
            ready(events[n].data.ptr, events[n].events);
        now = now_us();
        if (interrupted || (counting && time_is_up(now)))
            closing = hurried = true;
        if (now >= look_at || hurried)
            look(clients, now);
    }
}

int main(int argc, char **argv)
{
    options_read(&options, argc, argv);
    struct sigaction stop = {.sa_handler = on_signal};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    run();
    uint64_t measured = options.duration && !interrupted ? options.duration : counting_to - counting_from;
    figures_print(&figures, (double)measured / 1e6, numbers);
    if (figures.errors || (!options.go_on && figures.resets + figures.refusals + figures.timeouts))
        return FAILED;
    return figures.wrong || !figures.ended ? WRONG : OK;
}
