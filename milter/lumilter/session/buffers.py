"""Long texts without copies of them: a body that is a view of a file, and texts put together piece by piece.

The law: what is read of a file does not stay in memory. Nothing here changes a byte, and nothing knows of files: what a
view is of says itself that it can be let go (wire.content.Mapped).
"""

from __future__ import annotations

from collections.abc import Iterable

Buffer = bytes | memoryview

STEP = 1 << 20
"""Bytes that are looked at together."""


def is_of_file(text: Buffer) -> bool:
    """Whether it is a view of a file that is mapped into memory."""
    return isinstance(text, memoryview) and hasattr(text.obj, "let_go")


def let_go(text: Buffer) -> None:
    """Give back the memory that reading a file's view took; its pages come again when somebody looks at them."""
    if isinstance(text, memoryview) and (give_back := getattr(text.obj, "let_go", None)) is not None:
        give_back()


def joined(pieces: Iterable[Buffer]) -> Buffer:
    """The pieces as one text, for which no more memory is taken than it is long."""
    pieces = list(pieces)
    size = sum(map(len, pieces))
    if size <= STEP:
        return b"".join(pieces)
    for piece in pieces:
        let_go(piece)
    whole, at = memoryview(bytearray(size)), 0
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), STEP):
            step = view[start : start + STEP]
            whole[at : at + len(step)] = step
            at += len(step)
            let_go(step)
    return whole.toreadonly()


def collected(pieces: Iterable[Buffer]) -> Buffer:
    """What is made piece by piece, as one text; never is a piece there twice."""
    whole = bytearray()
    for piece in pieces:
        whole += piece
    return bytes(whole) if len(whole) <= STEP else memoryview(whole).toreadonly()


def is_ascii(text: Buffer) -> bool:
    """Whether no byte is above 127."""
    view = memoryview(text)
    return all(bytes(view[start : start + STEP]).isascii() for start in range(0, len(view), STEP))


def is_same(one: Buffer, other: Buffer) -> bool:
    """Whether two texts are the same; bit by bit, so that neither is taken into memory as a whole."""
    if one is other:
        return True
    if len(one) != len(other):
        return False
    left, right = memoryview(one), memoryview(other)
    for start in range(0, len(left), STEP):
        here, there = left[start : start + STEP], right[start : start + STEP]
        if bytes(here) != bytes(there):
            return False
        let_go(here)
        let_go(there)
    return True
