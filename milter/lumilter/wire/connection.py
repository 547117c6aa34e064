"""One connection of an MTA: libmilter's callbacks to events, outcomes to libmilter's replies.

The law: no decision. Callbacks of one connection come one after the other but on different OS threads. A callback
never raises. Nothing here forms a reference cycle (the context object is passed to each call and never kept), because
Python's cyclic collector is off and must not run on libmilter's threads.
"""

from __future__ import annotations

import logging
import socket
from typing import Any

import Milter

from lumilter.session.events import (
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
from lumilter.wire import calls, edits, macros, reply
from lumilter.wire.content import Content, Limits
from lumilter.wire.debts import TEMPFAIL, Debts
from lumilter.wire.handler import Conversation
from lumilter.wire.negotiation import Terms

log = logging.getLogger("lumilter.wire")

_CONSTANT = {
    Action.CONTINUE: Milter.CONTINUE,
    Action.ACCEPT: Milter.ACCEPT,
    Action.REJECT: Milter.REJECT,
    Action.TEMPFAIL: Milter.TEMPFAIL,
    Action.DISCARD: Milter.DISCARD,
}
_FAMILY: dict[int, str] = {socket.AF_INET: "inet", socket.AF_INET6: "inet6", socket.AF_UNIX: "unix"}


def _str(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


class Connection:
    """What libmilter calls between the negotiation and the close."""

    def __init__(self, conversation: Conversation, terms: Terms, limits: Limits) -> None:
        self._conversation = conversation
        self._terms = terms
        self._connected = False
        self._in_transaction = False
        self.debts = Debts()
        self._content = Content(limits)

    # --- callbacks ---------------------------------------------------------------------------------------------------

    def connect(self, ctx: Any, hostname: str, family: int, address: Any) -> int:
        self._connected = True
        kind = _FAMILY.get(family, "unknown")
        host, port = "", 0
        if kind == "unix":
            host = address
        elif kind != "unknown":
            host, port = address[:2]
        return self._exchange(ctx, "connect", Connect(hostname, kind, host, port, macros.read(ctx, "connect")))

    def helo(self, ctx: Any, name: str) -> int:
        self._end_transaction()
        self.debts.session = None
        return self._exchange(ctx, "helo", Helo(name, macros.read(ctx, "helo")))

    def mail(self, ctx: Any, address: bytes, *params: bytes) -> int:
        self._end_transaction()  # after a reply that ended the message early, libmilter tells of no abort
        event = Mail(_str(address), tuple(map(_str, params)), macros.read(ctx, "mail"))
        return self._exchange(ctx, "mail", event)

    def rcpt(self, ctx: Any, address: bytes, *params: bytes) -> int:
        event = Rcpt(_str(address), tuple(map(_str, params)), macros.read(ctx, "rcpt"))
        return self._exchange(ctx, "rcpt", event)

    def data(self, ctx: Any) -> int:
        return self._exchange(ctx, "data", Data(macros.read(ctx, "data")))

    def header(self, name: str, value: bytes) -> int:
        self._content.add_header(name.encode(), value if self._terms.leading_space else b" " + value)
        return self._unanswered("header")

    def eoh(self) -> int:
        return self._unanswered("eoh")

    def body(self, chunk: bytes) -> int:
        # A body chunk inside the end-of-message packet would make libmilter skip our eom; no MTA was seen to send one.
        self._content.add_body(chunk)
        return self._unanswered("body")

    def eom(self, ctx: Any) -> int:
        content = self._content
        body = content.body()
        due = self.debts.due() or content.outcome
        if due is not None:
            self._end_transaction()
            return self._reply(ctx, due)
        event = EndOfMessage(tuple(content.headers), body, macros.read(ctx, "message"))
        self._in_transaction = False
        outcome = self._ask(event)
        if outcome.action in (Action.CONTINUE, Action.ACCEPT):
            try:
                calls.write(ctx, calls.spelled(edits.check(outcome.edits, self._terms)))
            except (edits.Unwritable, Milter.error) as error:
                queue_id = event.macros.get("i", "-")
                log.error("%s: the edits of this message can't be made, it is tempfailed: %s", queue_id, error)
                outcome = TEMPFAIL
        content.clear()
        return self._reply(ctx, outcome)

    def abort(self) -> int:
        self._end_transaction()
        return int(Milter.CONTINUE)

    def close(self) -> int:
        self._end_transaction()
        self._ask(Close())
        return int(Milter.CONTINUE)

    def undecodable(self, raw: bytes) -> None:
        """Make up for a callback that did not come: pymilter wants UTF-8 in some places and got `raw`.

        Those places are the client's name, the HELO name and a header's name. pymilter has told the MTA to continue.
        A HELO can still be told, its answer is given to the next command. Of a header only the name is known, so the
        message can't be judged.
        """
        if self._connected and not self._in_transaction:
            if self.debts.due() is None:
                self.debts.owe(self._ask(Helo(_str(raw))), in_transaction=False)
            return
        log.error("8-bit client or header name %r, the rest of this connection is tempfailed", raw[:80])
        self.debts.broken = True

    # --- answers -----------------------------------------------------------------------------------------------------

    def _exchange(self, ctx: Any, name: str, event: Event) -> int:
        debt = self.debts.due()
        if debt is None:
            self._in_transaction = self._in_transaction or name == "mail"
            outcome = self._ask(event)
        else:
            outcome = debt
        if not self._terms.silent(name):
            return self._reply(ctx, outcome)
        if debt is None:
            self.debts.owe(outcome, self._in_transaction)
        return int(Milter.NOREPLY)

    def _unanswered(self, name: str) -> int:
        return int(Milter.NOREPLY if self._terms.silent(name) else Milter.CONTINUE)

    def _end_transaction(self) -> None:
        self._content.clear()
        self.debts.message = None
        if self._in_transaction:
            self._in_transaction = False
            self._ask(Abort())

    def _ask(self, event: Event) -> Outcome:
        try:
            return self._conversation.handle(event)
        except Exception:
            log.exception("%s was not handled, the rest of this connection is tempfailed", type(event).__name__)
            self.debts.broken = True
            return TEMPFAIL

    def _reply(self, ctx: Any, outcome: Outcome) -> int:
        action = outcome.action
        if outcome.reply is not None and action in (Action.REJECT, Action.TEMPFAIL):
            try:
                reply.put(ctx, outcome.reply)
            except (Milter.error, ValueError) as error:
                log.error("the MTA's own text is sent, libmilter does not take %r: %s", outcome.reply, error)
            else:  # libmilter sends the text only with the constant that fits the code
                action = Action.TEMPFAIL if outcome.reply.code < 500 else Action.REJECT
        return int(_CONSTANT[action])
