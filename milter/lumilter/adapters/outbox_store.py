"""The directory of messages that wait to be sent: what any process may do with it.

The law: a message has one file, which is there completely or not at all: it is written under another name, made durable
and renamed. When `put` returns the message survives a crash of the machine; when it raises nothing is left of it.

    waiting/   messages that are due now or later; a file moved here from `failed` is tried again
    failed/    messages that nobody took, with the reason in the first line
    bad/       files found in `waiting` that are no messages
    new/       files that are being written
    lock       held with flock(2) by the process that sends (outbox.Runner)
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lumilter.adapters.outbox_file import Envelope, Stored, parts
from lumilter.errors import LumilterError

_ABANDONED_SECONDS = 3600
"""Age from which a file in `new` is what a killed process left: writers write without a pause."""


class OutboxError(LumilterError):
    """The outbox can't be written or read: the disk is full, the directory is not ours."""


class Outbox:
    """A queue in a directory, shared by processes; any thread. The directory is made when it is first needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._durable = False
        self._waiting, self._failed, self._bad, self._new = (
            directory / name for name in ("waiting", "failed", "bad", "new")
        )

    def put(self, sender: str, recipients: Sequence[str], content: Sequence[bytes | memoryview]) -> str:
        """Keep a message until it was sent; its identifier once it is on disk. Raises OutboxError."""
        if not recipients:
            raise OutboxError(f"{self.directory}: a message without recipients")
        now = time.time()
        name = f"{int(now)}-{secrets.token_hex(8)}"
        try:
            self.prepare()
            self._write(self._waiting / name, Envelope(sender, tuple(dict.fromkeys(recipients)), now, now), content)
        except OSError as error:
            with suppress(OSError):
                (self._waiting / name).unlink(missing_ok=True)
            raise self._error(error) from error
        return name

    def waiting(self) -> int:
        """How many messages wait. Raises OutboxError."""
        return len(self.names())

    def names(self) -> list[str]:
        """The messages that wait. Raises OutboxError."""
        try:
            return [path.name for path in self._waiting.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._error(error) from error

    def prepare(self) -> None:
        """Make the directories that are missing. Raises OSError."""
        if not self._durable or not self._new.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # `new` is the last: where it is, the others are.
            for directory in (self._waiting, self._failed, self._bad, self._new):
                directory.mkdir(mode=0o700, exist_ok=True)
            _sync(self.directory)
            _sync(self.directory.parent)
            self._durable = True

    def sweep(self) -> None:
        """Remove what killed processes have left in `new`. Raises OSError."""
        for path in self._new.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    path.unlink()

    def lock(self) -> int | None:
        """A descriptor that holds the right to send until it is closed; None while another process has it.

        Raises OutboxError.
        """
        try:
            self.prepare()
            handle = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return None
            except BaseException:
                os.close(handle)
                raise
        except OSError as error:
            raise self._error(error) from error
        return handle

    def holds(self, handle: int) -> bool:
        """Whether a descriptor of `lock` still is the lock: somebody may have removed the directory."""
        try:
            return os.path.samestat(os.fstat(handle), (self.directory / "lock").stat())
        except OSError:
            return False

    def open(self, name: str) -> Stored:
        """A message; for the holder of the lock, as all below. Raises BadFile and OSError."""
        return Stored(self._waiting / name)

    def keep(self, name: str, envelope: Envelope, content: Sequence[bytes]) -> None:
        """Write a message again with another envelope. Raises OSError, and the old file stays."""
        self._write(self._waiting / name, envelope, content)

    def fail(self, name: str, envelope: Envelope, content: Sequence[bytes]) -> None:
        """Put a message, with those recipients that nobody takes, into `failed`. Raises OSError.

        The name says at which attempt: done again after a crash, it is the same file.
        """
        self._write(self._failed / f"{name}.{envelope.tries}", envelope, content)

    def done(self, name: str) -> None:
        """Forget a message. Raises OSError."""
        (self._waiting / name).unlink(missing_ok=True)
        _sync(self._waiting)

    def set_aside(self, name: str) -> None:
        """Move what is no message into `bad`. Raises OSError."""
        (self._waiting / name).rename(self._bad / name)

    def _write(self, path: Path, envelope: Envelope, content: Sequence[bytes | memoryview]) -> None:
        handle, temporary = tempfile.mkstemp(dir=self._new)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                for part in parts(envelope, content):
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).rename(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
        _sync(path.parent)

    def _error(self, error: OSError) -> OutboxError:
        return OutboxError(f"{error.filename or self.directory}: {error.strerror or error}")


def _sync(directory: Path) -> None:
    """Make what was made, renamed or removed in it durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
