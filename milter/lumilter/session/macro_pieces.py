"""Pieces of a message for %{rfc2822:...}: all of it, headers, body, a MIME part, its text, or the beginning of these.

The law: any bytes are a message, and `mime` takes it apart. A piece that is not empty ends with CRLF.

Source: manual, "Sieve++, Momentum-specific extensions", RFC2822 Macros; RFC 2045 and 2046. Parts are the leaves of the
tree, counted from 1, and text parts those of them whose type is text/*.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lumilter.session.buffers import Buffer
from lumilter.session.headers import HeaderList, raw_fields
from lumilter.session.mime import Part, Tree
from lumilter.session.mime_reading import read_message
from lumilter.session.text import text_of

_WANTED = re.compile(
    r"(?P<whole>message|headers|body)"
    r"|(?P<cut>message|body),(?P<size>[0-9]+)(?P<bytes>b?)"
    r"|(?P<kind>part|text),(?P<n>[0-9]+)"
    r"|text(?:,(?P<text>[0-9]+),(?P<lines>[0-9]+))?"
)


def piece(wanted: str, content: Callable[[], tuple[bytes, bytes]]) -> str | None:
    """The piece that `wanted` names ("body,3b"), UTF-8 with surrogateescape; None if that names none.

    content: header section without the empty line, and body.
    """
    named = _WANTED.fullmatch(wanted)
    if not named:
        return None
    headers, body = content()
    if name := named["whole"] or named["cut"]:
        raw = {"message": _joined(headers, body), "headers": headers, "body": body}[name]
        if named["cut"]:
            size = _number(named["size"])
            raw = raw[:size] if named["bytes"] else _lines(raw, size)
        return _text(_ended(raw))
    if named["kind"]:
        parts = leaves(headers, body) if named["kind"] == "part" else _texts(headers, body)
        part = _nth(parts, _number(named["n"]))
        if part is None:
            return ""
        return _text(_ended(_joined(headers, body) if part.parent is None else part.to_bytes()))
    part = _nth(_texts(headers, body), _number(named["text"] or "1"))
    decoded = bytes(text_of(part)) if part else b""
    return _text(_ended(_lines(decoded, _number(named["lines"])) if named["lines"] else decoded))


def leaves(headers: bytes, body: Buffer) -> list[Part]:
    """The parts that hold no other parts, in order; a message in a message is one."""
    found: list[Part] = []
    stack = [read_message(HeaderList(raw_fields(headers)), body, Tree(writable=False))]
    while stack:
        part = stack.pop()
        if part.delimiters:
            stack += reversed(part.children or [])
        else:
            found.append(part)
    return found


def _texts(headers: bytes, body: Buffer) -> list[Part]:
    return [part for part in leaves(headers, body) if part.content_type.value.startswith("text/")]


def _joined(headers: bytes, body: bytes) -> bytes:
    return headers + b"\r\n" + body if headers or body else b""


def _nth(parts: list[Part], n: int) -> Part | None:
    return parts[n - 1] if 1 <= n <= len(parts) else None


def _lines(raw: bytes, count: int) -> bytes:
    end = 0
    for _ in range(count):
        end = raw.find(b"\n", end) + 1
        if not end:
            return raw
    return raw[:end]


def _ended(raw: bytes) -> bytes:
    return raw if not raw or raw.endswith(b"\r\n") else raw.removesuffix(b"\n").removesuffix(b"\r") + b"\r\n"


def _number(digits: str) -> int:
    return int(digits.lstrip("0")[:18] or "0")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
