"""Canonical forms of header fields and bodies (RFC 6376 3.4, RFC 4870 3.4.2).

The law: pure, and linear in the text. A body ends lines with CRLF; a field's value is raw, folded with CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Callable

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


def simple_body(body: Buffer) -> Buffer:
    """Without empty lines at the end, but with a line end there; an empty body is one."""
    end = _end(body)
    if end == len(body):  # no line end at all
        return bytes(body) + b"\r\n"
    return body[: end + 2]


def relaxed_body(body: Buffer) -> bytes:
    """As simple, white space single and none at the ends of lines; an empty body stays empty."""
    text = bytes(body)
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    text = _WHITE.sub(b" ", text).replace(b" \r\n", b"\r\n")
    end = _end(text)
    return text[: end + 2] if end else b""


def nofws_body(body: Buffer) -> bytes:
    """Without white space inside lines and without empty lines at the end (RFC 4870 3.4.2.2)."""
    lines = [line.translate(None, _ALL_WHITE) for line in bytes(body).split(b"\r\n")]
    while lines and not lines[-1]:
        del lines[-1]
    return b"".join([line + b"\r\n" for line in lines])


def domainkeys_simple_body(body: Buffer) -> Buffer:
    """As simple, but an empty body stays empty (RFC 4870 3.4.2.1)."""
    made = simple_body(body)
    return b"" if made == b"\r\n" else made


BODIES: dict[str, Callable[[Buffer], Buffer]] = {"simple": simple_body, "relaxed": relaxed_body}


def _end(body: Buffer) -> int:
    """Where the line ends at the end of a body begin."""
    end = len(body)
    while end >= 2 and body[end - 2 : end] == b"\r\n":
        end -= 2
    return end
