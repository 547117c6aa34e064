"""One connection of an MTA, without its socket: bytes in, events out, outcomes in, bytes out.

The law: no decision, and no input or output but the spool of `content`. Whatever an MTA sends, in pieces of any size,
ends in events as `handler.Conversation` promises them and in answers that an MTA understands. What makes no sense, or
comes out of order, ends the connection. The model is libmilter (engine.c); it ignores some of what is out of order, but
an MTA that waits for an answer would wait for ever.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Any, cast

from lumilter.errors import NegotiationError
from lumilter.session.events import Abort, Action, Close, EndOfMessage, Event, Outcome
from lumilter.session.needs import Edits, Needs
from lumilter.wire import edits, macros, packets, reply
from lumilter.wire.arguments import EVENTS, Violation, header
from lumilter.wire.content import Content, Limits
from lumilter.wire.debts import TEMPFAIL, Debts
from lumilter.wire.negotiation import NO_REPLY, Terms, negotiate
from lumilter.wire.stages import Stages

log = logging.getLogger("lumilter.wire")

_CONNECT, _HELO, _MAIL, _RCPT, _DATA, _HEADER, _EOH, _BODY, _EOM = b"CHMRTLNBE"
_MACROS, _NEGOTIATE, _UNKNOWN, _ABORT, _QUIT, _QUIT_NEW_CLIENT = b"DOUAQK"

_RANK = {_MAIL: 1, _RCPT: 2, _DATA: 3, _HEADER: 4, _EOH: 5, _BODY: 6, _EOM: 7}
"""The order of the commands of a transaction; any of them may be left out."""
_ONCE = {_DATA, _EOH}
_VERSIONS = range(2, 7)

_SYMBOLS = {number: " ".join(map(macros.spelled, names)) for number, names in macros.STAGES.values()}

Steps = Generator[Event | None, Any, None]


class Protocol:
    """over: nothing is read or written any more, only events remain. debts.broken may be set from outside.

    output: packets for the MTA, in order; whoever sends them empties it.
    """

    __slots__ = (
        *("_connected", "_content", "_largest", "_last", "_macros", "_needs", "_opened", "_silent", "_spaced"),
        *("_terms", "_told", "debts", "output", "over"),
    )

    def __init__(self, needs: Callable[[], Needs], limits: Limits) -> None:
        """needs: asked once, when the MTA negotiates."""
        self._needs = needs
        self._terms = Terms(0, 0, Edits.NONE)
        self._spaced = True
        self._silent: frozenset[str] | None = None
        """The events whose reply the MTA does not wait for; None before the negotiation."""
        self._last = 0
        """The rank of the transaction's last command, 0 outside of one."""
        self._opened = False
        """A Close is owed to the conversation."""
        self._connected = False
        self._told = False
        """An EndOfMessage or an Abort is owed to the conversation."""
        self._macros = Stages()
        self._content = Content(limits)
        self._largest = limits.packet
        self.debts = Debts()
        self.output: list[bytes | memoryview] = []
        self.over = False

    def run(self) -> Steps:
        """Yields None for more bytes (b"" is the end of them), or an event for its outcome."""
        try:
            yield from self._serve()
        except Violation as error:
            log.warning("a connection of an MTA is closed: %s", error)
        except NegotiationError as error:
            log.error("a connection of the MTA is refused: %s", error)
        except Exception:
            log.exception("internal error, a connection of an MTA is closed")
        self.over = True
        yield from self._part()

    def _serve(self) -> Steps:
        feed, content, store_macros = packets.Framer(self._largest).feed, self._content, self._macros.put
        while True:
            data = yield None
            if not data:
                return
            cut = feed(data)
            del data  # an idle connection need not keep it
            for command, payload in cut:
                if command == _HEADER:
                    if self._last != 4:
                        self._advance(_HEADER)
                    name, value = header(payload)
                    content.add_header(name, value if self._spaced else b" " + value)
                    self._go_on("header")
                elif command == _MACROS:
                    store_macros(payload)
                elif command == _BODY:
                    self._advance(_BODY)
                    content.add_body(payload)
                    self._go_on("body")
                elif command in EVENTS:
                    yield from self._event(command, payload)
                elif command == _EOM:
                    yield from self._end_of_message(payload)
                elif command == _QUIT:
                    return
                else:
                    yield from self._other(command, payload)

    def _event(self, command: int, payload: bytes) -> Steps:
        """One of the events that is answered, all but the end of the message."""
        name, stage, parse = EVENTS[command]
        debts = self.debts
        if self._silent is None or self._connected is (command == _CONNECT):
            raise Violation(f"{name} out of order")
        if command in (_HELO, _MAIL) and self._last:
            yield from self._end_transaction()
        if command == _CONNECT:
            self._connected = True
        elif command == _HELO:
            debts.session = None
        elif command == _MAIL:
            self._last = 1
        else:
            self._advance(command)
        self._macros.forget(stage)
        due = debts.due()
        if due is None:
            event = parse(payload, self._macros.known())
            self._opened = True
            self._told = self._told or command == _MAIL
            outcome = yield event
            if name in self._silent:
                debts.owe(outcome, self._told)
        if name not in self._silent:
            self.output.append(_reply(due or outcome))

    def _end_of_message(self, payload: bytes) -> Steps:
        self._advance(_EOM)
        content = self._content
        if payload:  # libmilter allows a last chunk here; no MTA was seen to send one
            content.add_body(payload)
        body = content.body()
        outcome = self.debts.due() or content.outcome
        if outcome is None:
            event = EndOfMessage(tuple(content.headers), cast(bytes, body), self._macros.known())
            content.headers.clear()
            self._told = False
            outcome = yield event
            if outcome.edits and outcome.action in (Action.CONTINUE, Action.ACCEPT):
                try:
                    for call in edits.check(outcome.edits, self._terms):
                        self.output.extend(packets.edit(call))
                except edits.Unwritable as error:
                    queue_id = event.macros.get("i", "-")
                    log.error("%s: the edits of this message can't be made, it is tempfailed: %s", queue_id, error)
                    outcome = TEMPFAIL
            del event
        del body
        yield from self._end_transaction()
        self.output.append(_reply(outcome))

    def _other(self, command: int, payload: bytes) -> Steps:
        if command == _NEGOTIATE and self._silent is None:
            self._negotiate(payload)
        elif self._silent is not None and command >= packets.TOO_LARGE:
            self._left_out(command - packets.TOO_LARGE)
        elif self._silent is None or command == packets.MALFORMED or command not in b"NAUK":
            raise Violation(f"no packet of the protocol, or out of order: {command:#x} with {payload[:40]!r}")
        elif command == _EOH:
            self._advance(_EOH)
            self._go_on("eoh")
        elif command == _ABORT:
            yield from self._end_transaction()
        elif command == _UNKNOWN:  # switched off, where the MTA lets us
            self.output.append(packets.CONTINUE)
        else:  # _QUIT_NEW_CLIENT
            yield from self._part()
            self._connected = False
            self._macros.forget(-1)
            self.debts = Debts()

    def _left_out(self, command: int) -> None:
        """A packet was too large. A message that it is of is answered for at its end."""
        self._content.leave_out()
        if command not in (_HEADER, _BODY):
            raise Violation(f"a packet of the command {chr(command)!r} is larger than {self._largest} bytes")
        self._advance(command)
        self._go_on("header" if command == _HEADER else "body")

    def _negotiate(self, payload: bytes) -> None:
        if len(payload) < 12:
            raise Violation(f"expected an offer of 12 bytes, got {payload!r}")
        self._terms, self._silent, answer = _agree(self._needs(), *struct.unpack_from("!III", payload))
        self._spaced = self._terms.leading_space
        self.output.append(answer)
        self._opened = True

    # --- pieces ------------------------------------------------------------------------------------------------------

    def _advance(self, command: int) -> None:
        rank = _RANK[command]
        if not 0 < self._last <= rank or (self._last == rank and command in _ONCE):
            raise Violation(f"command {chr(command)!r} out of order")
        self._last = rank

    def _go_on(self, name: str) -> None:
        if self._silent is not None and name not in self._silent:
            self.output.append(packets.CONTINUE)

    def _end_transaction(self) -> Steps:
        self._last = 0
        self._content.clear()
        self.debts.message = None
        if self._told:
            self._told = False
            yield Abort()

    def _part(self) -> Steps:
        """The client is gone."""
        yield from self._end_transaction()
        if self._opened:
            self._opened = False
            yield Close()


@lru_cache(16)
def _agree(needs: Needs, version: int, actions: int, steps: int) -> tuple[Terms, frozenset[str], bytes]:
    """The terms, the events without reply, the packet that says so; the same for all connections of an MTA."""
    if version < _VERSIONS[0]:
        raise NegotiationError(
            f"the MTA speaks version {version} of the milter protocol, expected {_VERSIONS[0]} or more"
        )
    # Nothing offered is what the first version of the protocol offered (SMFI_V1_ACTS, SMFI_V1_PROT).
    terms = negotiate(needs, actions or 0xF, steps or 0x3F)
    answer = packets.agreement(
        min(version, _VERSIONS[-1]), terms.actions, terms.steps, _SYMBOLS if terms.macros else {}
    )
    return terms, frozenset(filter(terms.silent, NO_REPLY)), answer


def _reply(outcome: Outcome) -> bytes:
    if outcome.reply is not None and outcome.action in (Action.REJECT, Action.TEMPFAIL):
        try:
            return packets.text(b"y", reply.text(outcome.reply))
        except ValueError as error:
            log.error("the MTA's own text is sent, %r is no reply: %s", outcome.reply, error)
    return packets.PLAIN[outcome.action]
