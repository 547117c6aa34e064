"""How full file systems are: msys.os.statvfs_subscribe and statvfs_read.

The law: statvfs(3) may hang for as long as a file server does, so it is only called by `Record.refresh`, on a thread
that may wait, and never twice at once for one path. Any thread may call.

Source: manual, msys.os.statvfs_read, struct ec_statvfs.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from lumilter.errors import LookupFailed, LumilterError

DEFAULT_INTERVAL = 10.0
"""Seconds, where a script asks for 0."""
_VERSION = 1
"""Of Momentum's struct."""
_PATHS = 1000


@dataclass(frozen=True, slots=True)
class Statvfs:
    """A snapshot, in the manual's words."""

    kilobytes_total: int
    kilobytes_available: int
    objects_total: int
    objects_available: int
    version: int = _VERSION


class Record:
    """A path that was subscribed to. interval: seconds that a snapshot is good for."""

    def __init__(self, path: str, interval: float) -> None:
        self.path, self.interval = path, interval
        self._lock = threading.Lock()
        self._snapshot: Statvfs | None = None
        self._taken = 0.0
        self._problem = ""

    def latest(self) -> Statvfs | None:
        """The snapshot, if it is good, or if another is being taken and there is one."""
        old = time.monotonic() - self._taken > self.interval
        return None if old and not self._lock.locked() else self._snapshot

    def refresh(self, deadline: float) -> Statvfs:
        """A good snapshot, taken now if need be; blocks. Raises LookupFailed."""
        if not self._lock.acquire(timeout=max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX))):
            raise LookupFailed(f"{self.path}: no answer of the file system in time")
        try:
            found = self._snapshot
            if found is None or time.monotonic() - self._taken > self.interval:
                found = self._snapshot = _ask(self.path)
                self._taken = time.monotonic()
            return found
        except LookupFailed:
            self._snapshot = None
            raise
        finally:
            self._lock.release()


class Filesystems:
    """The subscriptions of a worker."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, Record] = OrderedDict()

    def subscribe(self, path: str, interval: float) -> Record:
        """The record of a path; of several intervals the smallest holds. interval: seconds, 0 is DEFAULT_INTERVAL."""
        if "\0" in path or not 0 <= interval < 1e9:
            raise LumilterError("expected a path without NUL, and an interval of 0 or more seconds")
        seconds = interval or DEFAULT_INTERVAL
        record = self._records.get(path)
        if record is None:
            if len(self._records) >= _PATHS:
                raise LumilterError(f"{_PATHS} paths are subscribed to already")
            record = self._records[path] = Record(path, seconds)
        record.interval = min(record.interval, seconds)
        return record

    def record(self, path: str) -> Record | None:
        """The record of a path that was subscribed to."""
        return self._records.get(path)


def _ask(path: str) -> Statvfs:
    try:
        found = os.statvfs(os.fsencode(path))
    except OSError as error:
        raise LookupFailed(f"{path}: {error.strerror}") from None
    return Statvfs(
        kilobytes_total=found.f_blocks * found.f_frsize // 1024,
        kilobytes_available=found.f_bavail * found.f_frsize // 1024,
        objects_total=found.f_files,
        objects_available=found.f_favail,
    )
