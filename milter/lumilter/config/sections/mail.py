"""[inject], [routing], [[binding]], [[route]]: mail that lumilter sends, and where messages leave.

The law: what a key means is said here and nowhere else (see schema).
"""

# ruff: noqa: RUF009 -- key() returns dataclasses.field()

from __future__ import annotations

from dataclasses import dataclass

from lumilter.config.address import MailServer
from lumilter.config.declare import key
from lumilter.config.kinds import BOOLEAN, DOMAIN, IP, MAIL_SERVER, NEXTHOP, TEXT, TRANSPORT, integer, optional, seconds


@dataclass(frozen=True, slots=True)
class Inject:
    """Mail that lumilter sends itself: what scripts inject and forward, and messages for recipients that part ways."""

    server: MailServer | None = key(
        optional(MAIL_SERVER),
        'Who takes it: a listener of the MTA that asks no milter, such as "smtp:inet:10026@127.0.0.1" or '
        '"lmtp:unix:/path" (`lumilter postfix-config` prints one). Empty: scripts that need it get an error.',
        "",
        example="smtp:inet:10026@127.0.0.1",
    )
    timeout: float = key(seconds(0.1), "Seconds that the server may take for one answer.", 60)
    deadline: float = key(
        seconds(1),
        "Seconds that all messages for parted recipients may take, while the MTA waits for the answer to the original "
        "(Postfix: milter_content_timeout, 300 s).",
        240,
    )
    outbox: str = key(
        TEXT,
        "Directory in which mail of scripts waits until the server has taken it; what is in it survives a crash.",
        "/var/lib/lumilter/outbox",
        path=True,
    )
    retry: float = key(seconds(1), "Seconds until the server is tried again; doubled each time, up to an hour.", 30)
    give_up: float = key(
        seconds(1), "Seconds after which mail that nobody takes is set aside in `failed`, and logged.", 432000
    )
    hops: int = key(
        integer(1), "How many times lumilter may have sent a message, or what it came from, before that is a loop.", 8
    )


@dataclass(frozen=True, slots=True)
class Routing:
    """Where messages leave: what bindings and routing domains become in Postfix (`lumilter postfix-config`)."""

    enabled: bool = key(
        BOOLEAN,
        "The MTA has the lines that `lumilter postfix-config` prints. Without them, scripts that route get an error.",
        False,
    )
    transport: str = key(TRANSPORT, "The Postfix transport of messages with a routing domain and no binding.", "smtp")
    priority: str | None = key(
        optional(TRANSPORT),
        "The Postfix transport of messages with msg.priority = 1 and no binding. Empty: Postfix knows no priorities, "
        "and the log says once that a script asked for one.",
        "",
        example="smtp-priority",
    )


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding, by which messages leave from an address of its own; `default` exists without being declared."""

    name: str = key(TRANSPORT, "What scripts call it.", example="mta1")
    address: str | None = key(optional(IP), "The source address of its connections.", "", example="192.0.2.10")
    helo: str | None = key(optional(DOMAIN), "The name that it says in EHLO.", "", example="mta1.example.com")
    group: str = key(TEXT, "The binding group that it belongs to.", "", example="marketing")
    transport: str | None = key(
        optional(TRANSPORT),
        'Its Postfix transport; empty is the name with "binding-" before it, in lower case.',
        "",
        example="binding-mta1",
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A domain that is not found by its MX records, as `gateway` sets it in Momentum's domain stanza."""

    domain: str = key(
        DOMAIN,
        "A routing domain, or the domain of recipients whose messages have a binding or a priority.",
        example="sms.example.com",
    )
    nexthop: str = key(NEXTHOP, "The next hop, as Postfix writes it.", example="[192.0.2.30]:2525")
    transport: str | None = key(
        optional(TRANSPORT), "A Postfix transport other than the binding's.", "", example="lmtp"
    )
