"""ec_string: the mutable byte string that Momentum hands to hooks and that msys.core.string_new makes.

The law: bytes inside; str() gives text, as everywhere (UTF-8 with surrogateescape).

Source: manual, struct string (len, buffer), `msys.core.string_new`, `msg:get_envelope2`.
"""

from __future__ import annotations


class EcString:
    """A string that a function can write into; it compares equal to another one of the same bytes."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("buffer",)

    def __init__(self, buffer: bytes = b"") -> None:
        self.buffer = buffer

    def __str__(self) -> str:
        return self.buffer.decode("utf-8", "surrogateescape")

    def __len__(self) -> int:
        return len(self.buffer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EcString) and other.buffer == self.buffer
