"""The directory in which the machine's state is: made ready by the supervisor, opened by each worker.

The law: LMDB is opened in workers only. What does not persist ends with the daemon: its files are removed before the
first worker starts. Workers that outlive a killed supervisor go on with the removed files, and disturb nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lumilter.config import Config
from lumilter.config.sections.state import State as Settings
from lumilter.errors import ConfigError
from lumilter.loop import Loop
from lumilter.state.contract import StateError
from lumilter.state.embedded import FLEETING, EmbeddedStore
from lumilter.state.state import Rules, State

log = logging.getLogger("lumilter.state")

_EVERY = 1.0
"""Seconds between two rounds of sweeping."""
_STEP, _STEPS = 2000, 50
"""Records of a step, and steps of a round at most."""
_BREATH = 0.005
"""Seconds between two steps, for everybody else."""


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
        if self._lock is not None:
            os.close(self._lock)
        if not self._configured:
            shutil.rmtree(self.path, ignore_errors=True)


def _on_disk() -> str | None:
    """Where temporary files take no memory: /tmp often does."""
    wanted = os.environ.get("TMPDIR") or "/var/tmp"
    return wanted if os.access(wanted, os.W_OK | os.X_OK) else None


def open_state(config: Config, directory: Path) -> State:
    """The state as a worker works with it. Raises ConfigError."""
    try:
        store = EmbeddedStore(directory, config.state.size, keep=bool(config.state.directory))
    except StateError as error:
        raise ConfigError(f"[state] directory: {error}") from None
    return State(store, rules_of(config))


def rules_of(config: Config) -> Rules:
    """What the configuration says about state."""
    return Rules(
        on_failure=config.state.on_failure,
        series={series.name: series.on_failure for series in config.series},
        lock_lease=config.state.lock_lease,
        monitors={f"{seconds},{windows}": (seconds, windows) for seconds, windows in config.inbound_audit.monitors},
        keep_monitors=config.inbound_audit.persist,
    )


def sweep(loop: Loop, step: Callable[[int], bool]) -> None:
    """Free what has expired from now on, on the loop's pool. step: a store's."""

    def work() -> None:
        try:
            for _ in range(_STEPS):
                if not step(_STEP):
                    return
                time.sleep(_BREATH)
        except Exception as error:
            log.error("what has expired could not be freed: %s", error)

    def again() -> None:
        with contextlib.suppress(RuntimeError):  # the pool is shut down
            loop.pool.submit(work).add_done_callback(lambda _: loop.post(wait))

    def wait() -> None:
        loop.at(time.monotonic() + _EVERY, again)

    wait()
