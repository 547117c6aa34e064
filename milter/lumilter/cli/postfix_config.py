"""`lumilter postfix-config`: the lines of Postfix that bindings, routing domains and injected mail need.

The law: what the lines are is said by postfix_lines; this prints or writes them, and refuses what Postfix can't have.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from lumilter import config
from lumilter.cli.places import DEFAULT_CONFIG
from lumilter.cli.postfix_lines import AGENTS, CLEANUP, main_cf, master_cf, route_table, strip_table, transports
from lumilter.config import Config
from lumilter.daemon.setup import transport_of
from lumilter.errors import ConfigError

TABLES = "/etc/postfix/lumilter"
NOT_AGENTS = frozenset((
    "anvil", "bounce", "cleanup", "defer", "dnsblog", "flush", "pickup", "postlog", "proxymap", "proxywrite", "qmgr",
    "qmqpd", "rewrite", "scache", "showq", "smtpd", "tlsmgr", "tlsproxy", "trace", "verify", CLEANUP,
))  # fmt: skip
"""Services of master.cf that deliver nothing: mail for one of them would stay in the queue."""


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
    tables = options.tables or (str(Path(options.write).absolute()) if options.write else TABLES)
    problems(settings, tables)
    files = {
        "main.cf.add": main_cf(settings, tables),
        "master.cf.add": master_cf(settings, tables),
        "route": route_table(settings),
        "strip": strip_table(),
    }
    for binding in settings.bindings:
        if binding.address and not _is_ours(binding.address):
            print(f"warning: {binding.address} of binding {binding.name} is not on this machine", file=sys.stderr)
    if (settings.bindings or settings.routes) and not settings.routing.enabled:
        print("warning: [routing] enabled is false: bindings and routes have no effect", file=sys.stderr)
    if options.write:
        _write(Path(options.write), files)
        return 0
    places = {"main.cf.add": "/etc/postfix/main.cf", "master.cf.add": "/etc/postfix/master.cf"}
    for name, text in files.items():
        print(f"### {places.get(name, f'{tables}/{name}')}\n{text}")
    print("### then: postfix reload")
    return 0


def problems(settings: Config, tables: str = TABLES) -> None:
    """Raises ConfigError for names, transports and paths that can't be Postfix's."""
    if any(char.isspace() or char in ",{}$" for char in tables):
        raise ConfigError(f"{tables!r} can't stand in main.cf: no spaces, commas, braces, dollar signs", settings.file)
    names: set[str] = {"default"}
    taken = {settings.routing.transport, settings.routing.priority}
    for binding in settings.bindings:
        if binding.name in names:
            raise ConfigError(f'[[binding]] name = "{binding.name}" is there twice, or "default"', settings.file)
        transport = transport_of(binding)
        if transport in taken:
            raise ConfigError(f'the transport "{transport}" of binding "{binding.name}" is taken', settings.file)
        if transport in AGENTS | {"pipe"}:
            raise ConfigError(f'binding "{binding.name}" takes Postfix\'s own service "{transport}"', settings.file)
        names.add(binding.name)
        taken.add(transport)
    for transport in sorted(transports(settings) & NOT_AGENTS):
        raise ConfigError(f'Postfix\'s service "{transport}" is no transport: it delivers nothing', settings.file)
    domains: set[str] = set()
    for route in settings.routes:
        if route.domain in domains:
            raise ConfigError(f'[[route]] domain = "{route.domain}" is there twice', settings.file)
        domains.add(route.domain)


def _write(directory: Path, files: dict[str, str]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
    except OSError as error:
        raise ConfigError(f"cannot write: {error.strerror}", str(error.filename or directory)) from None


def _is_ours(address: str) -> bool:
    """Whether this machine has the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
