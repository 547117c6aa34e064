"""One LMDB file that all workers of a machine have mapped, and the way to read and write it.

The law: transactions are short, and nobody waits for another one's longer than PATIENCE. No fsync: what a transaction
wrote is in the page cache and so survives the death of any process, but not that of the machine. The file is allocated
whole when it is made: with a sparse one, a full disk would end every process that writes to the map (SIGBUS).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import lmdb

from lumilter.state.contract import StateError

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that a write waits for another process's. Those take microseconds; one that was stopped in the middle
(SIGSTOP, a debugger) must not stop the others."""
_REST = 1.0
"""Seconds in which nobody waits again after that."""
_READERS = 512
_FULL = 0.85
"""Share of the pages in use above which nothing new is taken: changes and removals need free pages themselves."""
_LOOK, _NEW = 0.5, 200
"""Seconds, and new records of this process, between two looks at how full it is."""
_DAMAGED = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError, struct.error)
_LAYOUT, _OURS = b"v", b"1"
"""The record that says how the others are laid out, and how this version does it: a new number for each new way."""
LEAST = 4 << 20
"""Bytes that a file needs for that to be often enough."""


class Environment:
    """The file `name`.mdb of a directory, for one process. size: its bytes, LEAST or more. Raises StateError.

    To be made after the process was forked, and once in a process.
    """

    def __init__(self, directory: Path, name: str, size: int) -> None:
        self.file = directory / f"{name}.mdb"
        self._size = size = max(size, LEAST)
        try:
            self._lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.env = lmdb.open(
                str(self.file), map_size=size, subdir=False, mode=0o600, max_readers=_READERS, max_dbs=0,
                sync=False, metasync=False, writemap=True, readahead=False, meminit=False,
            )  # fmt: skip
            self.env.reader_check()
            self._allocate()
        except _DAMAGED as error:
            raise self._damage(error) from error
        except (lmdb.Error, OSError) as error:
            raise StateError(f"{self.file} can't be opened: {error}") from error
        self._threads = threading.Lock()
        self._resting = 0.0
        self._full, self._looked, self._new = False, 0.0, 0
        layout = self.read(lambda txn: txn.get(_LAYOUT))
        if layout is None:
            self.write(lambda txn: txn.put(_LAYOUT, _OURS))
        elif layout != _OURS:
            raise StateError(f"{self.file} is of another version of lumilter: move it away while none runs")

    def _allocate(self) -> None:
        fd = os.open(self.file, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_blocks * 512 < self._size:
                os.posix_fallocate(fd, 0, self._size)
        finally:
            os.close(fd)

    def read(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """What work returns, from a consistent view. Raises StateError."""
        try:
            with self.env.begin() as txn:
                return work(txn)
        except _DAMAGED as error:
            raise self._damage(error) from error
        except lmdb.Error as error:
            raise StateError(f"{self.file} can't be read: {error}") from error

    def write(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """What work returns; what it wrote is there for all, or nothing of it is. Raises StateError."""
        self._enter()
        try:
            with self.env.begin(write=True) as txn:
                return work(txn)
        except lmdb.MapFullError as error:
            raise StateError(f"{self.file} is full: [state] size") from error
        except _DAMAGED as error:
            raise self._damage(error) from error
        except lmdb.Error as error:
            raise StateError(f"{self.file} can't be written: {error}") from error
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._threads.release()

    def check_room(self) -> None:
        """To be called before a record that is new is put. Raises StateError if there is no room for more of them."""
        now = time.monotonic()
        self._new += 1
        if self._new > _NEW or now > self._looked + _LOOK:
            self._new, self._looked, self._full = 0, now, self.used() > _FULL * self._size
        if self._full:
            raise StateError(f"{self.file} is full: [state] size")

    def used(self) -> int:
        """Bytes of the pages in use."""
        stat = self.env.stat()
        return int(stat["psize"]) * int(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])

    def snapshot(self, file: Path) -> None:
        """A copy that is on disk when it gets its name. Takes its time; any thread. Raises StateError."""
        part = file.with_suffix(".part")
        try:
            with part.open("wb") as out:
                self.env.copyfd(out.fileno(), compact=True)
                os.fsync(out.fileno())
            part.replace(file)
        except (lmdb.Error, OSError) as error:
            raise StateError(f"{file} can't be written: {error}") from error

    def changes(self) -> int:
        """A number that grows with every transaction that writes."""
        return int(self.env.info()["last_txnid"])

    def _damage(self, error: Exception) -> StateError:
        return StateError(f"{self.file} is damaged ({error}): move it away while lumilter does not run")

    def _enter(self) -> None:
        """Become the one who writes.

        LMDB has a lock for this, but one that can't be waited for with a limit. Whoever holds ours gets that at once.
        """
        if not self._threads.acquire(timeout=PATIENCE):
            raise StateError(f"{self.file} is held by another thread")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                self._queue()
            except BaseException:
                self._threads.release()
                raise

    def _queue(self) -> None:
        begun = time.monotonic()
        wait = 0.0
        while begun >= self._resting:
            time.sleep(wait)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            wait = min(wait + 20e-6, 1e-3)
            if time.monotonic() > begun + PATIENCE:
                self._resting = time.monotonic() + _REST
        raise StateError(f"{self.file} is held by another process")

    def close(self) -> None:
        """Give it back."""
        self.env.close()
        os.close(self._lock)


REST = b"\xff" * 512
"""Behind a prefix: after every key that begins with it."""


def records(txn: lmdb.Transaction, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values from `first` to `last`, both included, in order."""
    cursor = txn.cursor()
    more = cursor.set_range(first)
    while more:
        key, value = cast(tuple[bytes, bytes], cursor.item())
        if key > last:
            return
        yield key, value
        more = cursor.next()
