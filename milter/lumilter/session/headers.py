"""The header section: an ordered list of raw fields that a script can read and change.

The law: a Header is immutable and what no script touched is the very object that came in, so that `diff` can tell.
Nothing is decoded before it is read. What a script sets can't break out of its field.

Source: manual, `msg:header`; RFC 5322 2.2 for names, folding and the limit of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lumilter.errors import LumilterError
from lumilter.session import rfc2047

_NAME = re.compile(rb"[!-9;-~]+")
_FOLD = re.compile(rb"[ \t]*(?:\r\n|\n|\r)[ \t]*")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE_LIMIT = 998
"""RFC 5322 2.1.1: octets in a line without CRLF. MTAs split longer ones, Postfix at 990 by inserting line breaks."""


class HeaderError(LumilterError):
    """A script gave a header name that is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """A field. name: as written; value: all after the colon, leading white space and all, folded lines joined by LF."""

    name: bytes
    value: bytes

    @property
    def text(self) -> str:
        """The value unfolded, without surrounding white space, encoded words decoded."""
        return rfc2047.decode(_FOLD.sub(b" ", self.value).strip(b" \t\r\n"))


class HeaderList:
    """Fields in order; names are compared without case. Copies share the list until one of them changes."""

    __slots__ = ("_fields", "_shared")

    def __init__(self, fields: Iterable[Header] = ()) -> None:
        self._fields = list(fields)
        self._shared = False

    def __iter__(self) -> Iterator[Header]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def copy(self) -> HeaderList:
        """An independent copy, made at the first change of either."""
        twin = HeaderList.__new__(HeaderList)
        twin._fields = self._fields
        twin._shared = self._shared = True
        return twin

    def is_same(self, other: HeaderList) -> bool:
        """Whether both hold the same fields, byte for byte, in the same order."""
        if self._fields is other._fields:
            return True
        return len(self) == len(other) and all(
            a is b or (a.name == b.name and a.value == b.value) for a, b in zip(self, other, strict=True)
        )

    def get(self, name: str) -> list[str]:
        """The text of every field of that name."""
        return [field.text for field in self._fields if _is(field, _key(name))]

    def raw(self, name: str) -> list[bytes]:
        """The raw value of every field of that name."""
        return [field.value for field in self._fields if _is(field, _key(name))]

    def append(self, name: str, values: Sequence[str]) -> None:
        """Add fields after all others."""
        self._change(self._fields + _made(name, values))

    def prepend(self, name: str, values: Sequence[str]) -> None:
        """Add fields before all others, in the order given."""
        self._change(_made(name, values) + self._fields)

    def replace(self, name: str, values: Sequence[str]) -> None:
        """Remove every field of that name and add new ones after all others."""
        made, key = _made(name, values), _key(name)
        self._change([field for field in self._fields if not _is(field, key)] + made)

    def delete(self, name: str) -> bool:
        """Remove every field of that name; whether there was one."""
        key = _key(name)
        kept = [field for field in self._fields if not _is(field, key)]
        changed = len(kept) < len(self._fields)
        if changed:
            self._change(kept)
        return changed

    def to_bytes(self) -> bytes:
        """The header section with CRLF line ends, without the empty line after it."""
        return b"".join(field.name + b":" + _crlf(field.value) + b"\r\n" for field in self._fields)

    @property
    def size(self) -> int:
        """Length of to_bytes()."""
        return sum(len(f.name) + 3 + len(f.value) + f.value.count(b"\n") - f.value.count(b"\r\n") for f in self._fields)

    def _change(self, fields: list[Header]) -> None:
        self._fields, self._shared = fields, False


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape").lower()


def _is(field: Header, key: bytes) -> bool:
    return len(field.name) == len(key) and field.name.lower() == key


def _crlf(value: bytes) -> bytes:
    return value if b"\n" not in value else value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _made(name: str, values: Sequence[str]) -> list[Header]:
    raw = name.encode("utf-8", "surrogateescape")
    if not _NAME.fullmatch(raw):
        raise HeaderError(f"{name!r} is not a header name (RFC 5322: printable ASCII without space and colon)")
    return [Header(raw, b" " + _value(text, len(raw) + 2)) for text in values]


def _value(text: str, indent: int) -> bytes:
    """A script's text as a field's value: ASCII, on lines that continue the field.

    Line breaks become folding whatever follows them, so no text can begin another field; other control characters,
    which no MTA passes on, become "?". A long line is only folded where it has to be: the script's own layout stays.
    """
    lines = re.split(r"[ \t]*(?:\r\n|\n|\r)", _CONTROL.sub("?", text))
    folded = "\n".join([lines[0].lstrip(" \t"), *(" " + line.lstrip(" \t") for line in lines[1:] if line.strip(" \t"))])
    raw = rfc2047.encode(folded)
    if len(raw) + indent <= _LINE_LIMIT:
        return raw
    out: list[bytes] = []
    for number, line in enumerate(raw.split(b"\n")):
        out += _short(line, _LINE_LIMIT - (0 if number else indent))
    return b"\n".join(out)


def _short(line: bytes, room: int) -> list[bytes]:
    """A line in pieces that fit, broken before white space; a word without any stays as long as it is."""
    pieces = []
    while len(line) > room:
        at = max(line.rfind(b" ", 1, room), line.rfind(b"\t", 1, room))
        if at <= 0 or not line[:at].strip(b" \t"):
            break
        pieces.append(line[:at])
        line, room = line[at:], _LINE_LIMIT
    return [*pieces, line]
