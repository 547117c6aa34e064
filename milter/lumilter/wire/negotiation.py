"""What is agreed with an MTA at the start of a connection.

The law: a pure function of the scripts' needs and the MTA's offer. What is needed and not offered is an error that
names it; what is offered and not needed is switched off, because every reply is a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass

import Milter

from lumilter.errors import NegotiationError
from lumilter.session.needs import Edits, Needs

_ACTIONS = {
    Edits.ADD_HEADER: (Milter.ADDHDRS, "add headers"),
    Edits.CHANGE_HEADER: (Milter.CHGHDRS, "change headers"),
    Edits.REPLACE_BODY: (Milter.CHGBODY, "replace the body"),
    Edits.ADD_RECIPIENT: (Milter.ADDRCPT, "add recipients"),
    Edits.DELETE_RECIPIENT: (Milter.DELRCPT, "delete recipients"),
    Edits.CHANGE_SENDER: (Milter.CHGFROM, "change the sender"),
    Edits.QUARANTINE: (Milter.QUARANTINE, "quarantine"),
}

NO_REPLY = {
    "connect": Milter.P_NR_CONN,
    "helo": Milter.P_NR_HELO,
    "mail": Milter.P_NR_MAIL,
    "rcpt": Milter.P_NR_RCPT,
    "data": Milter.P_NR_DATA,
    "header": Milter.P_NR_HDR,
    "eoh": Milter.P_NR_EOH,
    "body": Milter.P_NR_BODY,
}
"""The protocol flag by which an MTA does not wait for the reply to an event."""

_NO_MESSAGE = Milter.P_NOHDRS | Milter.P_NOEOH | Milter.P_NOBODY


@dataclass(frozen=True, slots=True)
class Terms:
    """actions, steps: libmilter's SMFIF_ and SMFIP_ bits. edits: what an outcome may hold."""

    actions: int
    steps: int
    edits: Edits

    @property
    def leading_space(self) -> bool:
        """Header values cross with the white space that follows the colon (SMFIP_HDR_LEADSPC)."""
        return bool(self.steps & Milter.P_HDR_LEADSPC)

    @property
    def macros(self) -> bool:
        """The MTA takes a list of the macros that it should send."""
        return bool(self.actions & Milter.SETSYMLIST)

    def silent(self, event: str) -> bool:
        """No reply to `event` (a key of NO_REPLY) is waited for."""
        return bool(self.steps & NO_REPLY.get(event, 0))


def negotiate(needs: Needs, offered_actions: int, offered_steps: int) -> Terms:
    """The terms for a connection.

    offered_steps: with the no-reply flags, all of which libmilter offers even where the MTA does not: it then answers
    the MTA itself. Raises NegotiationError.
    """
    actions, missing = 0, []
    for edit, (bit, what) in _ACTIONS.items():
        if edit in needs.edits:
            actions |= bit
            if not offered_actions & bit:
                missing.append(what)
    if "data" in needs.replies and not offered_steps & Milter.P_NODATA:
        missing.append("see the DATA command")  # before protocol version 4 there is neither the step nor its flag
    if missing:
        raise NegotiationError(f"the scripts need to {', '.join(missing)}; the MTA does not offer it")
    steps = Milter.P_NOUNKNOWN | Milter.P_HDR_LEADSPC
    for event in ("connect", "helo", "mail", "rcpt", "data"):
        if event not in needs.replies:
            steps |= NO_REPLY[event]
    steps |= NO_REPLY["header"] | NO_REPLY["eoh"] | NO_REPLY["body"] if needs.content else _NO_MESSAGE
    return Terms(actions | (offered_actions & Milter.SETSYMLIST), steps & offered_steps, needs.edits)
