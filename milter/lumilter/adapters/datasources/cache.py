"""Answers that are kept for a while, and what Momentum's `ds_core stats` counts about them.

The law: an answer is given out at most `life` seconds after it came, the least recently used goes first, and what is
kept stays below a number of answers and of bytes. Any thread.

Source: manual, "ds_core" (cache_life, cache_size, console commands).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from lumilter.adapters.datasources.contract import Answer


@dataclass(slots=True)
class Counts:
    """Since the start. pending: lookups that joined a query on its way. manual, expired, evicted: deletions."""

    hits: int = 0
    misses: int = 0
    pending: int = 0
    inserts: int = 0
    manual: int = 0
    expired: int = 0
    evicted: int = 0


class AnswerCache:
    """life: seconds. entries, size: answers and bytes at most; without any of them nothing is kept."""

    def __init__(self, life: float, entries: int, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._life, self._entries, self._largest, self._clock = life, entries, size, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()
        self._size = 0
        self.counts = Counts()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Answer | None:
        """The answer, if it is young enough."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None and self._clock() >= found[0]:
                self._drop(key)
                self.counts.expired += 1
                found = None
            if found is None:
                return None
            self._kept.move_to_end(key)
            self.counts.hits += 1
            return found[1]

    def put(self, key: Hashable, answer: Answer) -> None:
        """Keep it, instead of the least recently used where there is no room."""
        with self._lock:
            if key in self._kept:
                self._drop(key)
            if not self._entries or self._life <= 0 or answer.size > self._largest:
                return
            now = self._clock()
            self._kept[key] = now + self._life, answer
            self._size += answer.size
            self.counts.inserts += 1
            while len(self._kept) > self._entries or self._size > self._largest:
                oldest = next(iter(self._kept))
                expired = self._kept[oldest][0] <= now
                self._drop(oldest)
                self.counts.expired += expired
                self.counts.evicted += not expired

    def flush(self) -> int:
        """Forget everything; how many answers that were."""
        with self._lock:
            count = len(self._kept)
            self._kept.clear()
            self._size = 0
            self.counts.manual += count
            return count

    def _drop(self, key: Hashable) -> None:
        self._size -= self._kept.pop(key)[1].size
