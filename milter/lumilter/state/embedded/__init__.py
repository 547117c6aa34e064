"""The store of one machine: LMDB files that its workers share.

The law: to be opened after the fork. Nothing here blocks longer than a short write of another process takes, and that
wait has a limit, so it is called on the loop's thread.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import lmdb

from lumilter.state.embedded import gauges, series
from lumilter.state.embedded.counters import LOCK, EmbeddedCounters, EmbeddedLocks, drop_lock_if_over
from lumilter.state.embedded.environment import REST, Environment, records
from lumilter.state.embedded.gauges import EmbeddedGauges
from lumilter.state.embedded.series import EmbeddedSeries
from lumilter.state.embedded.sessions import EmbeddedSessions
from lumilter.state.embedded.slots import Slots

_SNAPSHOT = 60.0
"""Seconds between two snapshots of the file that is kept."""
_AT_ONCE = 100
"""Records that are freed in one transaction."""

FLEETING, KEPT = "running", "kept"
"""The files: what ends with the daemon, and what does not."""


class EmbeddedStore:
    """contract.Store in a directory, for one process. Raises StateError.

    size: bytes of each of the files. keep: there is a file for what is to survive; else nothing does.
    """

    def __init__(self, directory: Path, size: int, keep: bool = True, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._slots = Slots(directory)
        fleeting = Environment(directory, FLEETING, size)
        kept = Environment(directory, KEPT, size) if keep else None
        self._envs = [env for env in (fleeting, kept) if env]
        self.series = EmbeddedSeries(fleeting, kept, clock)
        self.gauges = EmbeddedGauges(fleeting, clock)
        self.counters = EmbeddedCounters(fleeting, clock)
        self.locks = EmbeddedLocks(fleeting, self._slots, clock)
        self.sessions = EmbeddedSessions(fleeting, self._slots)
        self._directory, self._kept = directory, kept
        self._saved, self._saved_at = kept.changes() if kept else 0, time.monotonic()
        self._at, self._next = 0, b""
        """Where the sweep goes on: the environment, and the record."""

    def size(self) -> int:
        """Bytes in use."""
        return sum(env.used() for env in self._envs)

    def sweep(self, most: int) -> bool:
        """See contract.Store. One process of all that share the directory does it."""
        if not self._slots.sweeping():
            return False
        self._save()
        self.sessions.reap(now=True)
        env, now = self._envs[self._at], self._clock()
        env.env.reader_check()
        start, expired = self._next, list[bytes]()

        def look(txn: lmdb.Transaction) -> bytes:
            """Where the next step begins; b"" after the last record."""
            for looked, (key, value) in enumerate(records(txn, start, REST)):
                if looked == most:
                    return key
                if _may_be_over(key, value, now):
                    expired.append(key)
            return b""

        self._next = env.read(look)
        for first in range(0, len(expired), _AT_ONCE):
            part = expired[first : first + _AT_ONCE]
            env.write(functools.partial(self._drop, part, now))
        if not self._next:
            self._at = (self._at + 1) % len(self._envs)
        return bool(self._next or self._at)

    def leads(self) -> bool:
        """Whether this process is the one of all that sweeps."""
        return self._slots.sweeping()

    def _save(self) -> None:
        """Have a snapshot of what is kept, if it has changed, every now and then."""
        if self._kept and time.monotonic() > self._saved_at + _SNAPSHOT and self._kept.changes() != self._saved:
            self._saved, self._saved_at = self._kept.changes(), time.monotonic()
            self._kept.snapshot(self._directory / f"{KEPT}.snapshot")

    def _drop(self, keys: list[bytes], now: float, txn: lmdb.Transaction) -> None:
        """Free records, unless they were changed meanwhile."""
        for key in keys:
            kind = key[:1]
            if kind == series.KIND:
                held = txn.get(key)
                if held is not None and series.HEAD.unpack_from(held)[0] <= now:
                    txn.delete(key)
            elif kind == gauges.META:
                gauges.drop_expired(txn, key, now, _AT_ONCE)
            else:
                drop_lock_if_over(txn, key, now, self._slots.alive)

    def close(self) -> None:
        """See contract.Store."""
        self._slots.close()
        for env in self._envs:
            env.close()


def _may_be_over(key: bytes, value: bytes, now: float) -> bool:
    kind = key[:1]
    if kind == series.KIND:
        return bool(series.HEAD.unpack_from(value)[0] <= now)
    return kind in (gauges.META, LOCK)
