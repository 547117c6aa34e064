"""Who a message says is responsible for it: the Purported Responsible Address of Sender ID.

The law: pure, and RFC 4407 2 to the letter. A message in which that can't be said has none.
"""

from __future__ import annotations

from lumilter.session.address import addresses
from lumilter.session.headers import HeaderList

_TRACE = (b"received", b"return-path")
_FIELDS = frozenset((b"resent-sender", b"resent-from", b"sender", b"from", *_TRACE))


def purported(headers: HeaderList) -> tuple[str, str]:
    """The field's name in lower case, and the address in it; two empty texts where there is none."""
    fields = [
        (name, text) for header in headers if (name := header.name.lower()) in _FIELDS and (text := header.unfolded)
    ]
    at = _selected([name for name, _ in fields])
    if at is None:
        return "", ""
    name, text = fields[at]
    found = addresses(text.decode("utf-8", "surrogateescape"), "all")
    if len(found) != 1 or not all(found[0].rpartition("@")):
        return "", ""
    return name.decode("latin-1"), found[0]


def _selected(names: list[bytes]) -> int | None:
    """Steps 1 to 4. names: of those of _FIELDS that are not empty."""
    sender = _only(names, b"resent-sender", first=True)
    origin = _only(names, b"resent-from", first=True)
    if sender is not None and not (
        origin is not None and origin < sender and any(name in _TRACE for name in names[origin:sender])
    ):
        return sender
    if origin is not None:
        return origin
    return _only(names, b"sender" if b"sender" in names else b"from")


def _only(names: list[bytes], wanted: bytes, first: bool = False) -> int | None:
    """Where the name is; None if it is nowhere or, unless the first will do, more than once."""
    return names.index(wanted) if names.count(wanted) == 1 or (first and wanted in names) else None
