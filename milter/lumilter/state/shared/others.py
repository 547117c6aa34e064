"""Gauges, counters and locks in Redis.

The law: as `scripts` keeps them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

from lumilter.state.contract import Counted, Gauge
from lumilter.state.shared import scripts
from lumilter.state.shared.link import Argument, Link
from lumilter.state.shared.series import pairs

Now = Callable[[], Argument]


class SharedGauges:
    """contract.GaugeStore."""

    def __init__(self, link: Link, now: Now) -> None:
        self._link, self._now = link, now

    def add(self, gauge: Gauge, key: bytes, amount: int) -> int:
        """See contract.GaugeStore."""
        return self._ask(scripts.GAUGE_ADD, gauge, key, amount, gauge.most)

    def get(self, gauge: Gauge, key: bytes) -> int:
        """See contract.GaugeStore."""
        return self._ask(scripts.GAUGE_GET, gauge, key)

    def remove(self, gauge: Gauge, key: bytes) -> None:
        """See contract.GaugeStore."""
        self._ask(scripts.GAUGE_REMOVE, gauge, key)

    def _ask(self, script: str, gauge: Gauge, key: bytes, *more: Argument) -> int:
        base = tagged(self._link, b"gauge", gauge.name.encode("utf-8", "surrogateescape"))
        keys = [base + part for part in (b":v", b":t", b":l")]
        return self._link.ask(script, keys, self._now(), int(gauge.ttl * 1e6), key, *more, read=int)


class SharedCounters:
    """contract.CounterStore: all in one hash."""

    def __init__(self, link: Link, now: Now) -> None:
        self._link, self._now = link, now
        self._keys = [b"%s:{counters}" % link.server.prefix.encode()]

    def add(self, path: bytes, amount: int, relaxed: bool = False) -> int:
        """See contract.CounterStore."""
        return self._link.ask(scripts.COUNTER_ADD, self._keys, self._now(), path, amount, int(relaxed), read=int)

    def read(self, path: bytes) -> int:
        """See contract.CounterStore."""
        return self._link.ask(scripts.COUNTER_READ, self._keys, self._now(), path, read=int)

    def reset(self, path: bytes) -> None:
        """See contract.CounterStore."""
        self._link.ask(scripts.COUNTER_RESET, self._keys, self._now(), path, read=int)

    def unlink(self, path: bytes) -> bool:
        """See contract.CounterStore."""
        return self._link.ask(scripts.COUNTER_UNLINK, self._keys, "", path, read=int) == 1

    def all(self) -> list[Counted]:
        """See contract.CounterStore."""
        return self._link.ask(scripts.COUNTER_ALL, self._keys, read=_counted)


def _counted(answer: Any) -> list[Counted]:
    counted = []
    for path, text in sorted(pairs(answer)):
        value, since, relaxed = map(int, text.split())
        counted.append(Counted(path, value, since, bool(relaxed)))
    return counted


class SharedLocks:
    """contract.LockStore. Redis does not know of processes: a lock of a dead one is free when its lease ends."""

    def __init__(self, link: Link, now: Now) -> None:
        self._link, self._now = link, now
        self._held: dict[bytes, set[bytes]] = {}
        self._guard = threading.Lock()

    def acquire(self, name: bytes, owner: bytes, lease: float) -> bool:
        """See contract.LockStore."""
        taken = self._link.ask(scripts.ACQUIRE, self._keys(name), self._now(), owner, int(lease * 1e6), read=int) == 1
        if taken:
            with self._guard:
                self._held.setdefault(owner, set()).add(name)
        return taken

    def release(self, name: bytes, owner: bytes) -> bool:
        """See contract.LockStore."""
        with self._guard:
            names = self._held.get(owner, set())
            names.discard(name)
            if not names:
                self._held.pop(owner, None)
        return self._link.ask(scripts.RELEASE, self._keys(name), self._now(), owner, read=int) == 1

    def release_all(self, owner: bytes) -> None:
        """See contract.LockStore."""
        with self._guard:
            names = self._held.pop(owner, set())
        for name in names:
            self._link.submit(scripts.RELEASE, self._keys(name), self._now(), owner)

    def _keys(self, name: bytes) -> list[bytes]:
        return [tagged(self._link, b"lock", name)]


def tagged(link: Link, kind: bytes, name: bytes) -> bytes:
    """A key of its own hash slot."""
    return b"%s:{%s:%s}" % (
        link.server.prefix.encode(),
        kind,
        hashlib.blake2b(name, digest_size=8).hexdigest().encode(),
    )
