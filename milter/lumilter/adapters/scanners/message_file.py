"""The file that a program scans: it goes with the scan, or with the next process if this one is killed meanwhile.

The law: the file is its process's as long as that holds its lock; whoever gets the lock of one may remove it. It has a
name in the directory of temporary files, because scanners look at names, follow no /proc, or hand them on to daemons.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_PREFIX = "lumilter-scan-"


@contextlib.contextmanager
def message_file(chunks: Iterable[memoryview]) -> Iterator[str]:
    """The name of a file with these contents, which only this user can read. Raises OSError."""
    descriptor, name = _locked()
    try:
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            for chunk in chunks:
                while chunk:
                    chunk = chunk[file.write(chunk) :]
        yield name
    finally:
        Path(name).unlink(missing_ok=True)  # with the lock: until then nobody else looks at it
        os.close(descriptor)


def _locked() -> tuple[int, str]:
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)  # somebody swept between the two


def sweep() -> None:
    """Remove what processes left that were killed while they scanned."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or gone, or not left at all
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)
