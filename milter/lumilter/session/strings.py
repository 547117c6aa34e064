"""ec_string: the mutable byte string that Momentum hands to hooks and that msys.core.string_new makes.

The law: bytes inside; str() gives text, as everywhere (UTF-8 with surrogateescape).

Source: manual, struct string (len, buffer), `msys.core.string_new`, `msg:get_envelope2`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from lumilter.errors import LumilterError


class Sink(Protocol):
    """What takes what is written into an io_object."""

    def write(self, data: bytes) -> None:
        """Raises LumilterError after `close`."""
        ...

    def close(self) -> None:
        """Once; again is nothing."""
        ...


class Gathered:
    """A Sink in memory. on_close: gets all that was written."""

    __slots__ = ("_on_close", "_written")

    def __init__(self, on_close: Callable[[bytes], None]) -> None:
        self._on_close: Callable[[bytes], None] | None = on_close
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """See Sink."""
        if self._on_close is None:
            raise LumilterError("it is closed")
        self._written.append(data)

    def close(self) -> None:
        """See Sink."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(b"".join(self._written))
            self._written = []


class IoObject:
    """Momentum's io_object: something to write into, and perhaps to read from.

    sink: what takes what is written, at once; None where that is not for the session to do, but for whoever opened it.
    opened: what was opened, then.
    """

    __slots__ = ("opened", "sink")

    def __init__(self, sink: Sink | None = None, opened: Any = None) -> None:
        self.sink, self.opened = sink, opened


class EcString:
    """A string that a function can write into; it compares equal to another one of the same bytes.

    type: one of msys.core.STRING_TYPE_*, 0 at first. backing: what is written goes there instead, where that is set.
    """

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("backing", "buffer", "type")

    def __init__(self, buffer: bytes = b"") -> None:
        self.buffer = buffer
        self.type = 0
        self.backing: IoObject | None = None

    def take(self, data: bytes) -> None:
        """Let a function's result be written into it."""
        if self.backing is not None:
            if self.backing.sink is None:
                raise LumilterError("an opened file can't be behind a string: write the string's buffer to it")
            self.backing.sink.write(data)
        else:
            self.buffer = data

    def __str__(self) -> str:
        return self.buffer.decode("utf-8", "surrogateescape")

    def __len__(self) -> int:
        return len(self.buffer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EcString) and other.buffer == self.buffer
