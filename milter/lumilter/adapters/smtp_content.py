"""A message as it goes between DATA and the final dot, block by block.

The law: what leaves has CRLF line ends and no other CR or LF, a dot that starts a line is doubled, and the last line is
ended; everything else, NUL and 8-bit included, leaves as it is. A block is copied at a time, wherever pieces are cut.

Why no other CR or LF: RFC 5321 2.3.8 forbids a client to send them, and servers disagree on what they are. One that
takes "\\n.\\r\\n" or "\\r.\\r\\n" for the end of the data lets whoever wrote the content go on with commands of his
own, under the trust that the server has in us ("SMTP smuggling"). So:

- LF ends a line, with or without CRs before it: they are what scripts write, and Postfix too drops every CR before LF
  (smtp_stream.c). A line end made of "\\r\\r\\n" is one, not two: an empty line would end the header.
- any other CR becomes a space, as Postfix does it (`cleanup_replace_stray_cr_lf`). A line end in its place would let
  "Subject: a\\rBcc: b", which is one field for the policy that saw it, leave as two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Content = Sequence[bytes | memoryview]
"""A message in pieces, cut anywhere; it is read more than once."""

BLOCK = 65536
"""Bytes that are copied at a time."""

_CRS = re.compile(rb"\r+\n?")


def blocks(content: Content) -> Iterator[bytes]:
    """The bytes before the final "." line."""
    starts_line, crs = True, 0
    for raw in _cut(content):
        # CRs at an end of a block are counted: the LF that makes them a line end may be further on.
        begun = raw.lstrip(b"\r")
        crs += len(raw) - len(begun)
        block = begun.rstrip(b"\r")
        if block:
            if block[:1] != b"\n":
                for spaces in _spaces(crs):
                    starts_line = False
                    yield spaces
            crs = len(begun) - len(block)
            text = _lf_only(block)
            stuffed = text.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
            yield b"." + stuffed if starts_line and text[:1] == b"." else stuffed
            starts_line = text.endswith(b"\n")
    if crs or not starts_line:
        yield b"\r\n"


def has_8bit(content: Content) -> bool:
    """Whether a byte is above 127."""
    return not all(block.isascii() for block in _cut(content))


def _cut(content: Content) -> Iterator[bytes]:
    for piece in content:
        view = memoryview(piece).cast("B")
        for at in range(0, len(view), BLOCK):
            yield bytes(view[at : at + BLOCK])


def _lf_only(block: bytes) -> bytes:
    """The block with each line end as LF; it does not end with CR."""
    text = block.replace(b"\r\n", b"\n")
    return _CRS.sub(_line_end_or_spaces, text) if b"\r" in text else text


def _line_end_or_spaces(found: re.Match[bytes]) -> bytes:
    crs = found[0]
    return b"\n" if crs.endswith(b"\n") else b" " * len(crs)


def _spaces(count: int) -> Iterator[bytes]:
    for at in range(0, count, BLOCK):
        yield b" " * min(BLOCK, count - at)
