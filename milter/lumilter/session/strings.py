"""ec_string: the mutable byte string that Momentum hands to hooks and that msys.core.string_new makes.

The law: bytes inside; str() gives text, as everywhere (UTF-8 with surrogateescape).

Source: manual, struct string (len, buffer), `msys.core.string_new`, `msg:get_envelope2`.
"""

from __future__ import annotations

from collections.abc import Callable

from lumilter.errors import LumilterError


class IoObject:
    """Something to write into: Momentum's io_object. on_close: gets all that was written."""

    __slots__ = ("_on_close", "_written")

    def __init__(self, on_close: Callable[[bytes], None]) -> None:
        self._on_close: Callable[[bytes], None] | None = on_close
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Raises LumilterError after `close`."""
        if self._on_close is None:
            raise LumilterError("it is closed")
        self._written.append(data)

    def close(self) -> None:
        """Once; again is nothing."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(b"".join(self._written))
            self._written = []


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
            self.backing.write(data)
        else:
            self.buffer = data

    def __str__(self) -> str:
        return self.buffer.decode("utf-8", "surrogateescape")

    def __len__(self) -> int:
        return len(self.buffer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EcString) and other.buffer == self.buffer
