"""One datasource: a cache before threads before the places that may answer, in their order.

The law: a place that can't be reached is left alone for a while, and then tried by one query only; a statement that may
have been carried out is never sent a second time. Texts of errors begin with the datasource's name.

Source: manual, "ds_core" (uri); that the first place is gone back to is ours.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from lumilter.adapters.datasources.cache import AnswerCache
from lumilter.adapters.datasources.contract import (
    Answer,
    Cut,
    DatasourceError,
    Driver,
    Loads,
    Lost,
    Request,
    Silent,
    TimedOut,
    Unreachable,
)
from lumilter.adapters.datasources.lanes import Alarm, Lanes, Task

log = logging.getLogger("lumilter.datasource")

_TIMEOUTS = 3
"""Queries in a row of which a place lets nothing be heard before it counts as down; it takes connections as ever."""
_MARGIN = 0.1
"""Of the time that is left to the hook, what is kept for the script to do something about the error; 1 s at most."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """timeout: seconds for a query, its wait for a connection included. retry: seconds that a place is left alone.

    connections: queries at the same time. spread: whether places are asked in turn, else the first that is up.
    cache_*: see AnswerCache.
    """

    timeout: float = 10.0
    retry: float = 5.0
    connections: int = 10
    spread: bool = False
    cache_life: float = 3600.0
    cache_size: int = 1000
    cache_memory: int = 64 << 20


class Place:
    """A URI: its driver, and what is known about it. shown: without password."""

    def __init__(self, shown: str, driver: Driver) -> None:
        self.shown, self.driver = shown, driver
        self.down_until = 0.0
        self.error = ""
        self.queries = self.failures = self.timeouts = 0


class Datasource:
    """name: as scripts call it. places: at least one."""

    def __init__(self, name: str, places: Sequence[Place], behaviour: Behaviour, alarm: Alarm) -> None:
        self.name, self.places, self._behaviour = name, tuple(places), behaviour
        self.cache = AnswerCache(behaviour.cache_life, behaviour.cache_size, behaviour.cache_memory)
        self._lanes = Lanes(name, behaviour.connections, alarm)
        self._lock = threading.Lock()
        self._turn = 0
        self._pending: dict[Hashable, list[Future[Answer]]] = {}

    def load(self) -> None:
        """Import what the drivers need."""
        for place in self.places:
            if isinstance(place.driver, Loads):
                place.driver.load()

    def cached(self, request: Request) -> Answer | None:
        """The answer, if it is known."""
        return None if request.execute else self.cache.get(request.key())

    def submit(self, request: Request, deadline: float, nocache: bool = False) -> Future[Answer]:
        """Ask; any thread. deadline: a time.monotonic() value. The future gets an Answer or a DatasourceError."""
        future: Future[Answer] = Future()
        now = time.monotonic()
        left = deadline - now
        until = min(now + self._behaviour.timeout, deadline - min(1.0, _MARGIN * left))
        if request.execute or nocache:
            self._start(request, until, lambda outcome: _settle(future, outcome))
            return future
        key = request.key()
        with self._lock:
            if key in self._pending:
                self._pending[key].append(future)
                self.cache.counts.pending += 1
                return future
            self.cache.counts.misses += 1
            shared = until == now + self._behaviour.timeout  # with all the time that another one would have
            if shared:
                self._pending[key] = [future]

        def settle(outcome: Answer | DatasourceError) -> None:
            if isinstance(outcome, Answer) and outcome.records:
                self.cache.put(key, outcome)
            with self._lock:
                waiting = self._pending.pop(key) if shared else [future]
            for each in waiting:
                _settle(each, outcome)

        self._start(request, until, settle)
        return future

    def _start(self, request: Request, until: float, settle: Callable[[Answer | DatasourceError], None]) -> None:
        def named(outcome: Answer | DatasourceError) -> None:
            settle(DatasourceError(f"{self.name}: {outcome}") if isinstance(outcome, DatasourceError) else outcome)

        task: Task[Answer] = Task(lambda cut: self._ask(request, until, cut), named)
        try:
            if until <= time.monotonic():
                raise TimedOut("there is no time left for a query")
            self._lanes.submit(task, until)
        except DatasourceError as error:
            task.settle(error)
        except RuntimeError as error:
            task.settle(DatasourceError(f"the system has no thread left: {error}"))

    def _ask(self, request: Request, until: float, cut: Cut) -> Answer:
        """On one of the threads: ask the places in order until one answers."""
        last: DatasourceError | None = None
        for place in self._order():
            try:
                return self._ask_at(place, request, until, cut)
            except (Unreachable, Lost) as error:
                self._down(place, str(error))
                if isinstance(error, Lost) and request.execute:
                    raise
                last = error
            if cut.fired or time.monotonic() >= until:
                raise TimedOut("the query took too long")
        if last is None:
            place = min(self.places, key=lambda each: each.down_until)
            raise Unreachable(f"{place.error} (seen before; tried again every {self._behaviour.retry:g} s)")
        raise last

    def _ask_at(self, place: Place, request: Request, until: float, cut: Cut) -> Answer:
        begun = time.monotonic()
        try:
            try:
                answer = place.driver.ask(request, until, cut)
            except Lost:
                if request.execute or cut.fired:
                    raise
                answer = place.driver.ask(request, until, cut)  # by a new connection
        except (Unreachable, Lost):
            raise
        except Silent:
            if time.monotonic() - begun >= self._behaviour.timeout / 2:
                self._silent(place)
            raise
        except DatasourceError:  # the query's fault: the place is up
            self._up(place)
            raise
        self._up(place)
        return answer

    def _silent(self, place: Place) -> None:
        with self._lock:
            place.timeouts += 1
            silent = place.timeouts >= _TIMEOUTS
        if silent:
            self._down(place, f"nothing was heard of it during {place.timeouts} queries")

    def _order(self) -> Sequence[Place]:
        """The places to ask, in order. One that was left alone long enough is handed to one query at a time."""
        now = time.monotonic()
        with self._lock:
            start = self._turn if self._behaviour.spread else 0
            self._turn = (self._turn + 1) % len(self.places)
            order = []
            for place in (*self.places[start:], *self.places[:start]):
                if place.down_until <= now:
                    order.append(place)
                    if place.down_until:
                        place.down_until = now + self._behaviour.retry
                        place.timeouts = min(place.timeouts, _TIMEOUTS - 1)
            return order

    def _up(self, place: Place) -> None:
        with self._lock:
            place.queries += 1
            place.timeouts = 0
            was_down, place.down_until = place.down_until, 0.0
        if was_down:
            log.info("datasource %s: %s answers again", self.name, place.shown)

    def _down(self, place: Place, why: str) -> None:
        with self._lock:
            place.failures += 1
            first = not place.down_until
            place.down_until, place.error = time.monotonic() + self._behaviour.retry, why
        if first:
            log.warning("datasource %s: %s is left alone for a while: %s", self.name, place.shown, why)

    def stats(self) -> dict[str, Any]:
        """`entries`, those of cache.Counts, `busy`, `queued`, and for each place uri, up, error, queries, failures."""
        return {
            "entries": len(self.cache),
            **asdict(self.cache.counts),
            "busy": self._lanes.busy,
            "queued": self._lanes.queued,
            "places": [
                {
                    "uri": place.shown, "up": not place.down_until, "error": place.error,
                    "queries": place.queries, "failures": place.failures,
                }
                for place in self.places
            ],
        }  # fmt: skip

    def close(self) -> None:
        """Give up threads and connections."""
        self._lanes.close()
        for place in self.places:
            place.driver.close()


def _settle(future: Future[Answer], outcome: Answer | DatasourceError) -> None:
    if isinstance(outcome, DatasourceError):
        future.set_exception(DatasourceError(str(outcome)))
    else:
        future.set_result(outcome)
