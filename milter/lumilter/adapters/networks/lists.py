"""Named lists of networks: kept in memory, loaded from where they come from, and loaded again from time to time.

The law: a list that can't be loaded stays as it was, empty at first, and is tried again soon. Loading blocks, so it is
done on pool threads; everything else is quick, and any thread may do it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

from lumilter.adapters.networks import addresses
from lumilter.adapters.networks.rbldnsd import interpolated
from lumilter.adapters.networks.table import EMPTY, Builder, Table, Value
from lumilter.errors import LookupFailed, LumilterError

log = logging.getLogger("lumilter.cidr")

RETRY = 60.0
"""Seconds after which a list that could not be loaded is tried again, if it would not be refreshed before."""

_REPORTED = 5
"""Bad entries of a source that are logged one by one."""

Report = Callable[[int, str], None]
Fill = Callable[[Builder, Report, float], None]
"""Puts a source's networks into a table, reports bad entries by their number, and ends by a time.monotonic() value.

Raises LumilterError.
"""


class Turns(Protocol):
    """What is needed of lumilter.loop.Loop."""

    @property
    def pool(self) -> Executor: ...

    def at(self, when: float, run: Callable[[], None]) -> Any: ...

    def post(self, item: Callable[[], None]) -> None: ...


@dataclass(slots=True)
class CidrList:
    """fill: None for a list that scripts fill. refresh: seconds, 0 is never. default: for what is in no network.

    interpolate: $ in a value is the address.
    """

    name: str
    kind: str
    fill: Fill | None = None
    refresh: float = 0.0
    default: Value = None
    interpolate: bool = False
    table: Table = EMPTY
    added: dict[tuple[bool, int, int], Value] = field(default_factory=dict)
    """What scripts put in: by family, first address and bits of the prefix."""
    loaded: float = 0.0
    """When, as time.time(); 0 is never."""
    due: float = 0.0
    """When it is loaded next, as time.monotonic(); 0 is never."""
    problem: str = ""
    """Why the last try to load it failed."""
    loading: threading.Lock = field(default_factory=threading.Lock)

    def find(self, text: str) -> Value:
        """The value for an address, or the default. Raises ValueError if it is no address."""
        six, number = addresses.address(text)
        value = self.table.find(six, number)
        if self.added:
            value = self._added(six, number)
        if value is None:
            return self.default
        return interpolated(value, text) if self.interpolate and isinstance(value, str) else value

    def add(self, network: str, value: Value) -> None:
        """Raises ValueError if it is no network."""
        self.added[addresses.prefix(network)] = value

    def remove(self, network: str) -> bool:
        """Whether it was there. Raises ValueError if it is no network."""
        return self.added.pop(addresses.prefix(network), None) is not None

    def load(self, deadline: float) -> int:
        """Load it now: the number of its networks. Raises LookupFailed; the list is then as it was."""
        assert self.fill is not None
        with self.loading:
            builder, bad = Builder(), _Bad(self.name)
            try:
                self.fill(builder, bad.report, deadline)
            except LumilterError as error:
                self.problem = str(getattr(error, "message", error))
                log.error("list %s could not be loaded: %s", self.name, self.problem)
                raise LookupFailed(self.problem) from None
            bad.end()
            self.table, self.loaded, self.problem = builder.table(), time.time(), ""
            return self.table.size

    def _added(self, six: bool, number: int) -> Value:
        bits = addresses.BITS[six]
        for length in range(bits, -1, -1):
            value = self.added.get((six, number >> (bits - length) << (bits - length), length))
            if value is not None:
                return value
        return None


class _Bad:
    """Entries of a source that were left out."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def report(self, number: int, problem: str) -> None:
        self._count += 1
        if self._count <= _REPORTED:
            log.warning("list %s: entry %d is left out: %s", self._name, number, problem)

    def end(self) -> None:
        if self._count > _REPORTED:
            log.warning("list %s: %d more entries are left out", self._name, self._count - _REPORTED)


class CidrLists:
    """The lists of one generation of scripts, by name."""

    def __init__(self) -> None:
        self._lists: dict[str, CidrList] = {}

    def put(self, entry: CidrList) -> None:
        """Define a list, in the place of one of the same name."""
        self._lists[entry.name] = entry

    def get(self, name: str) -> CidrList:
        """Raises LumilterError for a name that is not defined."""
        entry = self._lists.get(name)
        if entry is None:
            raise LumilterError(f"no CIDR list is called {name!r}: define it by msys.cidr.define in init")
        return entry

    def all(self) -> Mapping[str, CidrList]:
        """Every list by name."""
        return self._lists

    def keep_fresh(self, entry: CidrList, loop: Turns) -> None:
        """Load a list again whenever it is due, until another one has its place. On the loop's thread."""

        def again() -> None:
            wait = min(entry.refresh or RETRY, RETRY) if entry.problem else entry.refresh
            entry.due = time.monotonic() + wait if wait else 0.0
            if wait:
                loop.at(entry.due, due)

        def due() -> None:
            if self._lists.get(entry.name) is not entry:
                return
            try:
                future = loop.pool.submit(load)
            except RuntimeError as error:  # the system has no thread left: later, perhaps
                entry.problem = str(error)
                again()
                return
            future.add_done_callback(lambda _: loop.post(again))

        def load() -> None:
            try:
                entry.load(time.monotonic() + max(RETRY, entry.refresh))
            except LookupFailed:
                return  # logged; the list says why
            except Exception:
                entry.problem = "internal error, see the log"
                log.exception("list %s could not be loaded", entry.name)

        again()
