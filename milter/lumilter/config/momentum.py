"""The policy scripts that an existing Momentum configuration loads, and the pools and datasources that they use.

The law: of a Momentum configuration only scriptlet, ThreadPool, Datasource and inbound_audit stanzas mean something
here; the rest is skipped, and what of a stanza has no meaning here is noted, never an error. Source: the manual,
"scriptlet - Lua Policy Scripts", "threadpool", "inbound_audit".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from lumilter.config.momentum_datasources import datasource
from lumilter.config.sections.datasources import Datasource
from lumilter.config.sections.state import MONITOR
from lumilter.config.stanza import Include, Item, Option, Stanza, parse
from lumilter.errors import ConfigError

_TUNING = (
    "always_gc", "debug_level", "gc_pause", "gc_stepmul", "max_spare_per_master", "reap_interval", "script_ttl",
)  # fmt: skip
"""Options of the scriptlet module that tune Momentum's own Lua."""
_FALSE = ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True)
class Declaration:
    """`script "name" { source = "source" }` and where it stands."""

    name: str
    source: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ThreadPool:
    """`ThreadPool "name" { concurrency = 5 backlog = 100 }`; None is what was left out."""

    name: str
    concurrency: int | None
    backlog: int | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A file, and the files whose includes led to it."""

    file: Path
    including: tuple[Path, ...] = ()

    def at(self, line: int) -> str:
        return f"{self.file}:{line}"

    def error(self, message: str, line: int) -> ConfigError:
        return ConfigError(message, str(self.file), line)


@dataclass(slots=True)
class Scriptlets:
    """What a configuration loads, in order. notes: "file:line: ..." for what of it has no meaning here."""

    scripts: list[Declaration] = field(default_factory=list)
    pools: list[ThreadPool] = field(default_factory=list)
    datasources: list[Datasource] = field(default_factory=list)
    monitors: list[tuple[int, int]] = field(default_factory=list)
    """Seconds and windows: monitors of the inbound_audit module."""
    notes: list[str] = field(default_factory=list)
    _instance: str | None = None

    @classmethod
    def read(cls, file: Path) -> Scriptlets:
        """Read a Momentum configuration and what it includes. Raises ConfigError."""
        found = cls()
        for item, place in found._file(_Place(file)):
            if isinstance(item, Stanza) and item.kind.lower() == "scriptlet":
                found._scriptlet(item, place)
            elif isinstance(item, Stanza) and item.kind.lower() == "threadpool" and item.names:
                found._thread_pool(item, place)
            elif isinstance(item, Stanza) and item.kind.lower() == "inbound_audit":
                found._inbound_audit(item, place)
            elif isinstance(item, Stanza) and item.kind.lower() == "datasource":
                found._datasource(item, place)
        return found

    def _file(self, place: _Place) -> Iterator[tuple[Item, _Place]]:
        try:
            text = place.file.read_text("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigError(f"can't be read: {error.strerror}", str(place.file)) from None
        yield from self._expanded(parse(text, str(place.file)), place)

    def _expanded(self, items: Iterable[Item], place: _Place) -> Iterator[tuple[Item, _Place]]:
        """The items with those of the included files in the places of the includes, which are valid in every scope."""
        for item in items:
            if isinstance(item, Include):
                for file in self._included(item, place):
                    yield from self._file(_Place(file, (*place.including, place.file.resolve())))
            else:
                yield item, place

    def _included(self, item: Include, place: _Place) -> list[Path]:
        if "://" in item.path and not item.path.startswith("file://"):
            self.notes.append(f"{place.at(item.line)}: {item.path} is not read, only files are")
            return []
        path = place.file.parent / item.path.removeprefix("file://")
        try:
            if path.is_dir():
                files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
            elif path.is_file():
                files = [path]
            else:
                raise place.error(f'include "{item.path}": there is no {path}', item.line)
        except OSError as error:
            raise place.error(f'include "{item.path}": {path} can\'t be read: {error.strerror}', item.line) from None
        for file in files:
            if file.resolve() in (*place.including, place.file.resolve()):
                raise place.error(f'include "{item.path}": {file} includes itself', item.line)
        return files

    def _scriptlet(self, stanza: Stanza, place: _Place) -> None:
        name = stanza.names[0] if stanza.names else ""
        if self._instance not in (None, name):
            raise place.error(f'expected scriptlet "{self._instance}", as before, got "{name}"', stanza.line)
        self._instance = name
        body = list(self._expanded(stanza.body, place))
        for item, where in body:
            if (
                isinstance(item, Option)
                and item.name.lower() == "enabled"
                and item.value in ("false", "0", "no", "off")
            ):
                self.notes.append(f'{where.at(item.line)}: scriptlet "{name}" is not enabled, its scripts are not read')
                return
        for item, where in body:
            if isinstance(item, Stanza) and item.kind.lower() == "script":
                self._script(item, where)
            elif isinstance(item, Option) and item.name.lower() in _TUNING:
                self.notes.append(f"{where.at(item.line)}: {item.name} tunes Momentum's own Lua and has no effect here")
            elif not (isinstance(item, Option) and item.name.lower() == "enabled"):
                shown = item.kind if isinstance(item, Stanza) else getattr(item, "name", "")
                self.notes.append(f"{where.at(item.line)}: {shown} is not known in a scriptlet and has no effect here")

    def _datasource(self, stanza: Stanza, place: _Place) -> None:
        if len(stanza.names) != 1:
            raise place.error('expected one name after datasource, as in datasource "db" { ... }', stanza.line)
        if any(each.name == stanza.names[0] for each in self.datasources):
            raise place.error(f'there are two datasources "{stanza.names[0]}"', stanza.line)
        body = [(item, where.at(item.line)) for item, where in self._expanded(stanza.body, place)]
        found, notes = datasource(
            stanza.names[0], body, lambda message, at: ConfigError(f"{at or place.at(stanza.line)}: {message}")
        )
        self.datasources.append(found)
        self.notes += notes

    def _inbound_audit(self, stanza: Stanza, place: _Place) -> None:
        for item, where in self._expanded(stanza.body, place):
            if not isinstance(item, Option):
                continue
            if item.name.lower() != "monitors":
                self.notes.append(f"{where.at(item.line)}: {item.name} of inbound_audit has no effect here")
                continue
            for text in item.items or ([item.value] if item.value else []):
                try:
                    monitor = MONITOR.read(text)
                except ValueError as error:
                    raise where.error(f"monitors: {error}", item.line) from None
                self.monitors.append(cast(tuple[int, int], monitor))

    def _thread_pool(self, stanza: Stanza, place: _Place) -> None:
        numbers: dict[str, int] = {}
        for item, where in self._expanded(stanza.body, place):
            if isinstance(item, Option) and item.name.lower() in ("concurrency", "backlog"):
                if item.value is None or not item.value.isdecimal():
                    raise where.error(f"expected a number for {item.name}, got {item.value!r}", item.line)
                numbers[item.name.lower()] = int(item.value)
        self.pools.append(ThreadPool(stanza.names[0], numbers.get("concurrency"), numbers.get("backlog")))

    def _script(self, stanza: Stanza, place: _Place) -> None:
        if len(stanza.names) != 1:
            raise place.error('expected one name after script, as in script "policy" { ... }', stanza.line)
        source = None
        for item, where in self._expanded(stanza.body, place):
            if isinstance(item, Option) and item.name.lower() == "source":
                source, line, file = item.value, item.line, where.file
        if not source:
            raise place.error(f'script "{stanza.names[0]}" has no source', stanza.line)
        self.scripts.append(Declaration(stanza.names[0], source, str(file), line))
