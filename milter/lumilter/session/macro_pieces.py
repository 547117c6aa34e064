"""Pieces of a message for %{rfc2822:...}: all of it, headers, body, a MIME part, its text, or the beginning of these.

The law: any bytes are a message. Work grows with the message's length: nesting deeper than a mailer writes is one part,
and no charset of the message's choosing may be slow. A piece that is not empty ends with CRLF.

Source: manual, "Sieve++, Momentum-specific extensions", RFC2822 Macros; RFC 2045 and 2046. Parts are the leaves of the
tree, counted from 1, and text parts those of them whose type is text/*.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from lumilter.session import rfc2047

_MAX_DEPTH = 20

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
    whole = Part(headers, body)
    if name := named["whole"] or named["cut"]:
        raw = {"message": whole.raw, "headers": headers, "body": body}[name]
        if named["cut"]:
            size = _number(named["size"])
            raw = raw[:size] if named["bytes"] else _lines(raw, size)
        return _text(_ended(raw))
    if named["kind"]:
        parts = leaves(whole) if named["kind"] == "part" else _texts(whole)
        part = _nth(parts, _number(named["n"]))
        return _text(_ended(part.raw)) if part else ""
    part = _nth(_texts(whole), _number(named["text"] or "1"))
    decoded = part.text.encode("utf-8", "surrogateescape") if part else b""
    return _text(_ended(_lines(decoded, _number(named["lines"])) if named["lines"] else decoded))


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME entity. headers: its header section, the last CRLF included; body: as it came, encoded."""

    headers: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """The entity as it came."""
        return self.headers + b"\r\n" + self.body if self.headers or self.body else b""

    @property
    def type(self) -> str:
        """Type and subtype in lower case; RFC 2045 5.2: text/plain unless it says otherwise."""
        found = re.match(r"\s*([^\s;/]+/[^\s;]+)", self.field("content-type"))
        return found[1].lower() if found else "text/plain"

    @property
    def text(self) -> str:
        """The body decoded; bytes that no charset explains survive as surrogates."""
        encoding = self.field("content-transfer-encoding").strip().lower()
        raw = self.body
        if encoding == "base64":
            letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
            letters = letters[:-1] if len(letters) % 4 == 1 else letters
            raw = binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
        elif encoding == "quoted-printable":
            raw = binascii.a2b_qp(raw)
        return _decoded(raw, self.parameter("charset"))

    def field(self, name: str) -> str:
        """The value of the first header field of that name, lines joined."""
        found = re.search(rb"(?im)^%s[ \t]*:(.*(?:\n[ \t].*)*)" % name.encode(), self.headers)
        return _text(found[1][:4000]).replace("\r", "").replace("\n", "") if found else ""

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type."""
        pattern = rf';\s{{0,80}}{name}\s{{0,80}}=\s{{0,80}}(?:"((?:[^"\\]|\\.){{0,200}})"|([^\s;"]{{1,200}}))'
        found = re.search(pattern, self.field("content-type"), re.IGNORECASE)
        return re.sub(r"\\(.)", r"\1", found[1] or found[2] or "") if found else ""


def leaves(whole: Part) -> list[Part]:
    """The parts that hold no other parts, in order."""
    found: list[Part] = []
    stack = [(whole, 0)]
    while stack:
        part, depth = stack.pop()
        boundary = part.parameter("boundary") if part.type.startswith("multipart/") else ""
        inner = _inner(part.body, boundary) if boundary and depth < _MAX_DEPTH else []
        stack += [(each, depth + 1) for each in reversed(inner)]
        if not inner:
            found.append(part)
    return found


def _inner(body: bytes, boundary: str) -> list[Part]:
    """The parts between delimiter lines; without a closing one the last goes to the end (RFC 2046 5.1.1)."""
    delimiter = re.escape(boundary.rstrip().encode("utf-8", "surrogateescape"))
    parts: list[Part] = []
    start = -1
    for line in re.finditer(rb"(?m)^--%s(--)?[ \t]*\r?(?:\n|\Z)" % delimiter, body):
        if start >= 0:
            parts.append(_part(body[start : line.start()].removesuffix(b"\n").removesuffix(b"\r")))
        start = line.end()
        if line[1]:
            return parts
    return [*parts, _part(body[start:])] if start >= 0 else parts


def _part(raw: bytes) -> Part:
    empty = re.search(rb"(?m)^\r?\n", raw)
    return Part(raw[: empty.start()], raw[empty.end() :]) if empty else Part(raw, b"")


def _texts(whole: Part) -> list[Part]:
    return [part for part in leaves(whole) if part.type.startswith("text/")]


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


def _decoded(raw: bytes, charset: str) -> str:
    decoded = rfc2047.text_in(charset.strip().lower(), raw)
    return _text(raw) if decoded is None else decoded
