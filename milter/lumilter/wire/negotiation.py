"""What is agreed with an MTA at the start of a connection.

The law: a pure function of the scripts' needs and the MTA's offer. What is needed and not offered is an error that
names it; what is offered and not needed is switched off, because every reply is a round trip. The numbers are the
protocol's (Sendmail's include/libmilter/mfapi.h, SMFIF_ and mfdef.h, SMFIP_), the same on both wires.
"""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.errors import NegotiationError
from lumilter.session.needs import Edits, Needs

_ACTIONS = {
    Edits.ADD_HEADER: (0x01, "add headers"),
    Edits.CHANGE_HEADER: (0x10, "change headers"),
    Edits.REPLACE_BODY: (0x02, "replace the body"),
    Edits.ADD_RECIPIENT: (0x04, "add recipients"),
    Edits.DELETE_RECIPIENT: (0x08, "delete recipients"),
    Edits.CHANGE_SENDER: (0x40, "change the sender"),
    Edits.QUARANTINE: (0x20, "quarantine"),
}
_SETSYMLIST = 0x100

_NO_UNKNOWN = 0x100
_NO_DATA = 0x200
_LEADING_SPACE = 0x100000

NO_REPLY = {
    "connect": 0x1000,
    "helo": 0x2000,
    "mail": 0x4000,
    "rcpt": 0x8000,
    "data": 0x10000,
    "header": 0x80,
    "eoh": 0x40000,
    "body": 0x80000,
}
"""The protocol flag by which an MTA does not wait for the reply to an event."""

_NO_MESSAGE = 0x10 | 0x20 | 0x40
"""No body, no headers, no end of headers."""


@dataclass(frozen=True, slots=True)
class Terms:
    """actions, steps: libmilter's SMFIF_ and SMFIP_ bits. edits: what an outcome may hold."""

    actions: int
    steps: int
    edits: Edits

    @property
    def leading_space(self) -> bool:
        """Header values cross with the white space that follows the colon (SMFIP_HDR_LEADSPC)."""
        return bool(self.steps & _LEADING_SPACE)

    @property
    def macros(self) -> bool:
        """The MTA takes a list of the macros that it should send."""
        return bool(self.actions & _SETSYMLIST)

    def silent(self, event: str) -> bool:
        """No reply to `event` (a key of NO_REPLY) is waited for."""
        return bool(self.steps & NO_REPLY.get(event, 0))


def negotiate(needs: Needs, offered_actions: int, offered_steps: int) -> Terms:
    """The terms for a connection.

    offered_steps: on the pymilter wire with all the no-reply flags, which libmilter offers even where the MTA does not:
    it then answers the MTA itself. Raises NegotiationError.
    """
    actions, missing = 0, []
    for edit, (bit, what) in _ACTIONS.items():
        if edit in needs.edits:
            actions |= bit
            if not offered_actions & bit:
                missing.append(what)
    if "data" in needs.replies and not offered_steps & _NO_DATA:
        missing.append("see the DATA command")  # before protocol version 4 there is neither the step nor its flag
    if missing:
        raise NegotiationError(f"the scripts need to {', '.join(missing)}; the MTA does not offer it")
    steps = _NO_UNKNOWN | _LEADING_SPACE
    for event in ("connect", "helo", "mail", "rcpt", "data"):
        if event not in needs.replies:
            steps |= NO_REPLY[event]
    steps |= NO_REPLY["header"] | NO_REPLY["eoh"] | NO_REPLY["body"] if needs.content else _NO_MESSAGE
    return Terms(actions | (offered_actions & _SETSYMLIST), steps & offered_steps, needs.edits)
