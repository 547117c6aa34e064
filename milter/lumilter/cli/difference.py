"""What two configurations decided differently about one session, as lines for people and as JSON.

The law: decides nothing but whether two outcomes are the same, which is that they are equal to the byte.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lumilter.daemon.log import verdict_name
from lumilter.daemon.printable import one_line
from lumilter.daemon.session_file import outcome_object
from lumilter.session.events import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    Connect,
    DeleteRecipient,
    Edit,
    EndOfMessage,
    Event,
    Helo,
    InsertHeader,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
    ReplaceBody,
)

_LONGEST = 100
"""Lines of a new body that are shown; beyond, only its hash tells two apart."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An event that was decided differently. message: which one of the session's it belongs to, 0 before the first.

    about: what the event was, in words.
    """

    message: int
    event: Event
    about: str
    before: Outcome
    after: Outcome

    @property
    def kind(self) -> str:
        """ "accept -> reject", "other reply" or "other edits"."""
        before, after = verdict_name(self.before), verdict_name(self.after)
        if before != after:
            return f"{before} -> {after}"
        return "other reply" if self.before.reply != self.after.reply else "other edits"

    def as_json(self) -> dict[str, Any]:
        return {
            "message": self.message,
            "event": type(self.event).__name__,
            "about": self.about,
            "before": outcome_object(self.before),
            "after": outcome_object(self.after),
        }

    def lines(self) -> Iterator[str]:
        """What the event was, then the two outcomes as a diff."""
        yield f"  {one_line(self.about)}"
        diff = difflib.unified_diff(list(_lines(self.before)), list(_lines(self.after)), n=100, lineterm="")
        yield from (f"    {line[0]} {line[1:]}" for line in list(diff)[2:] if line[0] != "@")


def differences(events: Sequence[Event], before: Sequence[Outcome], after: Sequence[Outcome]) -> list[Difference]:
    """Every event that was decided differently, in order."""
    found, message = [], 0
    envelope: list[str] = []
    for event, first, second in zip(events, before, after, strict=True):
        if isinstance(event, Mail):
            message, envelope = message + 1, [f"from {event.address}"]
        elif isinstance(event, Rcpt):
            envelope.append(f"to {event.address}")
        if first != second:
            found.append(Difference(message, event, _about(event, message, envelope), first, second))
    return found


def _about(event: Event, message: int, envelope: list[str]) -> str:
    match event:
        case Connect():
            return f"connection of {event.hostname} [{event.address}]"
        case Helo():
            return f"HELO {event.name}"
        case Mail():
            return f"message {message}: MAIL FROM:{event.address}"
        case Rcpt():
            return f"message {message}: RCPT TO:{event.address}"
        case EndOfMessage():
            queue_id = f" ({event.macros['i']})" if event.macros.get("i") else ""
            return " ".join([f"message {message}{queue_id}", *envelope])
    return f"message {message}: {type(event).__name__.upper()}"


def _lines(outcome: Outcome) -> Iterator[str]:
    reply = outcome.reply
    text = " ".join(filter(None, (str(reply.code), reply.xcode, " / ".join(reply.lines)))) if reply else ""
    yield one_line(verdict_name(outcome) + (f": {text}" if text else ""))
    for edit in outcome.edits:
        yield from (f"  {one_line(line)}" for line in _edit(edit))


def _edit(edit: Edit) -> Iterator[str]:
    match edit:
        case AddHeader(name, value):
            yield f"add header {_text(name)}:{_text(value)}"
        case InsertHeader(index, name, value):
            yield f"insert header {index} {_text(name)}:{_text(value)}"
        case ChangeHeader(nth, name, b""):
            yield f"delete header {_text(name)}, number {nth}"
        case ChangeHeader(nth, name, value):
            yield f"change header {_text(name)}, number {nth}:{_text(value)}"
        case ReplaceBody(body):
            yield f"replace body: {len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:16]}"
            lines = body.split(b"\r\n", _LONGEST)
            yield from (f"  | {_text(line)}" for line in lines[:_LONGEST])
        case AddRecipient(address):
            yield f"add recipient {address}"
        case DeleteRecipient(address):
            yield f"delete recipient {address}"
        case ChangeSender(address):
            yield f"change sender to <{address}>"
        case Quarantine(reason):
            yield f"quarantine: {reason}"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
