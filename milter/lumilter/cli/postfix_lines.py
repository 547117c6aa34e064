"""What `lumilter postfix-config` says to Postfix: lines for main.cf and master.cf, and two tables.

The law: text from a configuration, nothing else. Lines are as they are to stand in the files, so that they can be
pasted. Only transports that the configuration names are obeyed; a header that names another one is logged and removed.

How it works: lumilter adds X-Lumilter-Route: TRANSPORT:NEXTHOP. milter_header_checks looks only at headers that a
milter added, and makes it a FILTER; smtp_header_checks removes it on the way out. Mail that lumilter injects has the
header when it comes, so its listener has a cleanup service whose header_checks do the same.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from lumilter.config import Config
from lumilter.config.sections.mail import Binding
from lumilter.daemon.setup import transport_of
from lumilter.session.routing import HEADER

CLEANUP = "lumilter-cleanup"
AGENTS = frozenset(("smtp", "lmtp", "relay", "local", "virtual", "error", "retry", "discard"))
"""Services of Postfix's own master.cf that deliver."""

_NAME = HEADER.decode()
_LOOPBACK = "127.0.0.0/8,[::1]/128"
_LISTENER = (
    (
        "For this machine only.",
        f"mynetworks={_LOOPBACK}", "smtpd_client_restrictions=permit_mynetworks,reject",
        "smtpd_relay_restrictions=permit_mynetworks,reject",
    ),
    (
        "No milter, or the message would come back; smtpd_milter_maps counts more than smtpd_milters, no_milters most."
        "\n# Addresses are mapped: lumilter knows recipients as the client said them, before virtual_alias_maps.",
        "smtpd_milters=", "receive_override_options=no_milters,no_unknown_recipient_checks",
    ),
    (
        "No filter, whose way back could lead to a milter.",
        "content_filter=", "smtpd_proxy_filter=", "smtpd_upstream_proxy_protocol=",
    ),
    (
        "The checks for clients were made when the message came.",
        "smtpd_helo_restrictions=", "smtpd_sender_restrictions=", "smtpd_recipient_restrictions=",
        "smtpd_data_restrictions=", "smtpd_end_of_data_restrictions=",
        "smtpd_tls_security_level=none", "smtpd_sasl_auth_enable=no",
    ),
    (
        "Nor its limits: a script may have made the message larger.",
        "message_size_limit=0", "smtpd_recipient_limit=100000", f"smtpd_client_event_limit_exceptions={_LOOPBACK}",
        "smtpd_error_sleep_time=0", "smtpd_hard_error_limit=100000",
    ),
    (
        "8BITMIME and SMTPUTF8 whatever clients are offered; headers stay as they are.",
        "smtpd_discard_ehlo_keywords=", "smtpd_discard_ehlo_keyword_address_maps=", "local_header_rewrite_clients=",
    ),
)  # fmt: skip
"""Why, and the settings for it."""


def main_cf(settings: Config, tables: str) -> str:
    """Lines for main.cf. tables: the directory of the tables."""
    lines = []
    if settings.routing.enabled:
        lines.append("# A header that lumilter added names the transport. A client's own is not looked at.")
        lines.append(f"milter_header_checks = regexp:{tables}/route")
        lines.append("# Without a next hop a FILTER goes to the recipient's own domain (Postfix's default).")
        lines.append("default_filter_nexthop =")
    lines.append("# It does not leave this machine.")
    lines += [f"{agent}_header_checks = regexp:{tables}/strip" for agent in ("smtp", "lmtp")]
    return _text(lines)


def master_cf(settings: Config, tables: str) -> str:
    """Services for master.cf."""
    lines: list[str] = []
    for binding in settings.bindings:
        lines += [f"# Binding {binding.name}.", *_client(transport_of(binding), _source(binding))]
    priority = settings.routing.priority
    if priority and priority not in AGENTS:
        lines += ["# Messages with msg.priority = 1.", *_client(priority, ())]
    ours = {priority, *(transport_of(binding) for binding in settings.bindings)}
    for name in sorted(transports(settings) - ours - AGENTS):
        lines.append(f"# The transport {name} is one of yours: it has to be in this file.")
    return _text([*lines, *_listener(settings, tables)])


def route_table(settings: Config) -> str:
    """The private header as a FILTER."""
    names = "|".join(sorted(transports(settings)))
    lines = [f"/^{_NAME}: ({names}):([^ ]*)$/ FILTER $1:$2", f"/^{_NAME}:/ STRIP not a transport of lumilter's"]
    return _text(lines)


def strip_table() -> str:
    """The private header as nothing."""
    return f"/^{_NAME}:/ IGNORE\n"


def transports(settings: Config) -> set[str]:
    """All that the configuration names; of letters, digits, - and _, which are themselves in a pattern."""
    own = {settings.routing.transport, *(transport_of(binding) for binding in settings.bindings)}
    others = (settings.routing.priority, *(route.transport for route in settings.routes))
    return own | {name for name in others if name}


def _client(name: str, options: Iterable[str]) -> list[str]:
    return [f"{name} unix - - n - - smtp", *_options((f"syslog_name=postfix/{name}", *options))]


def _source(binding: Binding) -> Iterator[str]:
    """The options of a client that has an address and a name of its own."""
    if binding.address:
        six = ipaddress.ip_address(binding.address).version == 6
        yield f"smtp_bind_address{'6' if six else ''}={binding.address}"
        yield "smtp_bind_address_enforce=yes"  # else, without the address, it leaves from another one (Postfix 3.7)
        yield f"inet_protocols={'ipv6' if six else 'ipv4'}"  # the other family has no address of its own
    if binding.helo:
        yield f"smtp_helo_name={binding.helo}"


def _listener(settings: Config, tables: str) -> Iterator[str]:
    """The listener that takes what lumilter sends, and its cleanup."""
    server = settings.inject.server
    if server is None:
        yield "# [inject] server is not set: scripts can't send mail, and recipients can't part ways."
        return
    address = server.address
    if server.protocol != "smtp" or not _is_loopback(address.host):
        yield f"# {server} is not a listener of this Postfix: see to it that it asks no milter."
        return
    yield "# What lumilter sends."
    yield f"{address.bracketed}:{address.port} inet n - n - - smtpd"
    yield from _options(("syslog_name=postfix/lumilter-inject", f"cleanup_service_name={CLEANUP}"))
    for why, *options in _LISTENER:
        yield f"# {why}"
        yield from _options(options)
    yield "# It obeys the private header in the message itself, and no other checks."
    yield f"{CLEANUP} unix n - n - 0 cleanup"
    route = f"regexp:{tables}/route" if settings.routing.enabled else ""
    yield from _options((f"header_checks={route}", "mime_header_checks=", "nested_header_checks=", "body_checks="))
    yield "# Copies were added to the message that came, for all of its recipients."
    yield from _options(("always_bcc=", "sender_bcc_maps=", "recipient_bcc_maps=", "message_size_limit=0"))


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches it; "" is that of a Unix socket, on which smtpd does not listen."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _options(options: Iterable[str]) -> Iterator[str]:
    return (f"  -o {option}" for option in options)


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
