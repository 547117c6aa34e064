"""What every opened thing can do, and how much of it.

The law: no I/O here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from lumilter.errors import LookupFailed

_POLL = 0.005
"""Seconds between two tries to get a lock that another process has."""


class FileError(LookupFailed):
    """It can't be opened, read or written; str() is for the script."""


@dataclass(frozen=True, slots=True)
class Limits:
    """max_read: bytes that one read, or one line, may give."""

    max_read: int = 32 << 20


class Stream(Protocol):
    """Something opened. deadline: a time.monotonic() value. Every method raises FileError, after `close` too."""

    def read(self, size: int, deadline: float) -> bytes:
        """Up to so many bytes, fewer at the end only; empty is the end."""
        ...

    def read_all(self, deadline: float) -> bytes:
        """Everything up to the end."""
        ...

    def read_line(self, deadline: float) -> bytes | None:
        """The next line without its LF; None is the end."""
        ...

    def write(self, data: bytes, deadline: float) -> int:
        """Write all of it; how many bytes. What is appended is never mixed with what others append."""
        ...

    def seek(self, offset: int, whence: int) -> int:
        """Move as lseek(2) does; the new position."""
        ...

    def close(self) -> None:
        """Once; again is nothing."""
        ...


class WriteOnly:
    """What of a Stream only refuses where nothing can be read. unreadable, unmovable: why, to the script."""

    unreadable = "it can only be written"
    unmovable = "it has no position"

    def read(self, size: int, deadline: float) -> bytes:
        """Never."""
        raise FileError(self.unreadable)

    def read_all(self, deadline: float) -> bytes:
        """Never."""
        raise FileError(self.unreadable)

    def read_line(self, deadline: float) -> bytes | None:
        """Never."""
        raise FileError(self.unreadable)

    def seek(self, offset: int, whence: int) -> int:
        """Never."""
        raise FileError(self.unmovable)


@contextlib.contextmanager
def held(lock: threading.Lock, deadline: float, what: str) -> Iterator[None]:
    """The lock, once whoever has it in this process is done. Raises FileError at the deadline."""
    if not lock.acquire(timeout=max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX))):
        raise FileError(f"{what} is in use by another session")
    try:
        yield
    finally:
        lock.release()


def locked(take: Callable[[], None], deadline: float, what: str) -> None:
    """Call take until it does not raise BlockingIOError. Raises FileError at the deadline."""
    while True:
        try:
            return take()
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise FileError(f"{what} is locked by another process") from None
            time.sleep(_POLL)


def reason(error: OSError | ValueError) -> str:
    """Why the system refuses."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
