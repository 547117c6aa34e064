"""A file of this machine.

The law: an append is one write(2) under a lock of the file, so that what several workers append is whole, and one that
fails leaves nothing. Opening never blocks and never makes a terminal ours. The descriptor is closed with the last
reference.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path

from lumilter.adapters.files.contract import FileError, Limits, held, locked, reason

_PIECE = 1 << 16
_ALWAYS = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
ALLOWED = (
    os.O_ACCMODE | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_EXCL | os.O_SYNC | os.O_DSYNC | os.O_NOFOLLOW | _ALWAYS
)


class LocalFile:
    """See Stream. Raises FileError. flags: of open(2); mode: of a file that is made, less the umask."""

    def __init__(self, path: str, flags: int, mode: int, limits: Limits) -> None:
        self.path, self._limits = path, limits
        self._fd = -1
        self._appends = bool(flags & os.O_APPEND)
        self._ahead = b""
        """What was read beyond what was asked for."""
        self._lock = threading.Lock()
        if flags & ~ALLOWED or flags < 0:
            raise FileError(f"{flags} is no sum of msys.core.O_*")
        try:
            self._fd = os.open(path, flags | _ALWAYS, mode & 0o7777)
            kind = os.fstat(self._fd).st_mode
        except (OSError, ValueError) as error:
            raise FileError(f"{path}: {reason(error)}") from None
        if not stat.S_ISREG(kind) and not stat.S_ISCHR(kind):
            self.close()
            raise FileError(f"{path}: neither a file nor a character device")

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """See Stream."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, size: int, deadline: float) -> bytes:
        """See Stream."""
        if size > self._limits.max_read:
            raise FileError(f"{self.path}: {size} bytes are more than [files] max_read")
        with held(self._lock, deadline, self.path):
            while len(self._ahead) < size and self._fill():
                pass
            return self._take(size)

    def read_all(self, deadline: float) -> bytes:
        """See Stream."""
        pieces: list[bytes] = []
        size = 0
        with held(self._lock, deadline, self.path):
            while self._ahead or self._fill():
                size += len(self._ahead)
                if size > self._limits.max_read:
                    raise FileError(f"{self.path}: it is larger than [files] max_read ({self._limits.max_read} bytes)")
                pieces.append(self._take(len(self._ahead)))
        return b"".join(pieces)

    def read_line(self, deadline: float) -> bytes | None:
        """See Stream."""
        pieces: list[bytes] = []
        size = 0
        with held(self._lock, deadline, self.path):
            while self._ahead or self._fill():
                end = self._ahead.find(b"\n")
                piece = self._take(end + 1 if end >= 0 else len(self._ahead))
                if end >= 0:
                    return b"".join((*pieces, piece[:-1]))
                size += len(piece)
                if size > self._limits.max_read:
                    raise FileError(f"{self.path}: a line is longer than [files] max_read")
                pieces.append(piece)
        return b"".join(pieces) if pieces else None

    def _fill(self) -> bool:
        """Read ahead; False at the end."""
        self._check_open()
        try:
            piece = os.read(self._fd, _PIECE)
        except OSError as error:
            raise FileError(f"{self.path}: {reason(error)}") from None
        self._ahead += piece
        return bool(piece)

    def _take(self, size: int) -> bytes:
        self._check_open()
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return taken

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, data: bytes, deadline: float) -> int:
        """See Stream."""
        with held(self._lock, deadline, self.path):
            self._check_open()
            try:
                self._forget_ahead()
                if self._appends:
                    self._append(data, deadline)
                else:
                    _write_all(self._fd, data)
            except OSError as error:
                raise FileError(f"{self.path}: {reason(error)}") from None
        return len(data)

    def _append(self, data: bytes, deadline: float) -> None:
        fd = self._fd
        locked(lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), deadline, self.path)
        try:
            size = os.fstat(fd).st_size
            try:
                _write_all(fd, data)
            except OSError:
                if os.fstat(fd).st_size > size:  # a line that is cut short would spoil the next
                    os.ftruncate(fd, size)
                raise
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)

    def seek(self, offset: int, whence: int) -> int:
        """See Stream."""
        with self._lock:
            self._check_open()
            try:
                self._forget_ahead()
                return os.lseek(self._fd, offset, whence)
            except (OSError, OverflowError) as error:
                raise FileError(f"{self.path}: {reason(error) if isinstance(error, OSError) else error}") from None

    def _forget_ahead(self) -> None:
        """Move the descriptor to where the script is."""
        ahead, self._ahead = len(self._ahead), b""
        if ahead:
            os.lseek(self._fd, -ahead, os.SEEK_CUR)

    def _check_open(self) -> None:
        if self._fd < 0:
            raise FileError(f"{self.path}: it is closed")


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def read_file(path: str, limits: Limits, deadline: float) -> bytes:
    """The whole of a file. Raises FileError."""
    file = LocalFile(path, os.O_RDONLY, 0, limits)
    try:
        if Path(path).is_char_device():
            raise FileError(f"{path}: a device has no end")
        return file.read_all(deadline)
    finally:
        file.close()
