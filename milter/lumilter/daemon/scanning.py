"""From the scanners' tables to the scanners.

The law: as in `setup`, whose part this is: every key that matters is read here, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lumilter.adapters.peer import Secured
from lumilter.adapters.scanners.kinds import KINDS, Special
from lumilter.adapters.scanners.offline import Offline
from lumilter.adapters.scanners.scanner import Scanner, Terms
from lumilter.adapters.scanners.service import ActiveFilter, Antivirus, Scanners
from lumilter.config import Config
from lumilter.config.sections.scanners import ANTIVIRUS, USUAL
from lumilter.config.sections.scanners import Scanner as Table
from lumilter.errors import ConfigError
from lumilter.host.host import Script
from lumilter.resources import lua_dir


def scanners_of(config: Config, offline: bool = False) -> Scanners:
    """The scanners of a configuration; nothing is connected yet. offline: nor will be."""
    settings, engines = config.antivirus, config.engines
    return Scanners(
        by_name={table.name: _scanner(table, offline, config.file) for table in config.scanners},
        antivirus=Antivirus(
            engines=settings.engines or tuple(table.name for table in config.scanners if table.kind in ANTIVIRUS),
            action=settings.action,
            context_variable=settings.context_variable,
            skip_context_variable=settings.skip_context_variable,
            error_code=settings.error_code,
        ),
        serves={
            "brightmail": engines.brightmail,
            "symantec_beik": engines.symantec_beik,
            "cloudmark": engines.cloudmark,
            "commtouch": engines.commtouch,
            "expurgate": engines.expurgate,
            "spamc": engines.spamc,
        },
        minimum_score=engines.minimum_score,
        active_filter=ActiveFilter(wanted=engines.active_filter == "error"),
    )


def own_scripts(config: Config) -> list[Script]:
    """The policy that scans every message, where the configuration wants it; it comes before the site's own."""
    if not config.antivirus.enabled:
        return []
    return [Script("[antivirus]", str(lua_dir() / "lumilter" / "antivirus.lua"))]


def unusable(config: Config) -> Iterator[str]:
    """What is wrong with files of certificates, with which the daemon would not start."""
    for table in config.scanners:
        if table.tls:
            try:
                _context(table, config.file)
            except ConfigError as error:
                yield error.message


def _context(table: Table, file: str) -> Any:
    """How the certificates of a scanner's servers are checked. Raises ConfigError."""
    from lumilter.adapters.tls import context_of

    try:
        return context_of(table.ca_file, table.certificate, table.private_key)
    except OSError as error:
        raise ConfigError(f"[[scanner]] {table.name}: {error}", file) from None


def _scanner(table: Table, offline: bool, file: str) -> Scanner:
    special = Special(
        service=table.service,
        method=table.method,
        user=table.user,
        password=table.password,
        command=table.command,
        infected=table.infected,
        threat=table.threat,
        memory=table.memory,
    )
    terms = Terms(
        timeout=table.timeout,
        retries=table.retries,
        concurrency=table.concurrency,
        size_limit=table.size_limit,
        cache=table.cache,
        cache_time=table.cache_time,
        failures=table.failures,
        pause=table.pause,
    )
    servers: Sequence[Any] = table.servers or ((USUAL[table.kind],) if table.kind in USUAL else ("",))
    if table.tls and not offline:  # then the files may be out of reach
        context = _context(table, file)
        servers = [Secured(server, context) for server in servers]
    engine = KINDS[table.kind](special)
    return Scanner(table.name, Offline(engine) if offline else engine, servers, terms)
