"""A message as signatures see it: raw fields, a body, and what was computed of them.

The law: whatever depends on the message alone is computed once, however many signatures ask for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lumilter.adapters.signatures import canonical
from lumilter.adapters.signatures.canonical import Buffer

Field = tuple[bytes, bytes]
"""Name, and everything between the colon and the last line end; folded with CRLF."""

HASHES = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Content:
    """fields: in order. body: with CRLF line ends. known: what was computed of the body, for all who share it."""

    fields: tuple[Field, ...]
    body: Buffer
    known: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of(fields: Iterable[Field], body: Buffer, known: dict[object, Any] | None = None) -> Content:
        """From fields that may be folded with LF alone; what has no name is none."""
        made = tuple((name, crlf(value)) for name, value in fields if name)
        return Content(made, body, {} if known is None else known)

    def below(self, fields: Iterable[Field]) -> Content:
        """The same with more fields at the top."""
        return Content((*fields, *self.fields), self.body, self.known)


def crlf(value: bytes) -> bytes:
    """A value folded with CRLF."""
    return value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if b"\n" in value else value


class Digests:
    """Hashes of one message. Not for several threads."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self._fields: dict[tuple[int, str], bytes] = {}
        self._named: dict[bytes, list[int]] = {}
        for at, (name, _) in enumerate(content.fields):
            self._named.setdefault(name.rstrip(b" \t").lower(), []).append(at)

    def positions(self, name: bytes) -> Sequence[int]:
        """Where the fields of a name, in lower case, stand; top first."""
        return self._named.get(name, ())

    def body_size(self, form: str) -> int:
        """Length of the canonical body."""
        known = self.content.known
        if form not in known:
            known[form] = sum(map(len, canonical.BODIES[form](self.content.body)))
        return int(known[form])

    def body_hash(self, form: str, algorithm: str, length: int | None = None) -> bytes:
        """Of the canonical body, or of its first so many bytes."""
        key = form, algorithm, length
        known = self.content.known
        if key not in known:
            known[key] = self._hash(form, algorithm, length)
        return bytes(known[key])

    def _hash(self, form: str, algorithm: str, length: int | None) -> bytes:
        hashed = HASHES[algorithm]()
        left = length
        for piece in canonical.BODIES[form](self.content.body):
            hashed.update(piece if left is None else piece[:left])
            if left is not None and (left := left - len(piece)) <= 0:
                break
        return hashed.digest()

    def field(self, at: int, form: str) -> bytes:
        """A canonical field."""
        made = self._fields.get((at, form))
        if made is None:
            made = self._fields[at, form] = canonical.HEADERS[form](*self.content.fields[at])
        return made

    def selected(self, names: Iterable[bytes], without: int = -1) -> list[int]:
        """Positions of the fields that a list of names, in lower case, means: of equal ones the last is the first.

        without: a signature's own position; it signs others of its name, but not itself.
        """
        left: dict[bytes, list[int]] = {}
        found = []
        for name in names:
            if name not in left:
                left[name] = [at for at in self._named.get(name, ()) if at != without]
            if left[name]:
                found.append(left[name].pop())
        return found

    def headers(self, names: Iterable[bytes], form: str, without: int = -1) -> list[bytes]:
        """The canonical fields that a list of names means."""
        return [self.field(at, form) for at in self.selected(names, without)]


def without_value(value: bytes, tag: bytes) -> bytes:
    """A list of tags with the value of one of them, and the white space around it, left out (RFC 6376 3.7)."""
    parts = value.split(b";")
    for number, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if equals and name.strip(b" \t\r\n") == tag:
            parts[number] = name + equals
    return b";".join(parts)
