"""The sessions that the scripts in tests/lua run in.

The law: the scripts know these values; a change here is a change there.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
from pathlib import Path

from lumilter.adapters.dns import FixtureResolver
from lumilter.adapters.http import Settings, WebClient
from lumilter.config import Config
from lumilter.daemon.live import LiveSettings
from lumilter.services import Services
from lumilter.session.events import Close, Connect, Data, EndOfMessage, Event, Helo, Mail, Rcpt
from lumilter.session.routing import Routing
from lumilter.state.places import Rules
from lumilter.state.state import State
from support import rfc8463
from support.http_server import HttpServer, http_server
from support.lua_datasources import datasources
from support.mailbox import Mailbox
from support.policy import Policy, command
from support.scanners import programs

LUA = Path(__file__).parents[1] / "lua"

NAMES = {
    "example.com": {
        "A": ["192.0.2.80", "192.0.2.81"],
        "AAAA": ["2001:db8::80"],
        "MX": [[20, "backup.example.com"], [10, "mx.example.com"]],
        "NS": ["ns1.example.com"],
        "TXT": ["v=spf1 -all", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"],
    },
    "192.0.2.1": {"PTR": ["client.example"]},
    "gone.example": "NXDOMAIN",
    "empty.example": {"A": "NODATA"},
    **rfc8463.KEYS,
}

HEADERS = (
    (b"Received", b" from a.example by b.example; Mon, 1 Jun 2026 10:00:00 +0000"),
    (b"Received", b" from b.example\n\tby c.example; Mon, 1 Jun 2026 09:00:00 +0000"),
    (b"From", b" Ann <ann@example.org>"),
    (b"To", b' bob@example.com, "Carol, C." <Carol+list@Example.NET>'),
    (b"Cc", b" dave@example.com"),
    (b"Subject", b" =?utf-8?Q?caf=C3=A9?= menu"),
    (b"X-Raw", b" caf\xe9"),
    (b"X-Multi", b" one"),
    (b"x-multi", b" two"),
)
BODY = b"Hello.\r\nSecond line: caf\xe9\r\n"

DAEMON = {"daemon_addr": "192.0.2.25", "daemon_port": "25", "j": "mx.example.com"}
DAEMON_V6 = DAEMON | {"daemon_addr": "2001:db8::25"}
TLS = {"tls_version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "cipher_bits": "256"}

ORDINARY: tuple[Event, ...] = (
    Connect("client.example", "inet", "192.0.2.1", 40000, DAEMON),
    Helo("Client.Example", TLS),
    Mail("<ann@example.org>", ("SIZE=1000",), {"auth_authen": "ann", "auth_type": "PLAIN"}),
    Rcpt("<bob@example.com>"),
    Rcpt("<Carol+list@Example.NET>", ("NOTIFY=NEVER",)),
    Data({"i": "QUEUE1"}),
    EndOfMessage(HEADERS, BODY, {"i": "QUEUE1"}),
    Close(),
)
"""IPv4, TLS, authenticated, two recipients."""

BOUNCE: tuple[Event, ...] = (
    Connect("[2001:db8::1]", "inet6", "2001:db8::1", 40001, DAEMON_V6),
    Helo("[IPv6:2001:db8::1]"),
    Mail("<>"),
    Rcpt("<bob@example.com>"),
    Data({"i": "QUEUE2"}),
    EndOfMessage((), b"", {"i": "QUEUE2"}),
    Close(),
)
"""IPv6, the null sender, one recipient, a message without headers or body."""


ROUTING = Routing(
    enabled=True,
    bindings={"mta1": "binding-mta1", "mta2": "binding-mta2", "mydomain": "binding-mydomain"},
    groups={"marketing": ("mta2",)},
    routes={"sms.example.com": ("", "[192.0.2.30]:2525")},
)


@functools.cache
def web_server() -> HttpServer:
    """The server that answers for every host that scripts ask by http:; until the process ends."""
    running = contextlib.ExitStack()
    atexit.register(running.close)
    return running.enter_context(http_server())


def run(script: Path) -> Policy:
    """Run both sessions to their ends, whatever is answered; printed, errors and runs of the result tell.

    Console commands are run before, each twice: NAME /tmp -a --two=2 rest.
    """
    settings = LiveSettings(Config())
    settings.on_set = lambda words: None
    web = WebClient(Settings(proxy=web_server().url))
    with datasources() as databases:
        services = Services(
            FixtureResolver(NAMES),
            hostname="mx.example.com",
            mail=Mailbox(),
            routing=ROUTING,
            web=web,
            datasources=databases,
            scanners=programs(),
            settings=settings,
            state=State(rules=Rules(monitors={"60,1": (60, 1), "3600,6": (3600, 6)})),
        )
        with Policy([script], path=(f"{LUA}/?.lua",), services=services) as running:
            for name in 2 * running.engine.host.controls.names():
                command(running, [*name.split(), "/tmp", "-a", "--two=2", "rest"])
            for events in (ORDINARY, BOUNCE):
                conversation = running.engine.open()
                for event in events:
                    conversation.handle(event)
    return running
