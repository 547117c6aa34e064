"""Results that are given again for the same sample: the hooks of each recipient ask for the same message.

The law: any thread; bounded in number and in time, so that a result is not older than the engine's next update.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from lumilter.adapters.scanners.contract import Result


class Cache:
    """entries: at most so many; seconds: for which one is good. Either 0 keeps nothing."""

    def __init__(self, entries: int, seconds: float) -> None:
        self._entries, self._seconds = entries, seconds
        self._kept: OrderedDict[bytes, tuple[float, Result]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def keeps(self) -> bool:
        """Whether it keeps anything."""
        return self._entries > 0 and self._seconds > 0

    def get(self, digest: bytes) -> Result | None:
        """What was answered before."""
        with self._lock:
            found = self._kept.get(digest)
            if found is None:
                return None
            if found[0] < time.monotonic():
                del self._kept[digest]
                return None
            self._kept.move_to_end(digest)
            return found[1]

    def put(self, digest: bytes, result: Result) -> None:
        """Keep it; the one that nobody asked for longest goes."""
        with self._lock:
            self._kept[digest] = time.monotonic() + self._seconds, result
            self._kept.move_to_end(digest)
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)
