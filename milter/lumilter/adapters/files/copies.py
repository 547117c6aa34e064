"""Files for where nothing may be changed (`lumilter test` and its kin): what is opened to be written is a copy.

The law: the original is read at most. Whoever opens the same path again, to read or to write, gets the copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from lumilter.adapters.files.contract import FileError, reason

MOST = 64 << 20
"""Bytes of a file that is copied."""
_CHANGES = os.O_CREAT | os.O_TRUNC


class Copies:
    """The copies of a process; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._by_path: dict[str, str] = {}

    def to_read(self, path: str) -> str:
        """The path of what is to be read instead."""
        with self._lock:
            return self._by_path.get(str(Path(path).resolve()), path)

    def to_open(self, path: str, flags: int) -> str:
        """The path of what is to be opened with those flags instead. Raises FileError."""
        if flags & os.O_ACCMODE == os.O_RDONLY and not flags & _CHANGES:
            return self.to_read(path)
        try:
            if Path(path).is_char_device() or Path(path).is_dir():
                return path  # nothing that is kept, or an error
            with self._lock:
                return self._copy(path, flags)
        except (OSError, ValueError) as error:
            raise FileError(f"{path}: {reason(error)}") from None

    def _copy(self, path: str, flags: int) -> str:
        whole = str(Path(path).resolve())
        known = self._by_path.get(whole)
        if known is not None:
            return known
        original = Path(whole)
        if not original.exists() and (not flags & os.O_CREAT or not original.parent.is_dir()):
            return path  # the error is the real one's
        if original.exists() and original.stat().st_size > MOST:
            raise FileError(f"{path}: nothing is written here but to copies, and this is too large for one")
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="lumilter-")
        copy = str(Path(self._directory.name) / str(len(self._by_path)))
        if original.exists():
            shutil.copyfile(original, copy)
        self._by_path[whole] = copy
        return copy

    def close(self) -> None:
        """Remove them."""
        with self._lock:
            directory, self._directory = self._directory, None
            self._by_path.clear()
        if directory is not None:
            directory.cleanup()
