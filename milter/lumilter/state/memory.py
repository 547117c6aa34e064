"""A store in the memory of one process: the contract in its plainest form.

The law: no cleverness. Where no daemon runs (`lumilter test`, `lumilter check`) it is the store that scripts count in,
and in the tests it is what the others are compared with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from lumilter.state.contract import Counted, Gauge, Series, Standing, clamped
from lumilter.state.keys import LEVELS, masked

Clock = Callable[[], float]


class MemoryStore:
    """contract.Store for one process. clock: gives Unix time in seconds."""

    def __init__(self, clock: Clock = time.time) -> None:
        self.series = MemorySeries(clock)
        self.gauges = MemoryGauges(clock)
        self.counters = MemoryCounters(clock)
        self.locks = MemoryLocks(clock)
        self.sessions = MemorySessions()

    def sweep(self, most: int) -> bool:
        """See contract.Store: everything that has expired goes at once."""
        self.series.forget()
        return False

    def close(self) -> None:
        """See contract.Store."""
        self.sessions = MemorySessions()


class MemorySeries:
    """contract.SeriesStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._series: dict[tuple[str, str, int, int], dict[bytes, dict[int, int]]] = {}
        """Series, item, number of the stretch since the epoch: the count."""

    def add(self, series: Series, item: bytes, amount: int) -> Standing:
        """See contract.SeriesStore."""
        items = self._items(series)
        counts = items.setdefault(item, {})
        running = int(self._clock()) // series.interval
        if max(counts, default=running) >= running + series.windows:  # the clock was wrong when that was added
            counts.clear()
        counts[running] = clamped(counts.get(running, 0) + amount)
        length = 0 if series.kind == "string" else len(item)
        return {
            bits: tuple(self.count(series, item, bits, window, window) for window in range(series.windows))
            for bits in LEVELS[length]
        }

    def count(self, series: Series, item: bytes, bits: int, first: int, last: int) -> int:
        """See contract.SeriesStore."""
        windows = range(max(first, 0), min(last, series.windows - 1) + 1)
        running = int(self._clock()) // series.interval
        total = sum(
            counts.get(running - window, 0)
            for counts in self._within(series, item, bits).values()
            for window in windows
        )
        return clamped(total)

    def remove(self, series: Series, item: bytes) -> None:
        """See contract.SeriesStore."""
        self._items(series).pop(item, None)

    def items(self, series: Series, item: bytes, bits: int) -> Iterator[tuple[bytes, Sequence[int]]]:
        """See contract.SeriesStore."""
        running = int(self._clock()) // series.interval
        whole = self._items(series) if series.kind == "string" else self._within(series, item, bits)
        for name, counts in sorted(whole.items()):
            yield name, [counts.get(running - window, 0) for window in range(series.windows)]

    def _items(self, series: Series) -> dict[bytes, dict[int, int]]:
        return self._series.setdefault((series.name, series.kind, series.interval, series.windows), {})

    def _within(self, series: Series, item: bytes, bits: int) -> dict[bytes, dict[int, int]]:
        items = self._items(series)
        if series.kind == "string":
            return {item: items[item]} if item in items else {}
        wanted = masked(item, bits)
        return {name: counts for name, counts in items.items() if masked(name, bits) == wanted}

    def forget(self) -> None:
        """Let go of everything that is in no window any more."""
        now = int(self._clock())
        for (_, _, interval, windows), items in self._series.items():
            for name in list(items):
                items[name] = {n: c for n, c in items[name].items() if n > now // interval - windows}
                if not items[name]:
                    del items[name]


class MemoryGauges:
    """contract.GaugeStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gauges: dict[str, dict[bytes, tuple[int, int]]] = {}
        """Gauge, key: value and stamp, in the order of the stamps."""
        self._stamps: dict[str, int] = {}

    def add(self, gauge: Gauge, key: bytes, amount: int) -> int:
        """See contract.GaugeStore."""
        values = self._alive(gauge)
        now = int(self._clock() * 1e6)
        stamp = self._stamps[gauge.name] = max(now, self._stamps.get(gauge.name, 0) + 1)
        value = clamped(values.pop(key, (0, 0))[0] + amount)
        values[key] = value, stamp
        while len(values) > gauge.most:
            del values[next(iter(values))]
        return value

    def get(self, gauge: Gauge, key: bytes) -> int:
        """See contract.GaugeStore."""
        return self._alive(gauge).get(key, (0, 0))[0]

    def remove(self, gauge: Gauge, key: bytes) -> None:
        """See contract.GaugeStore."""
        self._alive(gauge).pop(key, None)

    def _alive(self, gauge: Gauge) -> dict[bytes, tuple[int, int]]:
        values = self._gauges.setdefault(gauge.name, {})
        oldest = int(self._clock() * 1e6) - int(gauge.ttl * 1e6)
        for key in [key for key, (_, stamp) in values.items() if stamp <= oldest]:
            del values[key]
        return values


class MemoryCounters:
    """contract.CounterStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counters: dict[bytes, Counted] = {}

    def add(self, path: bytes, amount: int, relaxed: bool = False) -> int:
        """See contract.CounterStore."""
        known = self._counters.get(path) or Counted(path, 0, int(self._clock()), relaxed)
        value = clamped(known.value + amount)
        self._counters[path] = Counted(path, value, known.since, known.relaxed)
        return value

    def read(self, path: bytes) -> int:
        """See contract.CounterStore."""
        known = self._counters.get(path)
        return known.value if known else 0

    def reset(self, path: bytes) -> None:
        """See contract.CounterStore."""
        known = self._counters.get(path)
        self._counters[path] = Counted(path, 0, int(self._clock()), bool(known and known.relaxed))

    def unlink(self, path: bytes) -> bool:
        """See contract.CounterStore."""
        return self._counters.pop(path, None) is not None

    def all(self) -> list[Counted]:
        """See contract.CounterStore."""
        return [self._counters[path] for path in sorted(self._counters)]


class MemoryLocks:
    """contract.LockStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._locks: dict[bytes, tuple[bytes, float]] = {}

    def acquire(self, name: bytes, owner: bytes, lease: float) -> bool:
        """See contract.LockStore."""
        now = self._clock()
        held = self._locks.get(name)
        if held and held[1] > now:
            return False
        self._locks[name] = owner, now + lease
        return True

    def release(self, name: bytes, owner: bytes) -> bool:
        """See contract.LockStore."""
        held = self._locks.get(name)
        if not held or held[0] != owner or held[1] <= self._clock():
            return False
        del self._locks[name]
        return True

    def release_all(self, owner: bytes) -> None:
        """See contract.LockStore."""
        self._locks = {name: held for name, held in self._locks.items() if held[0] != owner}


class MemorySessions:
    """contract.SessionStore."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, int] = {}

    def enter(self, address: bytes) -> dict[int, int]:
        """See contract.SessionStore."""
        self._sessions[address] = self._sessions.get(address, 0) + 1
        return {bits: self.present(address, bits) for bits in LEVELS[len(address)]}

    def leave(self, address: bytes) -> None:
        """See contract.SessionStore."""
        left = self._sessions.get(address, 0) - 1
        if left > 0:
            self._sessions[address] = left
        else:
            self._sessions.pop(address, None)

    def present(self, address: bytes, bits: int) -> int:
        """See contract.SessionStore."""
        wanted = masked(address, bits)
        return sum(
            count for one, count in self._sessions.items() if len(one) == len(address) and masked(one, bits) == wanted
        )
