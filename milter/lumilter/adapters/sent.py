"""What was sent already: keys that are remembered for some days, across crashes, by all processes of a machine.

The law: when `add` returns the key is on disk; a key is there or not, nothing can be half there. Each key is an empty
file, in one of 256 directories by its first byte; the time of the file is the time of the key.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lumilter.errors import LumilterError

_KEY = re.compile(r"[0-9a-f]{64}")
_SWEEP_SECONDS = 3600
"""How often a process looks for expired keys in a directory, when it adds one there."""


class SentError(LumilterError):
    """The memory can't be read or written."""


class SentMemory:
    """A set of hex SHA-256 keys (ValueError for others) in a directory; any thread. keep: seconds that one lives."""

    def __init__(self, directory: Path, keep: float = 432_000) -> None:
        self._directory, self._keep = directory, keep
        self._swept: dict[Path, float] = {}
        self._durable: set[Path] = set()

    def has(self, key: str) -> bool:
        """Whether the key was added and is neither forgotten nor expired. Raises SentError."""
        try:
            return self._alive(self._path(key).stat().st_mtime)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._error(error) from error

    def add(self, key: str) -> None:
        """Remember the key from now on; it is durable when this returns. Raises SentError."""
        path = self._path(key)
        try:
            if path.parent not in self._durable or not path.parent.is_dir():
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                for above in (self._directory, self._directory.parent):
                    with _opened(above) as handle:
                        os.fsync(handle)
                self._durable.add(path.parent)
            with _opened(path.parent) as parent:
                self._sweep(path.parent, parent)
                # Shared: no process may find the file expired and remove it between here and the new time.
                fcntl.flock(parent, fcntl.LOCK_SH)
                with _opened(path, os.O_WRONLY | os.O_CREAT) as handle:
                    os.utime(handle)
                    os.fsync(handle)
                os.fsync(parent)
        except OSError as error:
            raise self._error(error) from error

    def forget(self, keys: Iterable[str]) -> None:
        """Remove keys, whether they are there or not; durable when this returns. Raises SentError."""
        changed = set()
        try:
            for path in map(self._path, keys):
                with suppress(FileNotFoundError):
                    path.unlink()
                    changed.add(path.parent)
            for parent in changed:
                with _opened(parent) as handle:
                    os.fsync(handle)
        except OSError as error:
            raise self._error(error) from error

    def _sweep(self, directory: Path, handle: int) -> None:
        """Remove what has expired, unless that was done lately or somebody is adding here right now."""
        if time.monotonic() - self._swept.get(directory, -_SWEEP_SECONDS) < _SWEEP_SECONDS:
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        self._swept[directory] = time.monotonic()
        for path in directory.iterdir():
            with suppress(FileNotFoundError):
                if not self._alive(path.stat().st_mtime):
                    path.unlink()

    def _alive(self, added: float) -> bool:
        return time.time() - added < self._keep

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"expected a SHA-256 in lower-case hexadecimal digits, got {key!r}")
        return self._directory / key[:2] / key

    def _error(self, error: OSError) -> SentError:
        return SentError(f"{error.filename or self._directory}: {error.strerror or error}")


@contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY | os.O_DIRECTORY) -> Iterator[int]:
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)
