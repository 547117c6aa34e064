"""What the loaded scripts need from the MTA: the wire negotiates exactly this.

The law: plain data, computed from the scripts by the session's side and only read by the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

REPLY_EVENTS = ("connect", "helo", "mail", "rcpt", "data", "message")
"""The events that can be answered, in the order in which an MTA sends them; "message" is EndOfMessage."""


class Edits(Flag):
    """What may be changed at end of message; one member for each milter action that an MTA can refuse."""

    NONE = 0
    ADD_HEADER = auto()
    """AddHeader and InsertHeader."""
    CHANGE_HEADER = auto()
    """ChangeHeader, deletion included."""
    REPLACE_BODY = auto()
    ADD_RECIPIENT = auto()
    DELETE_RECIPIENT = auto()
    CHANGE_SENDER = auto()
    QUARANTINE = auto()
    ENVELOPE = ADD_RECIPIENT | DELETE_RECIPIENT | CHANGE_SENDER
    """What a policy without a look at the message can do."""
    ALL = ADD_HEADER | CHANGE_HEADER | REPLACE_BODY | ADD_RECIPIENT | DELETE_RECIPIENT | CHANGE_SENDER | QUARANTINE


@dataclass(frozen=True, slots=True)
class Needs:
    """replies: the events whose outcome matters, out of REPLY_EVENTS. edits: what the outcome of a message may hold.

    An event that is not in `replies` is still delivered, because later hooks look at what it brought, but the MTA does
    not wait for its answer. content: whether headers and body are to be delivered; a policy that only changes
    recipients needs the end of the message, but not what is in it.
    """

    replies: frozenset[str] = frozenset(REPLY_EVENTS)
    edits: Edits = Edits.ALL
    content: bool = True

    def __post_init__(self) -> None:
        unknown = self.replies - set(REPLY_EVENTS)
        if unknown:
            raise ValueError(f"expected names out of {REPLY_EVENTS}, got {sorted(unknown)}")

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.replies | other.replies, self.edits | other.edits, self.content or other.content)
