"""The header section: an ordered list of raw fields that a script can read and change.

The law: a Header is immutable and what no script touched is the very object that came in, so that `diff` can tell.
Nothing is decoded before it is read. What a script sets can't break out of its field. No operation takes more than time
in proportion to the text: a hostile message has fields of 100 kB, and a regular expression that begins with `[ \t]*`
took 41 s for one of white space.

Source: manual, `msg:header`; RFC 5322 2.2 for names, folding and the limit of a line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lumilter.errors import LumilterError
from lumilter.session import rfc2047

_NAME = re.compile(rb"[!-9;-~]+")
_BREAK = re.compile(rb"\r\n|\n|\r")
_BREAK_TEXT = re.compile("\r\n|\n|\r")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_OCTETS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE_LIMIT = 998
"""RFC 5322 2.1.1: octets in a line without CRLF. MTAs split longer ones, in the middle of a word if need be."""


class HeaderError(LumilterError):
    """A script gave a header name that is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """A field. name: as written; value: all after the colon, leading white space and all, folded lines joined by LF."""

    name: bytes
    value: bytes

    @property
    def unfolded(self) -> bytes:
        """The value on one line, without surrounding white space; a line break and the white space at it are one space.

        That is how Momentum renders a field without its folding (rfc2822_header_stringwrite_ex); RFC 5322 2.2.3 would
        keep the white space.
        """
        return b" ".join([line.strip(b" \t") for line in _BREAK.split(self.value)]).strip(b" ")

    @property
    def text(self) -> str:
        """The unfolded value with its encoded words decoded."""
        return rfc2047.decode(self.unfolded)

    def to_bytes(self) -> bytes:
        """The field with CRLF line ends, the last one included."""
        return self.name + b":" + _crlf(self.value) + b"\r\n"


@dataclass(frozen=True, slots=True, eq=False)
class RawHeader(Header):
    """A field as it stands in a text that is kept byte for byte; what is no field has no name. raw: all of it."""

    raw: bytes

    def to_bytes(self) -> bytes:
        """As it came."""
        return self.raw


_RAW_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_RAW_NAME = re.compile(rb"([!-9;-~\x80-\xff]++)[ \t]*+:")


def raw_fields(section: bytes) -> list[Header]:
    """A header section, its lines ended in whatever way, as fields that render to the same bytes."""
    fields: list[list[bytes]] = []
    for line in _RAW_LINE.findall(section):
        if line[:1] in b" \t" and fields:
            fields[-1].append(line)
        else:
            fields.append([line])
    return [_raw_field(lines) for lines in fields]


def _raw_field(lines: list[bytes]) -> Header:
    raw = b"".join(lines)
    name = _RAW_NAME.match(raw)
    if not name:
        return RawHeader(b"", b"", raw)
    bare = [line.removesuffix(b"\n").removesuffix(b"\r") for line in lines]
    return RawHeader(name[1], b"\n".join([bare[0][name.end() :], *bare[1:]]), raw)


class HeaderList:
    """Fields in order; names are compared without case.

    The list inside is never changed, only replaced: that is why copies can share it.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[Header] = ()) -> None:
        self._fields: Sequence[Header] = list(fields)

    def __iter__(self) -> Iterator[Header]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def copy(self) -> HeaderList:
        """An independent copy."""
        twin = HeaderList.__new__(HeaderList)
        twin._fields = self._fields
        return twin

    def is_shared(self, other: HeaderList) -> bool:
        """Whether neither was changed since one was copied from the other, or both from a third."""
        return self._fields is other._fields

    def is_same(self, other: HeaderList) -> bool:
        """Whether both hold the same fields, byte for byte, in the same order."""
        if self._fields is other._fields:
            return True
        return len(self) == len(other) and all(
            a is b or (a.name == b.name and a.value == b.value) for a, b in zip(self, other, strict=True)
        )

    def get(self, name: str) -> list[str]:
        """The text of every field of that name."""
        return [field.text for field in self._named(name)]

    def undecoded(self, name: str) -> list[str]:
        """As get(), but with encoded words as they stand: for fields that are parsed, where RFC 2047 6.2 has decoding
        come after parsing; a decoded comma or angle bracket would be taken for syntax."""
        return [field.unfolded.decode("utf-8", "surrogateescape") for field in self._named(name)]

    def raw(self, name: str) -> list[bytes]:
        """The raw value of every field of that name."""
        return [field.value for field in self._named(name)]

    def append(self, name: str, values: Sequence[str]) -> None:
        """Add fields after all others."""
        self._fields = [*self._fields, *_made(name, values)]

    def prepend(self, name: str, values: Sequence[str]) -> None:
        """Add fields before all others, in the order given."""
        self._fields = [*_made(name, values), *self._fields]

    def take_out(self, positions: Collection[int]) -> None:
        """Remove the fields at these positions."""
        if positions:
            self._fields = [field for at, field in enumerate(self._fields) if at not in positions]

    def exchange(self, old: Header, new: Header) -> None:
        """Put a field in another one's place."""
        self._fields = [new if field is old else field for field in self._fields]

    def put_first(self, fields: Sequence[Header]) -> None:
        """Add ready fields before all others."""
        self._fields = [*fields, *self._fields]

    def replace(self, name: str, values: Sequence[str]) -> None:
        """Remove every field of that name and add new ones after all others."""
        made = _made(name, values)
        self._fields = [*self._without(name), *made]

    def delete(self, name: str) -> bool:
        """Remove every field of that name; whether there was one."""
        kept = self._without(name)
        changed = len(kept) < len(self._fields)
        if changed:
            self._fields = kept
        return changed

    def to_bytes(self) -> bytes:
        """The header section with CRLF line ends, without the empty line after it."""
        return b"".join([field.to_bytes() for field in self._fields])

    @property
    def size(self) -> int:
        """Length of to_bytes()."""
        return sum(len(f.name) + 3 + len(f.value) + f.value.count(b"\n") - f.value.count(b"\r\n") for f in self._fields)

    def first(self, name: str) -> Header | None:
        """The first field of that name."""
        return next(iter(self._named(name)), None)

    def write(self, name: str, value: str) -> None:
        """Set the first field of that name where it stands, or add one after all others."""
        (made,) = _made(name, [value])
        self.put(made)

    def put(self, made: Header) -> None:
        """As `write`, for a field that was made from another one."""
        old = self.first(made.name.decode("ascii"))
        self._fields = [made if f is old else f for f in self._fields] if old is not None else [*self._fields, made]

    def _named(self, name: str) -> list[Header]:
        key = _octets(name).lower()
        length = len(key)
        return [field for field in self._fields if len(field.name) == length and field.name.lower() == key]

    def _without(self, name: str) -> list[Header]:
        key = _octets(name).lower()
        length = len(key)
        return [field for field in self._fields if len(field.name) != length or field.name.lower() != key]


def _octets(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _crlf(value: bytes) -> bytes:
    return value if b"\n" not in value else value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def header_name(name: str) -> bytes:
    """A name that a script gave, as it is written. Raises HeaderError."""
    raw = _octets(name) if name.isascii() else b""
    if not _NAME.fullmatch(raw):
        raise HeaderError(f"{name!r} is not a header name (RFC 5322: printable ASCII without space and colon)")
    return raw


def _made(name: str, values: Sequence[str]) -> list[Header]:
    raw = header_name(name)
    return [Header(raw, b" " + _value(text, len(raw) + 2)) for text in values]


def raw_value(octets: bytes) -> bytes:
    """A script's own bytes as a field's raw value: encoded by whoever made them, on lines that continue the field."""
    octets = _CONTROL_OCTETS.sub(b"?", octets)
    first, *rest = _BREAK.split(octets)
    folded = [line if line[:1] in (b" ", b"\t") else b" " + line for line in rest if line.strip(b" \t")]
    return b"\n".join([b" " + first.lstrip(b" \t"), *folded])


def _value(text: str, indent: int) -> bytes:
    """A script's text as a field's value: ASCII, on lines that continue the field.

    A script's own folding stays; any other line break becomes folding, so no text can begin another field or the body.
    Other control characters, which no MTA passes on, become "?". ASCII is written as it is, encoded words that the
    script made included: the manual has only non-ASCII text encoded. A long line is only folded where it has to be.
    """
    first, *rest = _BREAK_TEXT.split(_CONTROL.sub("?", text))
    lines = [first.lstrip(" \t"), *(line if line[0] in " \t" else " " + line for line in rest if line.strip(" \t"))]
    folded = "\n".join(line.rstrip(" \t") for line in lines)
    raw = folded.encode("ascii") if folded.isascii() else rfc2047.encode(folded, indent)
    if len(raw) + indent <= _LINE_LIMIT:
        return raw
    out: list[bytes] = []
    for number, line in enumerate(raw.split(b"\n")):
        out += _short(line, _LINE_LIMIT - (0 if number else indent))
    return b"\n".join(out)


def _short(line: bytes, room: int) -> list[bytes]:
    """A line in pieces that fit, broken before white space; a word without any stays as long as it is."""
    pieces = []
    start = 0
    while len(line) - start > room:
        at = max(line.rfind(b" ", start + 1, start + room), line.rfind(b"\t", start + 1, start + room))
        if at <= start or not line[start:at].strip(b" \t"):
            break
        pieces.append(line[start:at])
        start, room = at, _LINE_LIMIT
    return [*pieces, line[start:]]
