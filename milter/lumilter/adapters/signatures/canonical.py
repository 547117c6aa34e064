"""Canonical forms of header fields and bodies (RFC 6376 3.4, RFC 4870 3.4.2).

The law: pure, and linear in the text. A body ends lines with CRLF; a field's value is raw, folded with CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Buffer = bytes | memoryview
"""As session.mime has it: a long body is a view of a file."""

_WHITE = re.compile(rb"[ \t]+")
_BREAKS = re.compile(rb"\r?\n")
_ALL_WHITE = b" \t\r\n"


def simple_header(name: bytes, value: bytes) -> bytes:
    """As it stands, CRLF at the end."""
    return name + b":" + value + b"\r\n"


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """Name in lower case, value on one line, white space single and none at either end."""
    line = _WHITE.sub(b" ", _BREAKS.sub(b"", value)).strip(b" ")
    return name.rstrip(b" \t").lower() + b":" + line + b"\r\n"


def nofws_header(name: bytes, value: bytes) -> bytes:
    """Without any white space; DomainKeys' own."""
    return name + b":" + value.translate(None, _ALL_WHITE) + b"\r\n"


HEADERS: dict[str, Callable[[bytes, bytes], bytes]] = {"simple": simple_header, "relaxed": relaxed_header}


def simple_body(body: Buffer) -> Iterator[Buffer]:
    """Without empty lines at the end, but with a line end there; an empty body is one."""
    end = _end(body)
    yield body[: end + 2]
    if end == len(body):  # no line end at all
        yield b"\r\n"


def relaxed_body(body: Buffer) -> Iterator[Buffer]:
    """As simple, white space single and none at the ends of lines; an empty body stays empty."""
    empty = 0
    for lines in _whole_lines(body):
        text = lines.replace(b"\t", b" ")
        while b"  " in text:  # each time half of a run: five times as fast as a regular expression
            text = text.replace(b"  ", b" ")
        text = text.replace(b" \r\n", b"\r\n")
        end = _end(text)
        if end:
            yield b"\r\n" * empty
            yield text[: end + 2]
            empty = (len(text) - end) // 2 - 1
        else:
            empty += len(text) // 2


def nofws_body(body: Buffer) -> bytes:
    """Without white space inside lines and without empty lines at the end (RFC 4870 3.4.2.2)."""
    lines = [line.translate(None, _ALL_WHITE) for line in bytes(body).split(b"\r\n")]
    while lines and not lines[-1]:
        del lines[-1]
    return b"".join([line + b"\r\n" for line in lines])


def domainkeys_simple_body(body: Buffer) -> Buffer:
    """As simple, but an empty body stays empty (RFC 4870 3.4.2.1)."""
    made = b"".join(simple_body(body))
    return b"" if made == b"\r\n" else made


BODIES: dict[str, Callable[[Buffer], Iterator[Buffer]]] = {"simple": simple_body, "relaxed": relaxed_body}
"""In pieces, so that a long body, which is in a file, is never in memory as a whole."""
_PIECE = 1 << 20


def _whole_lines(body: Buffer) -> Iterator[bytes]:
    """The body in pieces that end a line, the last one too."""
    start, size = 0, _PIECE
    while start < len(body):
        piece = bytes(body[start : start + size])
        if start + size >= len(body):
            yield piece if piece.endswith(b"\r\n") else piece + b"\r\n"
            return
        end = piece.rfind(b"\r\n") + 2
        if end < 2:  # one line
            size *= 2
            continue
        yield piece[:end]
        start, size = start + end, _PIECE


def _end(body: Buffer) -> int:
    """Where the line ends at the end of a body begin."""
    end = len(body)
    while end >= 2 and body[end - 2 : end] == b"\r\n":
        end -= 2
    return end
