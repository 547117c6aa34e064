"""The directory in which the machine's state is: made ready by the supervisor, opened by each worker.

The law: LMDB is opened in workers only. What does not persist ends with the daemon: its files are removed before the
first worker starts. Workers that outlive a killed supervisor go on with the removed files, and disturb nobody.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path

from lumilter.config.sections.state import State as Settings
from lumilter.errors import ConfigError
from lumilter.state import kept
from lumilter.state.embedded import FLEETING

log = logging.getLogger("lumilter.state")


class StateDirectory:
    """What [state] directory names, taken for this daemon; or a temporary one. Raises ConfigError."""

    def __init__(self, settings: Settings) -> None:
        self._configured = settings.directory
        self._lock: int | None = None
        try:
            if settings.directory:
                self.path = Path(settings.directory)
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._take()
            else:
                self.path = Path(tempfile.mkdtemp(prefix="lumilter-state-", dir=_on_disk()))
            for file in (f"{FLEETING}.mdb", f"{FLEETING}.mdb-lock", f"{FLEETING}.lock", "slots"):
                (self.path / file).unlink(missing_ok=True)
            if settings.directory:
                kept.make_ready(self.path)
        except OSError as error:
            raise ConfigError(f"[state] directory can't be used: {error}") from None

    def _take(self) -> None:
        self._lock = os.open(self.path / "daemon", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process: no worker inherits it
        except OSError:
            os.close(self._lock)
            raise ConfigError(f"[state] directory: {self.path} is another running daemon's") from None

    def check(self, settings: Settings) -> None:
        """Raise ConfigError if a reload asks for another directory."""
        if settings.directory != self._configured:
            raise ConfigError("[state] directory changes with a restart only")

    def close(self) -> None:
        """Give it back, when the last worker is gone."""
        if self._configured:
            try:
                kept.put_away(self.path)
            except OSError as error:
                log.error("what persists could not be put on disk: %s", error)
        if self._lock is not None:
            os.close(self._lock)
        if not self._configured:
            shutil.rmtree(self.path, ignore_errors=True)


def _on_disk() -> str | None:
    """Where temporary files take no memory: /tmp often does."""
    wanted = os.environ.get("TMPDIR") or "/var/tmp"
    return wanted if os.access(wanted, os.W_OK | os.X_OK) else None
