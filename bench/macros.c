/*
 * The macros of a Postfix 3.7 without TLS and AUTH, and which of them each stage gets.
 *
 * The law: this table is the only place that names macros.
 */
#include <stdio.h>
#include <string.h>

#include "session.h"

static const struct {
    const char *name, *value; /* value: NULL is the message's */
    enum step from, to;       /* the steps at which Postfix knows it */
} macros[] = {
    {"j", "mx.test", CONNECT, OVER},
    {"v", "Postfix 3.7.11", CONNECT, OVER},
    {"_", "client.example [192.0.2.1]", CONNECT, OVER},
    {"daemon_name", "mx.test", CONNECT, OVER},
    {"daemon_addr", "192.0.2.25", CONNECT, OVER},
    {"daemon_port", "25", CONNECT, OVER},
    {"client_addr", "192.0.2.1", CONNECT, OVER},
    {"client_port", "40000", CONNECT, OVER},
    {"client_name", "client.example", CONNECT, OVER},
    {"client_ptr", "client.example", CONNECT, OVER},
    {"client_resolve", "OK", CONNECT, OVER},
    {"client_connections", "1", CONNECT, OVER},
    {"mail_addr", NULL, MAIL, DATA},
    {"mail_host", "client.example", MAIL, DATA},
    {"mail_mailer", "smtp", MAIL, DATA},
    {"rcpt_addr", NULL, RCPT, RCPT},
    {"rcpt_host", "mx.test", RCPT, RCPT},
    {"rcpt_mailer", "local", RCPT, RCPT},
    {"i", NULL, DATA, OVER},
};
enum { COUNT = sizeof macros / sizeof *macros };

static const char *const usual[STAGES] = {
    [AT_CONNECT] = "j {daemon_name} {daemon_addr} v _",
    [AT_HELO] = "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
    [AT_MAIL] = "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
    [AT_RCPT] = "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
    [AT_DATA] = "i",
    [AT_EOH] = "i",
    [AT_EOM] = "i",
};

uint32_t macros_default(enum stage stage)
{
    return macros_named(usual[stage], strlen(usual[stage]));
}

uint32_t macros_named(const char *names, size_t length)
{
    static const char apart[] = " ,\t{}";
    uint32_t found = 0;
    for (size_t start = 0, end; start < length; start = end + 1) {
        for (end = start; end < length && !strchr(apart, names[end]); end++)
            ;
        for (unsigned n = 0; n < COUNT; n++)
            if (strlen(macros[n].name) == end - start && !memcmp(macros[n].name, names + start, end - start))
                found |= UINT32_C(1) << n;
    }
    return found;
}

char *macros_write(char *to, uint32_t which, enum step step, const struct session *s)
{
    for (unsigned n = 0; n < COUNT; n++) {
        if (!(which >> n & 1) || step < macros[n].from || step > macros[n].to)
            continue;
        const char *name = macros[n].name;
        to += sprintf(to, name[1] ? "{%s}" : "%s", name) + 1;
        if (macros[n].value)
            to += sprintf(to, "%s", macros[n].value) + 1;
        else if (*name == 'i')
            to += sprintf(to, "4B%08lX", s->number) + 1;
        else
            to += sprintf(to, "%.300s", *name == 'm' ? s->plan->sender : s->plan->recipient) + 1;
    }
    return to;
}
