"""Appends messages to a jlog, the queue on disk of OmniTI (github.com/omniti-labs/jlog), for its own readers.

    metastore      four native 32-bit numbers: the segment that is written, its size limit, safety, the magic number
    cp.HEX         a subscriber, its name in hexadecimal: the segment and the message that it has read up to
    00000000       a segment: each message behind a header of magic number, seconds, microseconds, length
    00000000.idx   made by readers

The law: written as jlog.c writes it, under its POSIX locks, so that C writers and readers may use the jlog at the same
time; what a reader finds is whole messages. These locks belong to the process and are lost when it closes any
descriptor of the file, so within a process one thread at a time has a jlog's files open, and none stays open.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from lumilter.adapters.files.contract import FileError, WriteOnly, held, locked, reason

MAGIC = 0x663A7318
COMPRESSED = 0x15106A00
"""The magic number of jlogs with compressed messages, without its last byte."""
UNREADABLE = "a jlog is read by its subscribers (JLog::Reader, jlogctl), not by scripts"
"""As Momentum has it, which took "the read half" out of its own jlog wrapper in 2007 (changelog, ticket 2345)."""
UNIT_LIMIT = 4 << 20
ALMOST_SAFE = 1
_META = struct.Struct("=IIII")
_CHECKPOINT = struct.Struct("=II")
_HEADER = struct.Struct("=IIII")
_TRIES = 1000


class _Turn:
    """Who of this process may have the files of a jlog open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
_turns_lock = threading.Lock()


class JlogWriter(WriteOnly):
    """See Stream; it can only be written. Raises FileError.

    subscribers: who reads it; made known to the jlog where they are new. create: make the jlog where it is
    missing. mode: of its files; its directory can be entered by whoever may read them.
    """

    def __init__(self, path: str, subscribers: Sequence[str], create: bool, mode: int) -> None:
        self.path, self._mode = Path(path), mode & 0o777
        self.unreadable = f"{path}: {UNREADABLE}"
        self.unmovable = f"{path}: a jlog has no position"
        self._closed = False
        name = os.path.realpath(path)
        with _turns_lock:
            self._turn = _turns.setdefault(name, _Turn())
        with self._turn.lock, self._explained():
            if create:
                self._create()
            self._meta()
            for subscriber in subscribers:
                first = min((int(name, 16) for name in self._segments()), default=0)
                self._place(f"cp.{subscriber.encode('utf-8', 'surrogateescape').hex()}", _CHECKPOINT.pack(first, 0))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise FileError(f"{self.path}: {reason(error)}") from None

    # --- Stream ------------------------------------------------------------------------------------------------------

    def write(self, data: bytes, deadline: float) -> int:
        """See Stream: one message."""
        if self._closed:
            raise FileError(f"{self.path}: it is closed")
        with held(self._turn.lock, deadline, str(self.path)), self._explained():
            for _ in range(_TRIES):
                if self._append(data, deadline):
                    return len(data)
            raise FileError(f"{self.path}: its segments change without end")

    def close(self) -> None:
        """See Stream."""
        self._closed = True

    # --- files -------------------------------------------------------------------------------------------------------

    def _create(self) -> None:
        readable_as_enterable = self._mode | (self._mode & 0o444) >> 2
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(readable_as_enterable)
            self.path.chmod(readable_as_enterable)
        if not (self.path / "metastore").exists():
            if any(not entry.name.startswith(".new-") for entry in self.path.iterdir() if entry.name != "metastore"):
                raise FileError(f"{self.path}: it is a directory with something else in it, and no jlog")
            self._place("metastore", _META.pack(0, UNIT_LIMIT, ALMOST_SAFE, MAGIC))

    def _place(self, name: str, content: bytes) -> None:
        """Make a small file with its content at once, unless it is there."""
        if (self.path / name).exists():
            return
        new = self.path / f".new-{secrets.token_hex(8)}"
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)
            try:
                os.write(fd, content)
            finally:
                os.close(fd)
            with contextlib.suppress(FileExistsError):
                os.link(new, self.path / name)
        finally:
            new.unlink(missing_ok=True)

    def _meta(self) -> tuple[int, int]:
        """The segment that is written, and its limit."""
        try:
            content = (self.path / "metastore").read_bytes()
        except FileNotFoundError:
            raise FileError(f"{self.path}: it is no jlog") from None
        if len(content) != _META.size:
            raise FileError(f"{self.path}: its metastore has {len(content)} bytes, not {_META.size}")
        segment, limit, _, magic = _META.unpack(content)
        if magic & ~0xFF == COMPRESSED:
            raise FileError(f"{self.path}: its messages are compressed; only plain jlogs are written")
        if magic != MAGIC or not limit:
            raise FileError(f"{self.path}: its metastore is damaged, or of another byte order")
        return segment, limit

    def _segments(self) -> list[str]:
        return [name for name in os.listdir(self.path) if re.fullmatch(r"[0-9a-fA-F]{8}", name)]  # noqa: PTH208

    def _open(self, name: str) -> int:
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)

    def _append(self, data: bytes, deadline: float) -> bool:
        """False where another segment is to be tried."""
        segment, limit = self._meta()
        fd = self._open(f"{segment:08x}")
        try:
            locked(lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), deadline, str(self.path))
            state = os.fstat(fd)
            if state.st_size < limit and (not state.st_nlink or self._meta()[0] != segment):
                return False  # read to its end and removed, before it was locked
            if state.st_size < limit:
                now = time.time_ns() // 1000
                message = _HEADER.pack(MAGIC, now // 1_000_000, now % 1_000_000, len(data)) + data
                _write_at(fd, message, state.st_size)
                if state.st_size + len(message) < limit:
                    return True
            os.fdatasync(fd)
        finally:
            os.close(fd)
        self._go_on_after(segment, deadline)
        return state.st_size < limit

    def _go_on_after(self, segment: int, deadline: float) -> None:
        """Begin the next segment, unless another writer has."""
        fd = os.open(self.path / "metastore", os.O_RDWR | os.O_CLOEXEC)
        try:
            locked(lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), deadline, str(self.path))
            current = int.from_bytes(os.pread(fd, 4, 0), sys.byteorder)
            if current == segment:
                os.close(self._open(f"{segment + 1:08x}"))
                os.pwrite(fd, (segment + 1).to_bytes(4, sys.byteorder), 0)
        finally:
            os.close(fd)


def _write_at(fd: int, message: bytes, offset: int) -> None:
    """All of it, or nothing."""
    rest, at = memoryview(message), offset
    try:
        while rest:
            written = os.pwrite(fd, rest, at)
            rest, at = rest[written:], at + written
    except OSError:
        os.ftruncate(fd, offset)
        raise
