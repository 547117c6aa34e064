"""The audit series that scripts have defined: where each is, and what is added and counted.

The law: what a script that adds and then counts finds is its own place in the line, whoever else adds at the same time:
as long as it did not wait in between (`turn`), a count of what it has just added to is answered from the addition.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumilter.errors import LumilterError
from lumilter.state.contract import Series, Standing
from lumilter.state.journal import Journal
from lumilter.state.keys import LEVELS
from lumilter.state.places import ERROR, OPEN, SERIES, Later, Places

log = logging.getLogger("lumilter.state")

NONE, CLUSTER, MANAGER = REPLICATES = ("none", "cluster", "manager")
"""Who has the sum of a series' counts, beside this machine: nobody, all machines, those that only look at it."""

_REMEMBERED = 10_000
"""Counts that are remembered for when the shared store is away."""


@dataclass(frozen=True, slots=True)
class Defined:
    """A series that a script has defined. shared: it is in the shared store. on_failure: OPEN or ERROR."""

    series: Series
    shared: bool
    on_failure: str


@dataclass(frozen=True, slots=True)
class _Last:
    """The last addition. standing: what it led to; of the shared store's, once it is done."""

    turn: int
    series: Series
    item: bytes
    standing: Callable[[], Standing]


class Windows:
    """On the loop's thread."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.defined: dict[str, Defined] = {}
        self._last: _Last | None = None
        self.journal = Journal(Path(places.rules.log_dir), places.machine.series)
        self._known: OrderedDict[tuple[Any, ...], int] = OrderedDict()

    def define(self, series: Series, replicate: str = NONE, serialize: bool = False) -> bool:
        """Define a series. replicate: one of REPLICATES. serialize: its windows are written to files.

        Whether there is none of that name that is another. Raises LumilterError for what can't be.
        """
        rules = self._places.rules
        rule = rules.series.get(series.name)
        wanted = replicate == CLUSTER or SERIES in rules.shared
        if rule is not None and rule.shared is not None:
            wanted = rule.shared
        if wanted and self._places.shared is None:
            log.warning('the series "%s" is of this machine alone: [redis] server is not configured', series.name)
        if replicate == MANAGER and not wanted:
            log.warning('the series "%s" is of this machine alone: no manager node is there to be sent it', series.name)
        on_failure = (rule.on_failure if rule else None) or rules.on_failure
        new = Defined(series, wanted and self._places.shared is not None, on_failure)
        if serialize and not rules.log_dir:
            raise LumilterError("serialize needs [inbound_audit] log_dir in the configuration")
        if serialize and new.shared:
            raise LumilterError("serialize is for series of this machine alone: this one is in Redis")
        if serialize and series not in self.journal.series:
            self.journal.series.append(series)
        if series.keep and not rules.survives and not new.shared and series.name not in self.defined:
            log.warning('the series "%s" does not survive a restart: [state] directory is not configured', series.name)
        return self.defined.setdefault(series.name, new) == new

    def add(self, defined: Defined, item: bytes, amount: int, turn: int) -> Later[None] | None:
        """Add to the running window. turn: a number that changes whenever another script runs. Raises StateError."""
        self._last, series, places = None, defined.series, self._places
        if not defined.shared:
            standing = places.here(lambda: places.machine.series.add(series, item, amount), None, defined.on_failure)
            if standing is not None:
                self._last = _Last(turn, series, item, lambda: standing)
            return None
        shared = places.shared
        assert shared is not None
        future = shared.series.submit(series, item, amount)
        last = _Last(turn, series, item, lambda: shared.series.standing(series, item, future))
        if defined.on_failure == OPEN:  # it is on its way: nobody need wait for it
            places.sent(future)
            self._last = last
            return None

        def run() -> None:
            places.there(last.standing, dict, ERROR)

        def finish(result: None, turn: int) -> None:
            self._last = _Last(turn, series, item, last.standing)

        return Later(run, finish)

    def count(self, defined: Defined, item: bytes, bits: int, first: int, last: int, turn: int) -> Later[int] | int:
        """A sum over windows. Raises StateError."""
        series, places, own = defined.series, self._places, self._last
        mine = own is not None and (own.turn, own.series, own.item) == (turn, series, item)
        mine = mine and bits in LEVELS[0 if series.kind == "string" else len(item)]

        def work() -> int:
            if mine and own is not None:
                return sum(own.standing()[bits][max(first, 0) : max(last + 1, 0)])
            store = places.shared if defined.shared and places.shared else places.machine
            return store.series.count(series, item, bits, first, last)

        if not defined.shared:
            return places.here(work, 0, defined.on_failure)
        key = (series, item, bits, first, last)

        def finish(result: int, turn: int) -> int:
            self._known[key] = result
            self._known.move_to_end(key)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            return result

        known = self._known.get(key, 0)
        return Later(lambda: places.there(work, lambda: known, defined.on_failure), finish)

    def remove(self, defined: Defined, item: bytes) -> Later[None] | None:
        """Take an item out. Raises StateError."""
        self._last, series, places = None, defined.series, self._places
        if not defined.shared or places.shared is None:
            return places.here(lambda: places.machine.series.remove(series, item), None, defined.on_failure)
        store = places.shared
        return Later(lambda: places.there(lambda: store.series.remove(series, item), _nothing, defined.on_failure))


def _nothing() -> None: ...
