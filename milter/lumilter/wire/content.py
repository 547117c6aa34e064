"""The message that an MTA is sending: in memory, and a long body in an unlinked file.

The law: memory is bounded whatever comes. What does not fit, or can't be written, is not kept, and is answered for at
the end of the message; the connection and all others go on.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from lumilter.session.events import Outcome
from lumilter.wire.debts import TEMPFAIL
from lumilter.wire.packets import LARGEST

log = logging.getLogger("lumilter.wire")

_TUPLE = 200
"""Bytes that a header takes in memory beside its name and value, about."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken of one message, as in `server.MilterServer`; 0 is no limit.

    headers: bytes of memory for the headers, whose number no MTA limits; a message with more is answered with
    on_headers.
    on_spool: for a message whose body can't be written to its file. packet: bytes in one packet of the MTA; a message
    with a larger one is answered with on_packet.
    """

    memory_body: int = 0
    spool: str = ""
    message_size: int = 0
    on_message_size: Outcome = TEMPFAIL
    on_limit: Callable[[str], None] = lambda name: None
    headers: int = 64 << 20
    on_headers: Outcome = TEMPFAIL
    on_spool: Outcome = TEMPFAIL
    packet: int = LARGEST
    on_packet: Outcome = TEMPFAIL


class Mapped(mmap.mmap):
    """A file in memory, as far as it is looked at."""

    def let_go(self) -> None:
        """Give back the memory; what somebody looks at later is read again."""
        self.madvise(mmap.MADV_DONTNEED)


class Content:
    """One message after the other. outcome: what it has to be answered with, None as long as all of it is here."""

    __slots__ = ("_chunks", "_file", "_held", "_limits", "_map", "_size", "_view", "_weight", "headers", "outcome")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.headers: list[tuple[bytes, bytes]] = []
        self.outcome: Outcome | None = None
        self._chunks: list[bytes] = []
        self._held = 0
        self._size = 0
        self._weight = 0
        self._file: IO[bytes] | None = None
        self._map: Mapped | None = None
        self._view: memoryview | None = None

    def add_header(self, name: bytes, value: bytes) -> None:
        if self.outcome is not None:
            return
        self.headers.append((name, value))
        length = len(name) + len(value) + 3  # a colon and CRLF
        self._size += length
        self._weight += length + _TUPLE
        if self._weight > self._limits.headers > 0:
            self._give_up("headers", self._limits.on_headers)
        elif self._size > self._limits.message_size > 0:
            self._give_up("message_size", self._limits.on_message_size)

    def add_body(self, chunk: bytes) -> None:
        if self.outcome is not None:
            return
        self._size += len(chunk)
        if self._size > self._limits.message_size > 0:
            self._give_up("message_size", self._limits.on_message_size)
            return
        try:
            if self._file is not None:
                _write(self._file, chunk)
                return
            self._chunks.append(chunk)
            self._held += len(chunk)
            if self._held > self._limits.memory_body > 0:
                self._file = tempfile.TemporaryFile(buffering=0, dir=self._limits.spool or None)  # noqa: SIM115
                for each in self._chunks:
                    _write(self._file, each)
                self._chunks.clear()
        except OSError as error:
            self._unspooled(error)

    def leave_out(self) -> None:
        """A piece of it was too large to be read."""
        if self.outcome is None:
            self._give_up("packet", self._limits.on_packet)

    def body(self) -> bytes | memoryview:
        """All of it: bytes, or a read-only memoryview of the file, which ends with `clear`.

        What the view is of (its `obj`) has SMTP's end-of-data mark behind it: patterns are searched in both together.
        Where the file can't be mapped, `outcome` says so afterwards.
        """
        if self._file is None:
            if len(self._chunks) != 1:
                self._chunks = [b"".join(self._chunks)]
            return self._chunks[0]
        try:
            size = self._file.tell()
            _write(self._file, _END_OF_DATA)
            self._map = Mapped(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            self._unspooled(error)
            return b""
        self._view = memoryview(self._map)[:size]
        return self._view

    def clear(self) -> None:
        """The message is over. A view of the body that somebody still looks at lives as long as that."""
        if self._size:
            self._drop()
            self._size = self._weight = 0
        self.outcome = None

    def _unspooled(self, error: OSError) -> None:
        log.error("a message is not judged, its body can't be spooled: %s", error)
        self._give_up("spool", self._limits.on_spool)

    def _give_up(self, limit: str, outcome: Outcome) -> None:
        self.outcome = outcome
        self._drop()
        self._limits.on_limit(limit)

    def _drop(self) -> None:
        self.headers.clear()
        self._chunks.clear()
        self._held = 0
        if self._file is not None:
            with contextlib.suppress(BufferError):
                if self._view is not None:
                    self._view.release()
                if self._map is not None:
                    self._map.close()
            self._file.close()
            self._file = self._map = self._view = None


_END_OF_DATA = b".\r\n"


def _write(file: IO[bytes], chunk: bytes) -> None:
    """All of it: a disk that fills up takes less than it was given, and then fails."""
    written = file.write(chunk)
    while written < len(chunk):
        written += file.write(chunk[written:])
