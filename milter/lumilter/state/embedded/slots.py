"""Who of the processes that share a state directory is alive.

The law: a process is alive as long as it holds the lock on its byte of the file `slots`. The kernel gives that back at
the moment it dies, however it does; no clock and no process number is trusted.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from lumilter.state.contract import StateError

MOST = 4096
_SWEEPER = MOST
"""The byte of whoever sweeps."""
_FLOCK = "hhqqi"
"""struct flock of Linux, 64 bits: type, whence, start, length, process."""


class Slots:
    """The file, as one process has it open. own: this process's number, from `claim` on."""

    def __init__(self, directory: Path) -> None:
        try:
            self._fd = os.open(directory / "slots", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{directory}/slots can't be opened: {error}") from error
        self.own = self._claim()

    def _claim(self) -> int:
        for number in range(MOST):
            if self._take(number):
                return number
        raise StateError(f"more than {MOST} processes share a state directory")

    def alive(self, number: int) -> bool:
        """Whether a process has that number."""
        if number == self.own:
            return True
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        kind: int = struct.unpack(_FLOCK, fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, asked))[0]
        return kind != fcntl.F_UNLCK

    def sweeping(self) -> bool:
        """Whether this process is the one that sweeps, which it becomes if there is none."""
        return self._take(_SWEEPER)

    def _take(self, number: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Be no longer alive."""
        os.close(self._fd)
