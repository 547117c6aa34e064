"""Saying once that a store can't be used, and once that it can again.

The law: a busy mail server's log gets two lines for an outage, however long it is and however many messages meet it.
"""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger("lumilter.state")


class Outage:
    """Whether a store is away. name: what the log calls it. Any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._since = 0.0
        self.failures = self.total = 0
        """Operations that failed: in the outage that is, or was last; since the process began."""

    def failed(self, error: Exception) -> None:
        """An operation could not be done."""
        with self._lock:
            first = not self._since
            if first:
                self._since, self.failures = time.monotonic(), 0
            self.failures += 1
            self.total += 1
        if first:
            log.error("%s: %s; nothing more is said until that is over", self._name, error)

    def worked(self) -> None:
        """An operation was done."""
        if not self._since:
            return
        with self._lock:
            since, self._since = self._since, 0.0
        if since:
            log.warning(
                "%s works again after %.1f s, in which %d operations failed",
                self._name, time.monotonic() - since, self.failures,
            )  # fmt: skip
