"""Gauges, counters and locks, where the configuration and their scripts want them.

The law: a lock that can't be had for sure is an error whatever the rules say: to go on without it is what it is for to
prevent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from lumilter.state.contract import CounterStore, Gauge, LockStore, Store
from lumilter.state.places import COUNTERS, ERROR, GAUGES, LOCKS, Later, Places

T = TypeVar("T")

log = logging.getLogger("lumilter.state")

_WAITERS = 256
"""Sessions of a process that wait for locks at the same time; more wait until one of them has ended."""


class Numbers:
    """Gauges and counters. On the loop's thread."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.gauges: dict[str, tuple[Gauge, bool]] = {}
        """What scripts have defined, and whether it is shared."""

    def define(self, gauge: Gauge, replicated: bool) -> bool:
        """Define a gauge. replicated: for all machines. Whether there is none of that name that is another."""
        wanted = replicated or GAUGES in self._places.rules.shared
        if wanted and self._places.shared is None:
            log.warning('the gauge cache "%s" is of this machine alone: [redis] server is not configured', gauge.name)
        new = gauge, wanted and self._places.shared is not None
        return self.gauges.setdefault(gauge.name, new) == new

    def gauge_add(self, name: str, key: bytes, amount: int) -> Later[int] | int:
        """Add to a key; the new value. Raises StateError."""
        gauge, shared = self.gauges[name]
        return self._done(shared, lambda store: store.gauges.add(gauge, key, amount), 0)

    def gauge_get(self, name: str, key: bytes) -> Later[int] | int:
        """A key's value. Raises StateError."""
        gauge, shared = self.gauges[name]
        return self._done(shared, lambda store: store.gauges.get(gauge, key), 0)

    def gauge_remove(self, name: str, key: bytes) -> Later[None] | None:
        """Forget a key. Raises StateError."""
        gauge, shared = self.gauges[name]
        return self._done(shared, lambda store: store.gauges.remove(gauge, key), None)

    def counted(self, work: Callable[[CounterStore], T], instead: T) -> Later[T] | T:
        """What work on the counters returns. Raises StateError."""
        return self._done(COUNTERS in self._places.rules.shared, lambda store: work(store.counters), instead)

    def _done(self, shared: bool, work: Callable[[Store], T], instead: T) -> Later[T] | T:
        places = self._places
        if not shared or places.shared is None:
            return places.here(lambda: work(places.machine), instead)
        store = places.shared
        return Later(lambda: places.there(lambda: work(store), lambda: instead))


class Locks:
    """Any thread."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.shared = LOCKS in places.rules.shared and places.shared is not None
        """They must be waited for."""
        self._owned: dict[bytes, set[bytes]] = {}
        self._threads: ThreadPoolExecutor | None = None

    @property
    def threads(self) -> Executor:
        """For who waits until a lock comes free. On the loop's thread."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_WAITERS, thread_name_prefix="lock")
        return self._threads

    def owns(self, name: bytes, owner: bytes) -> bool:
        """Whether the owner has taken the lock, and not given it back."""
        return name in self._owned.get(owner, ())

    def acquire(self, name: bytes, owner: bytes) -> bool:
        """Try once to take a lock. Raises StateError."""
        lease = self._places.rules.lock_lease
        if not self._tried(lambda store: store.acquire(name, owner, lease)):
            return False
        self._owned.setdefault(owner, set()).add(name)
        return True

    def release(self, name: bytes, owner: bytes) -> bool:
        """Give a lock back; False if the owner does not have it (any more). Raises StateError."""
        names = self._owned.get(owner, set())
        names.discard(name)
        if not names:
            self._owned.pop(owner, None)
        return self._tried(lambda store: store.release(name, owner))

    def ended(self, owner: bytes) -> None:
        """The owner is no more."""
        if self._owned.pop(owner, None) is not None:
            store = self._places.shared if self.shared and self._places.shared else self._places.machine
            self._places.here(lambda: store.locks.release_all(owner), None)

    def _tried(self, work: Callable[[LockStore], bool]) -> bool:
        places = self._places
        if self.shared and places.shared is not None:
            store = places.shared
            return places.there(lambda: work(store.locks), lambda: False, ERROR)
        return places.here(lambda: work(places.machine.locks), False, ERROR)
