"""`lumilter postfix-config`: the lines of Postfix that bindings, routing domains and injected mail need.

The law: only transports that the configuration names are obeyed; a header that names another one is removed. Lines are
printed as they are to stand in main.cf and master.cf, so that they can be pasted.

How it works: lumilter adds X-Lumilter-Route: TRANSPORT:NEXTHOP. milter_header_checks looks only at headers that a
milter added, and makes it a FILTER; smtp_header_checks removes it on the way out. Mail that lumilter injects has the
header when it comes, so its listener has a cleanup service whose header_checks do the same.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from lumilter import config
from lumilter.cli.serve import DEFAULT_CONFIG
from lumilter.config import Config
from lumilter.config.schema import Binding
from lumilter.daemon.setup import transport_of
from lumilter.errors import ConfigError
from lumilter.session.routing import HEADER

TABLES = "/etc/postfix/lumilter"
STANDARD = frozenset(
    ("smtp", "smtpd", "lmtp", "relay", "local", "virtual", "error", "retry", "discard", "pipe", "cleanup", "proxymap")
)
"""Services that Postfix has, and that no binding may take the place of."""
_NAME = HEADER.decode()


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("postfix-config", help="print Postfix's lines for bindings, routes and injected mail")
    parser.add_argument("-c", "--config", default=DEFAULT_CONFIG, metavar="FILE", help="%(default)s")
    parser.add_argument("--tables", metavar="DIR", help=f"where the tables are to be: that of --write, else {TABLES}")
    parser.add_argument("--write", metavar="DIR", help="write main.cf.add, master.cf.add and the tables into DIR")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print or write; raises ConfigError for what Postfix can't have."""
    settings = config.load(options.config)
    problems(settings)
    tables = options.tables or (str(Path(options.write).absolute()) if options.write else TABLES)
    files = {
        "main.cf.add": main_cf(settings, tables),
        "master.cf.add": master_cf(settings, tables),
        "route": route_table(settings),
        "strip": strip_table(),
    }
    for binding in settings.bindings:
        if binding.address and not _is_ours(binding.address):
            print(f"warning: {binding.address} of binding {binding.name} is not on this machine", file=sys.stderr)
    if options.write:
        directory = Path(options.write)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (directory / name).write_text(text)
        except OSError as error:
            raise ConfigError(f"cannot write: {error.strerror}", str(error.filename or directory)) from None
        return 0
    places = {"main.cf.add": "/etc/postfix/main.cf", "master.cf.add": "/etc/postfix/master.cf"}
    for name, text in files.items():
        print(f"### {places.get(name, f'{tables}/{name}')}\n{text}")
    print("### then: postfix reload")
    return 0


def problems(settings: Config) -> None:
    """Raises ConfigError for bindings that can't be Postfix's."""
    names: set[str] = {"default"}
    transports = {settings.routing.transport, settings.routing.priority}
    for binding in settings.bindings:
        if binding.name in names:
            raise ConfigError(f'[[binding]] name = "{binding.name}" is there twice, or "default"', settings.file)
        transport = transport_of(binding)
        if transport in transports:
            raise ConfigError(f'the transport "{transport}" of binding "{binding.name}" is taken', settings.file)
        if transport in STANDARD:
            raise ConfigError(f'binding "{binding.name}" takes Postfix\'s own service "{transport}"', settings.file)
        names.add(binding.name)
        transports.add(transport)


def main_cf(settings: Config, tables: str) -> str:
    """Lines for main.cf."""
    lines = []
    if settings.routing.enabled:
        lines.append("# A header that lumilter added names the transport. A client's own is not looked at.")
        lines.append(f"milter_header_checks = regexp:{tables}/route")
    lines.append("# It does not leave this machine.")
    lines += [f"{agent}_header_checks = regexp:{tables}/strip" for agent in ("smtp", "lmtp")]
    return "".join(f"{line}\n" for line in lines)


def master_cf(settings: Config, tables: str) -> str:
    """Services for master.cf."""
    lines: list[str] = []
    for binding in settings.bindings:
        lines += [f"# Binding {binding.name}.", *_client(transport_of(binding), _binding_options(binding))]
    if settings.routing.priority and settings.routing.priority not in STANDARD:
        lines += ["# Messages with msg.priority = 1.", *_client(settings.routing.priority, [])]
    lines += _listener(settings, tables)
    return "".join(f"{line}\n" for line in lines)


def _client(name: str, options: Sequence[str]) -> list[str]:
    return [f"{name} unix - - n - - smtp", *(f"  -o {option}" for option in (f"syslog_name=postfix/{name}", *options))]


def _binding_options(binding: Binding) -> list[str]:
    options = []
    if binding.address:
        six = ipaddress.ip_address(binding.address).version == 6
        options.append(f"smtp_bind_address{'6' if six else ''}={binding.address}")
        options.append(f"inet_protocols={'ipv6' if six else 'ipv4'}")  # the other family has no address of its own
    if binding.helo:
        options.append(f"smtp_helo_name={binding.helo}")
    return options


def _listener(settings: Config, tables: str) -> list[str]:
    """The listener that takes what lumilter sends, and its cleanup."""
    server = settings.inject.server
    if server is None:
        return ["# [inject] server is not set: scripts can't send mail, and recipients can't part ways."]
    if server.protocol != "smtp" or server.address.family == "unix":
        return [f"# {server} is not a listener of Postfix's: see to it that it asks no milter."]
    listen = [
        "syslog_name=postfix/lumilter-inject", "cleanup_service_name=lumilter-cleanup", "smtpd_milters=",
        "mynetworks=127.0.0.0/8,[::1]/128", "smtpd_client_restrictions=permit_mynetworks,reject",
        "smtpd_relay_restrictions=permit_mynetworks,reject", "smtpd_helo_restrictions=", "smtpd_sender_restrictions=",
        "smtpd_recipient_restrictions=", "smtpd_data_restrictions=", "smtpd_end_of_data_restrictions=",
        "smtpd_recipient_limit=100000", "smtpd_client_connection_count_limit=0", "smtpd_tls_security_level=none",
        "smtpd_sasl_auth_enable=no", "smtpd_proxy_filter=", "content_filter=",
    ]  # fmt: skip
    clean = ["header_checks=" + (f"regexp:{tables}/route" if settings.routing.enabled else "")]
    clean += ["mime_header_checks=", "nested_header_checks=", "body_checks=", "always_bcc="]
    where = f"{server.address.bracketed}:{server.address.port}"
    return [
        "# What lumilter sends; for this machine only, and without a milter.",
        f"{where} inet n - n - - smtpd", *(f"  -o {option}" for option in listen),
        "lumilter-cleanup unix n - n - 0 cleanup", *(f"  -o {option}" for option in clean),
    ]  # fmt: skip


def route_table(settings: Config) -> str:
    """The private header as a FILTER."""
    routing = settings.routing
    known = {routing.transport, *(transport_of(binding) for binding in settings.bindings)}
    known |= {name for name in (routing.priority, *(route.transport for route in settings.routes)) if name}
    names = "|".join(re.escape(name).replace("\\-", "-") for name in sorted(known))
    return f"/^{_NAME}: ({names}):([^ ]*)$/ FILTER $1:$2\n/^{_NAME}:/ IGNORE\n"


def strip_table() -> str:
    """The private header as nothing."""
    return f"/^{_NAME}:/ IGNORE\n"


def _is_ours(address: str) -> bool:
    """Whether this machine has the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
