"""What an MTA does with a milter's edits: for `lumilter test`, and to prove `diff` right.

The law: fields are found as Postfix and Sendmail find them; `renumber` is the one point in which MTAs differ, and what
`diff` makes must not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

Field = tuple[bytes, bytes]


def apply(
    headers: Sequence[Field],
    body: bytes,
    sender: str,
    recipients: Sequence[str],
    edits: Iterable[Edit],
    renumber: bool = True,
) -> tuple[list[Field], bytes, str, list[str], str | None]:
    """Headers, body, sender, recipients and the reason for which the message is held (or None), after the edits.

    renumber: whether a deleted field's number goes to the next one of its name.
    """
    fields: list[Field | None] = list(headers)
    gone: dict[int, bytes] = {}
    rcpts, held = list(recipients), None
    for edit in edits:
        match edit:
            case AddHeader(name, value):
                fields.append((name, value))
            case InsertHeader(index, name, value):
                at = _position(fields, index)
                fields.insert(at, (name, value))
                gone = {place + (place >= at): key for place, key in gone.items()}
            case ChangeHeader(nth, name, value):
                _change(fields, gone, nth, name, value, renumber)
            case ReplaceBody(new):
                body = new
            case ChangeSender(address):
                sender = address
            case AddRecipient(address):
                rcpts.append(address)
            case DeleteRecipient(address):
                rcpts = [rcpt for rcpt in rcpts if rcpt != address]
            case Quarantine(reason):
                held = reason
    return [field for field in fields if field is not None], body, sender, rcpts, held


def _position(fields: list[Field | None], index: int) -> int:
    """Where the field that is to become number `index` of those that are left has to go."""
    seen = 0
    for at, field in enumerate(fields):
        if field is not None:
            if seen == index:
                return at
            seen += 1
    return len(fields)


def _change(
    fields: list[Field | None], gone: dict[int, bytes], nth: int, name: bytes, value: bytes, renumber: bool
) -> None:
    count, key = 0, name.lower()
    for at, field in enumerate(fields):
        counted = gone.get(at) if field is None and not renumber else field[0].lower() if field else None
        if counted != key:
            continue
        count += 1
        if count < nth:
            continue
        if value:
            fields[at] = (name, value)
            gone.pop(at, None)
        elif field is not None:
            fields[at], gone[at] = None, key
        return
    if value:
        fields.append((name, value))  # both MTAs add a field that they were told to change and do not have
