"""Sessions saved to files as they happen, for `lumilter replay`.

The law: mail goes on whatever becomes of a file. A session is one file, readable by its owner only, to which each event
is appended at once, so that a crash leaves what came before; no descriptor is kept. What is there is bounded.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from lumilter import __version__
from lumilter.daemon.session_file import cut_line, header_line, read, step_line
from lumilter.daemon.trace import Network, is_of
from lumilter.session.events import Close, Connect, EndOfMessage, Event, Outcome, ReplaceBody
from lumilter.session.session import Session

__all__ = ["SUFFIX", "Recorder", "read"]

log = logging.getLogger("lumilter.record")

SUFFIX = ".session"
LONGEST = 16 << 20
"""Bytes of one file; what would pass them is left out, and the session's rest with it."""
SESSIONS = 10_000
"""Files in the directory beyond which no session is begun to be saved."""
TOTAL = 1 << 30
"""Bytes of all files likewise."""
_SHARES = 10
"""The part of both that is used before the directory is looked at again: other workers save there too."""
_LOOK = 1.0
"""Seconds between two looks at a directory that is full."""
_PATIENCE = 300.0
"""Seconds between two complaints about the same kind of trouble."""


class Recorder:
    """An engine's observer, on any thread. Saves nothing where directory is empty.

    networks: of the clients whose sessions are saved from the start; generation: of the scripts. Only sessions whose
    Connect was seen after they were asked for are saved, so that each file is a whole one.
    """

    def __init__(self, directory: str, networks: Iterable[Network] = (), generation: int = 0) -> None:
        self._directory = Path(directory) if directory else None
        self._always = tuple(networks)
        self._networks = self._always
        self._generation = generation
        self._numbers = itertools.count(1)
        self._files: dict[Session, _File] = {}
        self._room = _Room()
        self._complained: dict[str, float] = {}

    def watch(self, networks: Iterable[str]) -> None:
        """Save these clients' sessions beside the configured ones', in place of those asked for before."""
        self._networks = (*self._always, *(ipaddress.ip_network(each, strict=False) for each in networks))

    def observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        """Save an event, if it is one of a session that is saved."""
        if isinstance(event, Connect):
            self._begin(session)
        file = self._files.get(session)
        if file is None:
            return
        before = file.size
        try:
            if not file.add(event, outcome):
                self._trouble("size", f"{file.path}: the rest of the session is not saved, it passes {LONGEST} bytes")
                del self._files[session]
        except OSError as error:
            self._trouble("disk", f"{file.path}: the rest of the session is not saved: {error.strerror}")
            del self._files[session]
        finally:
            self._room.spend(file.size - before)
        if isinstance(event, Close):
            self._files.pop(session, None)

    def _begin(self, session: Session) -> None:
        if not (self._networks and self._directory and is_of(session.ac.remote.address, self._networks)):
            return
        try:
            self._directory.mkdir(0o700, parents=True, exist_ok=True)
            if not self._room.take(self._directory):
                self._trouble(
                    "room", f"{self._directory}: no more sessions are saved: there are {SESSIONS}, or {TOTAL} bytes"
                )
                return
            about = {
                "lumilter": __version__, "time": time.time(), "generation": self._generation, "shadow": session.shadow,
            }  # fmt: skip
            self._files[session] = self._new_file(self._directory, header_line(about))
        except OSError as error:
            self._trouble("disk", f"{self._directory}: a session is not saved: {error.strerror}")

    def _new_file(self, directory: Path, header: bytes) -> _File:
        """Named so that sessions are in the order in which they began."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        while True:
            with contextlib.suppress(FileExistsError):  # of a process that had our number in the same second
                return _File(directory / f"{stamp}-{os.getpid()}-{next(self._numbers):06d}{SUFFIX}", header)

    def _trouble(self, kind: str, text: str) -> None:
        now = time.monotonic()
        if now - self._complained.get(kind, -_PATIENCE) >= _PATIENCE:
            self._complained[kind] = now
            log.error("%s", text)


class _File:
    """One session's. Raises OSError, and then leaves whole lines behind as far as the disk lets it."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.size = 0
        try:
            self._append(header, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            raise
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def add(self, event: Event, outcome: Outcome) -> bool:
        """Whether there was room for it."""
        line = step_line(event, outcome) if _weight(event, outcome) <= LONGEST else b""
        if not line or self.size + len(line) > LONGEST:
            self._append(cut_line(f"the rest would pass {LONGEST >> 20} MiB"))
            return False
        self._append(line)
        return True

    def _append(self, line: bytes, flags: int = 0) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
        try:
            written = 0
            while written < len(line):
                written += os.write(descriptor, line[written:])
            self.size += len(line)
        except OSError:
            os.ftruncate(descriptor, self.size)
            raise
        finally:
            os.close(descriptor)


def _weight(event: Event, outcome: Outcome) -> int:
    """The least that a line takes, before it is made."""
    bodies = sum(len(edit.body) for edit in outcome.edits if isinstance(edit, ReplaceBody))
    if isinstance(event, EndOfMessage):
        bodies += len(event.body) + sum(len(name) + len(value) for name, value in event.headers)
    return bodies


class _Room:
    """What may be saved in a directory before somebody has to look at it again."""

    def __init__(self) -> None:
        self._sessions = self._bytes = 0
        self._full_until = 0.0
        self._lock = threading.Lock()

    def take(self, directory: Path) -> bool:
        """Begin a session; False if the directory is full."""
        with self._lock:
            if self._is_used_up and time.monotonic() >= self._full_until:
                self._look(directory)
                if self._is_used_up:
                    self._full_until = time.monotonic() + _LOOK
            if self._is_used_up:
                return False
            self._sessions -= 1
            return True

    @property
    def _is_used_up(self) -> bool:
        return self._sessions <= 0 or self._bytes <= 0

    def spend(self, size: int) -> None:
        """So many bytes were saved."""
        with self._lock:
            self._bytes -= size

    def _look(self, directory: Path) -> None:
        self._sessions, self._bytes = SESSIONS, TOTAL
        with os.scandir(directory) as entries:
            for entry in entries:
                self._sessions -= 1
                with contextlib.suppress(FileNotFoundError):  # somebody tidies up
                    self._bytes -= entry.stat(follow_symlinks=False).st_size
        self._sessions, self._bytes = min(self._sessions, SESSIONS // _SHARES), min(self._bytes, TOTAL // _SHARES)
