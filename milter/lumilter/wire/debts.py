"""Answers that an MTA did not wait for: what is owed is given as the next reply.

The law: nothing that was decided is lost because a reply was negotiated away.
"""

from __future__ import annotations

from lumilter.session.events import Action, Outcome

TEMPFAIL = Outcome(Action.TEMPFAIL)


class Debts:
    """What is owed on one connection.

    broken: something was lost, the rest of the connection is tempfailed. session: owed until the next HELO.
    message: owed until the message ends.
    """

    __slots__ = ("broken", "message", "session")

    def __init__(self) -> None:
        self.broken = False
        self.session: Outcome | None = None
        self.message: Outcome | None = None

    def due(self) -> Outcome | None:
        """What the next reply has to be, whatever it is a reply to."""
        return TEMPFAIL if self.broken else self.session or self.message

    def owe(self, outcome: Outcome, in_transaction: bool) -> None:
        """Remember the answer to an event whose reply the MTA does not wait for."""
        owed = None if outcome.action is Action.CONTINUE else outcome
        if in_transaction:
            self.message = owed
        else:
            self.session = owed
