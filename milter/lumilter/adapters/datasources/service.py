"""Every configured datasource, by the name that scripts use.

The law: made in the worker, after the fork; nothing is connected, and no library imported, before a script asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from lumilter.adapters.datasources.cdb import CdbDriver
from lumilter.adapters.datasources.contract import Answer, Cut, DatasourceError, Driver, Options, Request
from lumilter.adapters.datasources.csv_files import CsvDriver
from lumilter.adapters.datasources.datasource import Behaviour, Datasource, Place
from lumilter.adapters.datasources.iowrapper import IoDriver, Opener
from lumilter.adapters.datasources.lanes import Alarm
from lumilter.adapters.datasources.uris import Target, target
from lumilter.errors import ConfigError

_IN_MEMORY = re.compile(r"sqlite[^:]*:///?(:memory:)?")


@dataclass(frozen=True, slots=True)
class Settings:
    """A datasource of the configuration. numbers: "number", "text", or "auto": as Momentum's driver did."""

    name: str
    uris: tuple[str, ...] = field(repr=False)
    behaviour: Behaviour = field(default_factory=Behaviour)
    options: Options = field(default_factory=Options)
    numbers: str = "auto"


class Datasources:
    """services.Datasources. offline: no network, and no file is changed. opener: see iowrapper."""

    def __init__(self, settings: Iterable[Settings] = (), offline: bool = False, opener: Opener | None = None) -> None:
        alarm = Alarm()
        self.max_rows: dict[str, int] = {}
        """How many rows each gives at most, -1 is no limit."""
        self._by_name: dict[str, Datasource] = {}
        for each in settings:
            if each.name in self._by_name:
                raise ConfigError(f'there are two [[datasource]] "{each.name}"')
            self.max_rows[each.name] = each.options.max_rows
            self._by_name[each.name] = _made(each, alarm, offline, None if offline else opener)

    def load(self) -> None:
        """Import what the drivers need, for which the first queries would wait else."""
        for each in self._by_name.values():
            each.load()

    def cached(self, name: str, request: Request) -> Answer | None:
        """An answer that is known already; None where it is not, or nobody knows the name."""
        found = self._by_name.get(name)
        return None if found is None else found.cached(request)

    def submit(self, name: str, request: Request, deadline: float, nocache: bool = False) -> Future[Answer]:
        """Ask; the future gets an Answer or a DatasourceError. deadline: a time.monotonic() value. Any thread."""
        found = self._by_name.get(name)
        if found is None:
            future: Future[Answer] = Future()
            future.set_exception(DatasourceError(f'there is no [[datasource]] "{name}" in the configuration'))
            return future
        return found.submit(request, deadline, nocache)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Figures by name, see Datasource.stats."""
        return {name: each.stats() for name, each in self._by_name.items()}

    def flush(self, name: str | None = None) -> int | None:
        """Forget the answers of one datasource, or of all; how many. None where there is no such datasource."""
        if name is None:
            return sum(each.cache.flush() for each in self._by_name.values())
        found = self._by_name.get(name)
        return None if found is None else found.cache.flush()

    def close(self) -> None:
        """Give up threads and connections; what is asked now may still come to its end."""
        for each in self._by_name.values():
            each.close()


def _made(settings: Settings, alarm: Alarm, offline: bool, opener: Opener | None) -> Datasource:
    places, targets = [], []
    for uri in settings.uris:
        try:
            where = target(uri)
        except ConfigError as error:
            raise ConfigError(f'[[datasource]] "{settings.name}" uri: {error.message}') from None
        targets.append(where)
        numbers = settings.numbers == "number" or (settings.numbers == "auto" and not _gives_text(where))
        options = replace(settings.options, numbers=numbers, copies=offline, secrets=where.secrets)
        places.append(Place(where.shown, _Offline() if offline and not where.local else driver(where, options, opener)))
    behaviour = settings.behaviour
    if any(where.kind == "sql" and where.local and (offline or _IN_MEMORY.fullmatch(where.place)) for where in targets):
        behaviour = replace(behaviour, connections=1)  # a database in memory is one connection's
    if not places:
        raise ConfigError(f'[[datasource]] "{settings.name}" has no uri')
    return Datasource(settings.name, places, behaviour, alarm)


def driver(where: Target, options: Options, opener: Opener | None = None) -> Driver:
    """The driver for a target. opener: reads what is no file for iowrapper."""
    if where.kind == "sql":
        from lumilter.adapters.datasources.sql import SqlDriver

        return SqlDriver(where, options)
    if where.kind == "ldap":
        from lumilter.adapters.datasources.ldap import LdapDriver

        return LdapDriver(where.place, options)
    if where.kind == "csv":
        return CsvDriver(where.place, options)
    if where.kind == "cdb":
        return CdbDriver(where.place, options)
    return IoDriver(where.place, options, opener)


def _gives_text(where: Target) -> bool:
    """Momentum's drivers for MySQL and PostgreSQL hand on what the server says: text."""
    return where.momentum and where.place.startswith(("mysql", "postgresql"))


class _Offline:
    """In the place of a server, where nothing may reach the network."""

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        raise DatasourceError("a server is not asked here; --live does")

    def close(self) -> None:
        pass
