"""End-of-message edits, checked, as the milter actions that make them.

The law: all edits are checked before the first is sent, so that a message is never changed by half. A line feed that
does not fold would let a script's data write headers of its own: that is refused here, no MTA does it for us.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lumilter.errors import LumilterError
from lumilter.session.events import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteRecipient,
    Edit,
    InsertHeader,
    Quarantine,
    ReplaceBody,
)
from lumilter.session.needs import Edits
from lumilter.wire.negotiation import Terms

_NAME = re.compile(rb"[!-9;-~]+")
"""RFC 5322 section 3.6.8."""
_FOUND_NAME = re.compile(rb"[!-9;-~\x80-\xff]+")
"""What clients write none the less: such a header can be changed and deleted."""
_UNFOLDED = re.compile(rb"\n(?![ \t])")
_CONTROL = re.compile(rb"[\0\r\n]")

Call = tuple[Any, ...]
"""The name of a libmilter function without its smfi_, and its arguments; all text is bytes."""


class Unwritable(LumilterError):
    """An edit that can't be said in the milter protocol, or that was not negotiated."""


def _name(name: bytes, allowed: re.Pattern[bytes] = _NAME) -> bytes:
    if not allowed.fullmatch(name):
        raise Unwritable(f"expected a header name of RFC 5322, got {name[:80]!r}")
    return name


def _value(name: bytes, value: bytes, terms: Terms) -> bytes:
    if b"\0" in value or b"\r" in value or _UNFOLDED.search(value) or value.endswith(b"\n"):
        raise Unwritable(f"a NUL, a CR or an unfolded line feed in the value of {name[:80]!r}: {value[:80]!r}")
    if not terms.leading_space and len(value) > 1 and value.startswith(b" "):
        return value[1:]  # the MTA writes it itself
    return value


def _address(address: str, what: str) -> bytes:
    raw = address.encode("utf-8", "surrogateescape")
    if _CONTROL.search(raw):
        raise Unwritable(f"a control character in {what}: {address[:80]!r}")
    return raw


def _bracketed(address: str, what: str) -> bytes:
    return b"<" + _address(address, what) + b">"


END = 2**31 - 1
"""An index behind all headers. A plain addition would go, in Sendmail, before the first header of that name."""


def _add_header(edit: AddHeader, terms: Terms) -> Call:
    return "insheader", END, _name(edit.name), _value(edit.name, edit.value, terms)


def _insert_header(edit: InsertHeader, terms: Terms) -> Call:
    if not 0 <= edit.index < END:
        raise Unwritable(f"expected an index from 0, got {edit.index} for {edit.name!r}")
    # Postfix and Sendmail count their own Received header, which a milter is not shown, as number 0. (Sendmail also
    # counts some eight headers of its configuration: whatever is inserted below the top lands directly below Received.)
    return "insheader", edit.index + 1, _name(edit.name), _value(edit.name, edit.value, terms)


def _change_header(edit: ChangeHeader, terms: Terms) -> Call:
    if not 1 <= edit.nth <= END:
        raise Unwritable(f"expected an occurrence from 1, got {edit.nth} of {edit.name!r}")
    return "chgheader", edit.nth, _name(edit.name, _FOUND_NAME), _value(edit.name, edit.value, terms)


def _replace_body(edit: ReplaceBody, terms: Terms) -> Call:
    if len(edit.body) >= 1 << 31:
        raise Unwritable(f"expected a body below 2 GiB, got {len(edit.body)} bytes")
    return "replacebody", edit.body


def _add_recipient(edit: AddRecipient, terms: Terms) -> Call:
    if not edit.address:
        raise Unwritable("expected a recipient to add, got an empty address")
    return "addrcpt", _bracketed(edit.address, "a recipient to add")


def _delete_recipient(edit: DeleteRecipient, terms: Terms) -> Call:
    if not edit.address:
        raise Unwritable("expected a recipient to delete, got an empty address")
    return "delrcpt", _address(edit.address, "a recipient to delete")


def _change_sender(edit: ChangeSender, terms: Terms) -> Call:
    return "chgfrom", _bracketed(edit.address, "the new sender")


def _quarantine(edit: Quarantine, terms: Terms) -> Call:
    reason = edit.reason.encode("utf-8", "surrogateescape")
    if not reason or _CONTROL.search(reason):
        raise Unwritable(f"expected one line of text as the reason of a quarantine, got {edit.reason[:80]!r}")
    return "quarantine", reason


_WRITERS: dict[type, tuple[Edits, Callable[[Any, Terms], Call]]] = {
    AddHeader: (Edits.ADD_HEADER, _add_header),
    InsertHeader: (Edits.ADD_HEADER, _insert_header),
    ChangeHeader: (Edits.CHANGE_HEADER, _change_header),
    ReplaceBody: (Edits.REPLACE_BODY, _replace_body),
    AddRecipient: (Edits.ADD_RECIPIENT, _add_recipient),
    DeleteRecipient: (Edits.DELETE_RECIPIENT, _delete_recipient),
    ChangeSender: (Edits.CHANGE_SENDER, _change_sender),
    Quarantine: (Edits.QUARANTINE, _quarantine),
}


def check(edits: tuple[Edit, ...], terms: Terms) -> list[Call]:
    """The calls that write the edits. Raises Unwritable."""
    calls = []
    for edit in edits:
        needed, writer = _WRITERS[type(edit)]
        if needed not in terms.edits:
            raise Unwritable(f"{type(edit).__name__} was not negotiated with the MTA")
        calls.append(writer(edit, terms))
    return calls
