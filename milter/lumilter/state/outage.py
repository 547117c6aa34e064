"""Saying once that a store can't be used, and once that it can again.

The law: a busy mail server's log gets two lines for an outage, however long it is and however many messages meet it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("lumilter.state")

QUIET = 5.0
"""Seconds without a failure after which an outage is over: some operations work all the time if a store is full."""


class Outage:
    """Whether a store is away. name: what the log calls it. clock: in seconds. Any thread."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._clock = name, clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._last = 0.0
        self.failures = self.total = 0
        """Operations that failed: in the outage that is, or was last; since the process began."""

    def failed(self, error: Exception) -> None:
        """An operation could not be done."""
        with self._lock:
            self._last = self._clock()
            first = self._since is None
            if first:
                self._since, self.failures = self._last, 0
            self.failures += 1
            self.total += 1
        if first:
            log.error("%s: %s; nothing more is said until that is over", self._name, error)

    def worked(self) -> None:
        """An operation was done."""
        if self._since is None or self._clock() < self._last + QUIET:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            log.warning(
                "%s works again after %.1f s, in which %d operations failed",
                self._name, self._last - since, self.failures,
            )  # fmt: skip
