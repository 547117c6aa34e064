"""A message in the outbox as a file: one line of JSON for the envelope, then the content as it was given.

The law: what was written is read again exactly, whatever is in an address (a lone surrogate stands for a byte that is
not UTF-8; JSON escapes it); what is not such a file raises BadFile, whatever it is. Content is read while it is sent.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

VERSION = 1
_BLOCK = 262_144
_LONGEST_LINE = 64 << 20
"""Bytes of JSON: more than a million recipients."""


class BadFile(Exception):
    """Not a file of an outbox. Never leaves the outbox."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom, and how far that is. created, next: seconds since 1970; next is when it is due.

    tries: attempts so far. reason: what went wrong at the last one, "" before it.
    """

    sender: str
    recipients: tuple[str, ...]
    created: float
    next: float
    tries: int = 0
    reason: str = ""

    def line(self) -> bytes:
        """The first line of the file; ASCII."""
        fields = {"version": VERSION} | {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Envelope:
        """Read a line. Raises BadFile."""
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadFile(f"its first line is not JSON: {error}") from error
        if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
            raise BadFile(f"its first line is not an envelope of version {VERSION}")
        try:
            envelope = cls(**fields | {"recipients": tuple(fields["recipients"])})
        except (TypeError, KeyError) as error:
            raise BadFile(f"its envelope is not complete: {error}") from error
        if not envelope._sound():
            raise BadFile("its envelope has a value of the wrong type, or no recipients")
        return envelope

    def _sound(self) -> bool:
        texts = (self.sender, self.reason, *self.recipients)
        times = (self.created, self.next)
        return (
            bool(self.recipients)
            and all(isinstance(text, str) for text in texts)
            and all(type(value) in (int, float) and math.isfinite(value) for value in times)
            and type(self.tries) is int
            and self.tries >= 0
        )


class Content(Sequence[bytes]):
    """What follows the envelope, a block at a time. Raises OSError when the file got shorter than it was."""

    def __init__(self, handle: int, start: int, size: int) -> None:
        self._handle, self._start, self._size = handle, start, size

    def __len__(self) -> int:
        return -(-self._size // _BLOCK)

    def __getitem__(self, index: Any) -> Any:  # an int; nobody takes slices
        if not 0 <= index < len(self):
            raise IndexError(index)
        want = min(_BLOCK, self._size - index * _BLOCK)
        block = os.pread(self._handle, want, self._start + index * _BLOCK)
        if len(block) != want:
            raise OSError("the file got shorter while it was read")
        return block


class Stored:
    """A file of the outbox, open: a context manager with its envelope and content."""

    def __init__(self, path: Path) -> None:
        """Raises BadFile, FileNotFoundError, and OSError for what may pass (too many open files, say)."""
        try:
            # Neither a symbolic link nor a FIFO that somebody put here is followed or waited for.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM):  # a link, a socket, not ours
                raise BadFile(str(error)) from error
            raise
        self._handle = handle
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise BadFile("not a file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                line = file.readline(_LONGEST_LINE)
            if not line.endswith(b"\n"):
                raise BadFile("its first line has no end")
            self.envelope = Envelope.parse(line)
            self.content = Content(handle, len(line), about.st_size - len(line))
        except BaseException:
            os.close(handle)
            raise

    def __enter__(self) -> Stored:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)


def parts(envelope: Envelope, content: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """What to write into a file."""
    yield envelope.line()
    yield from content
