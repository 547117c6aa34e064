"""Shadow mode: the session decides, and the MTA is told to go on.

The law: whatever a hook does, `handle` returns "continue" for a client in shadow; what would have been answered is in
`would_be`. Scripts see what they would have seen without shadow mode: no hook runs for what a refusal would have
prevented, and nothing that came after it is known to them.

    refused                        covers, so that no hook runs for it
    connect, helo                  the connection (both MTAs refuse everything from there on)
    any command, with 421          the connection (the MTA hangs up)
    mail, data                     the transaction
    rcpt                           that recipient; the transaction once all of them were refused and DATA comes
    end of message                 nothing: it was the last word

The end of a message that was covered has the covering refusal as its would-be outcome, other covered events "continue".
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from lumilter.session.address import Path
from lumilter.session.checking import Checking
from lumilter.session.events import (
    CONTINUE,
    Abort,
    Action,
    Close,
    Connect,
    Data,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Outcome,
    Rcpt,
)
from lumilter.session.mail import MailMessage
from lumilter.session.needs import Edits, Needs
from lumilter.session.routing import Routing
from lumilter.session.session import Session
from lumilter.session.steps import Envelope, Module, Steps
from lumilter.session.verdict import Options

HANGS_UP = 421
"""RFC 5321 3.8; Postfix and Sendmail close the connection after it, whatever the command was."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A would-be answer, and the phase and module of the hook that decided it."""

    outcome: Outcome
    decided: tuple[str, str] | None = None


class Coverage:
    """What the refusals in one session cover. For each event, in order: `of`, then `note` where that was None."""

    def __init__(self) -> None:
        self._connection: Refusal | None = None
        self._transaction: Refusal | None = None
        self._recipient: Refusal | None = None
        """Of the last refused recipient."""
        self._taken = False
        """A recipient was not refused."""

    def of(self, event: Event) -> Refusal | None:
        """The refusal without which this event would have come; None where it would have come. A Close always does."""
        if isinstance(event, Helo | Mail | Abort):
            self._end_transaction()
        if isinstance(event, Abort | Close):
            return None
        if isinstance(event, Data | EndOfMessage) and not self._taken:
            self._transaction = self._transaction or self._recipient
        refusal = self._connection or self._transaction
        if isinstance(event, EndOfMessage):
            self._end_transaction()
        return refusal

    def note(self, event: Event, refusal: Refusal) -> None:
        """What was decided about an event that is not covered, be it a refusal or not."""
        outcome = refusal.outcome
        if outcome.action is Action.CONTINUE:
            self._taken = self._taken or isinstance(event, Rcpt)
        elif isinstance(event, Connect | Helo) or (outcome.reply is not None and outcome.reply.code == HANGS_UP):
            self._connection = refusal
        elif isinstance(event, Rcpt) and outcome.action in (Action.REJECT, Action.TEMPFAIL):
            self._recipient = refusal
        elif not isinstance(event, EndOfMessage):
            self._transaction = refusal

    def _end_transaction(self) -> None:
        self._transaction = self._recipient = None
        self._taken = False


class ShadowSession(Session):
    """A session that may be in shadow, which is known when the client is.

    is_shadow: gets the client's address, "" before it is known. The rest is as for Session.
    """

    def __init__(
        self,
        modules: Sequence[Module],
        options: Options,
        new_id: Callable[[], str],
        peer_context: Callable[[str], Mapping[str, str]] = lambda address: {},
        is_shadow: Callable[[str], bool] = lambda client: True,
        routing: Routing = Routing(),  # noqa: B008 (immutable)
        remembers: Callable[[], bool] = lambda: False,
        sealing: Callable[[MailMessage], Sequence[Hashable]] = lambda message: (),
        checking: Checking = Checking(),  # noqa: B008 (immutable)
    ) -> None:
        super().__init__(modules, options, new_id, peer_context, routing, remembers, sealing, checking)
        self.would_be = CONTINUE
        """What the last event would have been answered; what it was answered, where the client is not in shadow."""
        self._is_shadow = is_shadow
        self._given = options
        self._coverage = Coverage()
        self._sender, self._recipients = "", list[str]()
        """The envelope as the MTA has it."""
        self._queue_id = ""
        """Of a transaction that no script knows of."""
        self._choose("")

    @property
    def queue_id(self) -> str:
        """See Session.queue_id."""
        return self._queue_id or super().queue_id

    def handle(self, event: Event) -> Steps:
        """See Session.handle."""
        if isinstance(event, Connect):
            self._choose(event.address)
        if not self.shadow:
            self.would_be = yield from super().handle(event)
            return self.would_be
        self.would_be = CONTINUE
        if isinstance(event, Mail):
            self._sender, self._recipients = Path.parse(event.address).address, []
        elif isinstance(event, Rcpt):
            self._recipients.append(Path.parse(event.address).address)
        refusal = self._coverage.of(event)
        self._queue_id = ""
        if refusal is not None:
            self.would_be = yield from self._covered(event, refusal)
        else:
            self.would_be = yield from super().handle(event)
            self._coverage.note(event, Refusal(self.would_be, self.trace.decided))
        return CONTINUE

    def _choose(self, client: str) -> None:
        """Whether this client is in shadow; if so no reply is held back."""
        self.shadow = self._is_shadow(client)
        self.options = replace(self._given, max_tarpit=0.0) if self.shadow else self._given

    def _covered(self, event: Event, refusal: Refusal) -> Steps:
        """An event that would not have come: only what the log says about it is kept."""
        self.trace.begin()
        if not isinstance(event, EndOfMessage):
            return CONTINUE
        ident = self.message.id if self.message else ""
        yield from super().handle(Abort())  # of the transaction there is no other end
        self._queue_id = event.macros.get("i", "")
        self.envelope = Envelope(ident, self._sender, tuple(self._recipients))
        self.trace.decided = refusal.decided
        return refusal.outcome


def unanswered(needs: Needs) -> Needs:
    """The needs of scripts where every client is in shadow: no edits, and no command that the MTA waits for.

    Only the end of a message is waited for, which no MTA lets us change.
    """
    return Needs(frozenset(), Edits.NONE, needs.content)
