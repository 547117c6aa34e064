"""Answers that are kept for a while, so many at most.

The law: knows nothing of what it keeps. Any thread may call; a value is never changed once it is in.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Stats:
    """hits, misses: lookups since the start that were and were not answered from here. entries: answers now kept."""

    hits: int
    misses: int
    entries: int


class Cache(Generic[V]):
    """size: entries; the one that was used least recently makes room. life: seconds for which one is good, unless put
    says otherwise. clock: seconds, never going back.
    """

    def __init__(self, size: int, life: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._life, self._clock = size, life, clock
        self._kept: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    @property
    def keeps(self) -> bool:
        """Whether it keeps anything."""
        return self._size > 0 and self._life > 0

    def get(self, key: Hashable) -> V | None:
        """What is kept under the key and still good."""
        with self._lock:
            expires, value = self._kept.get(key, (0.0, None))
            if value is not None and self._clock() < expires:
                self._hits += 1
                self._kept.move_to_end(key)
                return value
            self._kept.pop(key, None)
            self._misses += 1
            return None

    def put(self, key: Hashable, value: V, life: float | None = None) -> None:
        """Keep the value for so many seconds; not at all, if that is 0."""
        life = self._life if life is None else life
        if life <= 0:
            return
        with self._lock:
            self._kept[key] = self._clock() + life, value
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def flush(self) -> int:
        """Forget everything; how much it was."""
        with self._lock:
            found = len(self._kept)
            self._kept.clear()
            return found

    def stats(self) -> Stats:
        """The counts so far."""
        with self._lock:
            return Stats(self._hits, self._misses, len(self._kept))
