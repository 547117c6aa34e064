"""End-of-message edits in the form that libmilter takes.

The law: all edits are checked before the first is sent, so that a message is never changed by half. pymilter passes a
line feed in a header through, which would let a script's data write headers of its own: that is refused here.
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
_UNFOLDED = re.compile(rb"\n(?![ \t])")
_CONTROL = re.compile("[\0\r\n]")


class Unwritable(LumilterError):
    """An edit that can't be said through libmilter, or that was not negotiated."""


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unwritable(f"expected UTF-8, got {value[:80]!r} in {what}") from None


def _name(name: bytes) -> str:
    if not _NAME.fullmatch(name):
        raise Unwritable(f"expected a header name of RFC 5322, got {name[:80]!r}")
    return name.decode()


def _value(name: bytes, value: bytes, terms: Terms) -> str:
    if b"\0" in value or b"\r" in value or _UNFOLDED.search(value) or value.endswith(b"\n"):
        raise Unwritable(f"a NUL, a CR or an unfolded line feed in the value of {name[:80]!r}: {value[:80]!r}")
    if not terms.leading_space and len(value) > 1 and value.startswith(b" "):
        value = value[1:]  # the MTA writes it itself
    return _text(value, f"the value of {name[:80]!r}")


def _address(address: str, what: str) -> str:
    if _CONTROL.search(address):
        raise Unwritable(f"a control character in {what}: {address[:80]!r}")
    return _text(address.encode("utf-8", "surrogateescape"), what)


def _bracketed(address: str, what: str) -> str:
    return "<" + _address(address, what) + ">"


END = 2**31 - 1
"""An index behind all headers. A plain addition would go, in Sendmail, before the first header of that name."""


def _add_header(edit: AddHeader, terms: Terms) -> tuple[Any, ...]:
    return "addheader", _name(edit.name), _value(edit.name, edit.value, terms), END


def _insert_header(edit: InsertHeader, terms: Terms) -> tuple[Any, ...]:
    if edit.index < 0:
        raise Unwritable(f"expected an index from 0, got {edit.index} for {edit.name!r}")
    # Postfix and Sendmail count their own Received header, which a milter is not shown, as number 0. (Sendmail also
    # counts some eight headers of its configuration: whatever is inserted below the top lands directly below Received.)
    return "addheader", _name(edit.name), _value(edit.name, edit.value, terms), edit.index + 1


def _change_header(edit: ChangeHeader, terms: Terms) -> tuple[Any, ...]:
    if edit.nth < 1:
        raise Unwritable(f"expected an occurrence from 1, got {edit.nth} of {edit.name!r}")
    return "chgheader", _name(edit.name), edit.nth, _value(edit.name, edit.value, terms)


def _replace_body(edit: ReplaceBody, terms: Terms) -> tuple[Any, ...]:
    if len(edit.body) >= 1 << 31:
        raise Unwritable(f"expected a body below 2 GiB, got {len(edit.body)} bytes")
    return "replacebody", edit.body


def _add_recipient(edit: AddRecipient, terms: Terms) -> tuple[Any, ...]:
    if not edit.address:
        raise Unwritable("expected a recipient to add, got an empty address")
    return "addrcpt", _bracketed(edit.address, "a recipient to add")


def _delete_recipient(edit: DeleteRecipient, terms: Terms) -> tuple[Any, ...]:
    if not edit.address:
        raise Unwritable("expected a recipient to delete, got an empty address")
    return "delrcpt", _address(edit.address, "a recipient to delete")


def _change_sender(edit: ChangeSender, terms: Terms) -> tuple[Any, ...]:
    return "chgfrom", _bracketed(edit.address, "the new sender")


def _quarantine(edit: Quarantine, terms: Terms) -> tuple[Any, ...]:
    if not edit.reason or _CONTROL.search(edit.reason):
        raise Unwritable(f"expected one line of text as the reason of a quarantine, got {edit.reason[:80]!r}")
    return "quarantine", _text(edit.reason.encode("utf-8", "surrogateescape"), "the reason of a quarantine")


_WRITERS: dict[type, tuple[Edits, Callable[[Any, Terms], tuple[Any, ...]]]] = {
    AddHeader: (Edits.ADD_HEADER, _add_header),
    InsertHeader: (Edits.ADD_HEADER, _insert_header),
    ChangeHeader: (Edits.CHANGE_HEADER, _change_header),
    ReplaceBody: (Edits.REPLACE_BODY, _replace_body),
    AddRecipient: (Edits.ADD_RECIPIENT, _add_recipient),
    DeleteRecipient: (Edits.DELETE_RECIPIENT, _delete_recipient),
    ChangeSender: (Edits.CHANGE_SENDER, _change_sender),
    Quarantine: (Edits.QUARANTINE, _quarantine),
}


def check(edits: tuple[Edit, ...], terms: Terms) -> list[tuple[Any, ...]]:
    """The calls that write the edits: (name of a method of pymilter's context, argument, ...). Raises Unwritable."""
    calls = []
    for edit in edits:
        needed, writer = _WRITERS[type(edit)]
        if needed not in terms.edits:
            raise Unwritable(f"{type(edit).__name__} was not negotiated with the MTA")
        calls.append(writer(edit, terms))
    return calls


def write(ctx: Any, calls: list[tuple[Any, ...]]) -> None:
    """Send the calls to the MTA. Raises Milter.error where it is gone."""
    for method, *arguments in calls:
        getattr(ctx, method)(*arguments)
