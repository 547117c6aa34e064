"""The engine: a loop with a generation of scripts on it, and sessions that are handed to it.

The law: `Conversation.handle` is the only way from libmilter's threads to the loop's; what crosses are events and
outcomes. The last reference to anything of Lua is given up on the loop's thread.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lumilter.api  # noqa: F401  (fills the registry)
from lumilter.api.signed_content import Sealing
from lumilter.calls import Here
from lumilter.daemon import census
from lumilter.host.host import Host, LuaSettings, Script
from lumilter.loop import Loop
from lumilter.services import Services
from lumilter.session import phases, shadow
from lumilter.session.checking import Checking
from lumilter.session.events import (
    CONTINUE,
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
from lumilter.session.needs import Edits, Needs
from lumilter.session.routing import Routing
from lumilter.session.session import Session
from lumilter.session.shadow import ShadowSession
from lumilter.session.verdict import Options

log = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds for closures in pools, where nobody says another time."""

Observer = Callable[[Session, Event, Outcome], None]
"""Called after each event, on the connection's thread, with what was decided."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything an engine is made of.

    peer_context: the configured connection variables for a client's address. checking: what is found out about senders.
    print_line: gets each printed line. is_shadow: whether a client's sessions are in shadow (session.shadow); None
    where none ever is. all_shadow: whether everybody's are. observe: is told what would have been answered.
    """

    scripts: Sequence[Script]
    lua: LuaSettings = field(default_factory=LuaSettings)
    options: Options = field(default_factory=Options)
    services: Services = field(default_factory=Services)
    peer_context: Callable[[str], Mapping[str, str]] = lambda address: {}
    checking: Checking = field(default_factory=Checking)
    is_shadow: Callable[[str], bool] | None = None
    all_shadow: bool = False
    print_line: Callable[[Here, str], None] = lambda here, text: None
    observe: Observer = lambda session, event, outcome: None


class Engine:
    """A Lua state with loaded scripts, on a loop. Raises what loading raises.

    loop: turned by the caller, from now on in the calling thread; None is one of our own, on a thread of its own.
    """

    def __init__(self, setup: Setup, loop: Loop | None = None) -> None:
        gc.disable()  # Python's cycles may hold Lua objects: only the loop's thread collects
        self.setup = setup
        self.loop = loop or Loop()
        self._own_loop = loop is None
        if self._own_loop:
            self.loop.start()
        self.sessions: set[Session] = set()
        """Those of open connections."""
        self.messages = 0
        """Messages that came to their end."""
        self._needs: tuple[int, Needs] | None = None
        """As they were with that many modules."""
        try:
            self.host: Host = self.loop.call(self._make)
            self.loop.call(lambda answer: self.host.drive(self.host.setup(setup.scripts), answer))
        except BaseException:
            self._stop_loop()
            self._close()
            raise
        gc.freeze()

    def _make(self, answer: Callable[[Any], None]) -> None:
        host = Host(self.setup.lua, self.setup.services, self.loop, self.setup.print_line)
        host.shadow = self.setup.all_shadow
        answer(host)

    @property
    def needs(self) -> Needs:
        """What the loaded scripts need from the MTA; asked for each connection."""
        known = len(self.host.modules)  # one may be registered later, none ever goes
        if self._needs is None or self._needs[0] != known:
            self._needs = known, self._find_needs()
        return self._needs[1]

    def _find_needs(self) -> Needs:
        defined: set[str] = set().union(*(module.hooks for module in self.host.modules))
        names = {Connect: "connect", Helo: "helo", Mail: "mail", Rcpt: "rcpt", Data: "data", EndOfMessage: "message"}
        replies = frozenset(name for event, name in names.items() if phases.is_hooked(event, defined))
        if self.setup.services.signatures.reads_all:
            replies |= {"message"}
        content = "message" in replies
        envelope = bool(replies & {"mail", "rcpt", "data"})
        if envelope:
            replies |= {"message"}  # recipients and the sender are only changed at the end of the message
        needs = Needs(replies, Edits.ALL if content else Edits.ENVELOPE if envelope else Edits.NONE, content)
        return shadow.unanswered(needs) if self.setup.all_shadow else needs

    def open(self) -> Conversation:
        """A new connection; any thread."""
        setup = self.setup
        if setup.is_shadow is not None:
            return self.converse(self.shadow_session(self.host.new_id, setup.is_shadow))
        modules, new_id = self.host.modules, self.host.new_id
        return self.converse(Session(modules, setup.options, new_id, setup.peer_context, *self._parts()))

    def shadow_session(self, new_id: Callable[[], str], is_shadow: Callable[[str], bool]) -> ShadowSession:
        """A session of a client that may be in shadow, as the setup has it but for these; any thread."""
        setup, modules = self.setup, self.host.modules
        return ShadowSession(modules, setup.options, new_id, setup.peer_context, is_shadow, *self._parts())

    def _parts(self) -> tuple[Routing, Callable[[], bool], Sealing, Checking]:
        """What every session is made with at last."""
        services = self.setup.services
        return (
            services.routing or Routing(), services.mail.remembers, Sealing(services.signatures), self.setup.checking,
        )  # fmt: skip

    def converse(self, session: Session) -> Conversation:
        """A connection with that session; any thread."""
        self.sessions.add(session)
        return Conversation(self, session)

    def call(self, begin: Callable[[Callable[[Any], None]], None]) -> Any:
        """Run something on the loop's thread and wait for its answer."""
        return self.loop.call(begin)

    def stop(self, until: float | None = None) -> None:
        """Let closures end and the modules tear down, then end the loop. until: of time.monotonic(), for closures."""
        until = time.monotonic() + _PATIENCE if until is None else until
        self.loop.call(lambda answer: self.host.drive(self.host.teardown(until), answer))
        self._stop_loop()
        self._close()

    def _close(self) -> None:
        """Give back what the services hold: threads, connections, files."""
        services = self.setup.services
        for each in (services.datasources, services.scanners, services.files, services.web):
            each.close()

    def _stop_loop(self) -> None:
        if self._own_loop:
            self.loop.stop()
            self.loop.close()


class Conversation:
    """One MTA connection, as the wires talk to it."""

    __slots__ = ("_engine", "_session")

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session: Session | None = session

    def start(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        """Begin with an event, on the loop's thread; answer gets the outcome, now or later."""
        session, engine = self._session, self._engine
        assert session is not None
        self._settle(session)
        census.arrived(engine.setup.services.state, session, event)

        def ended(outcome: Any) -> None:
            if isinstance(outcome, Exception):
                log.error("internal error, the command is tempfailed", exc_info=outcome)
                outcome = CONTINUE if session.shadow else Outcome(Action.TEMPFAIL)
            self._observe(session, event, outcome)
            if isinstance(event, Close):
                self._end(session)
                engine.host.end_session(session)
            answer(outcome)

        steps = session.handle(event)
        try:
            first = next(steps)
        except StopIteration as stop:  # most events run no hook
            ended(stop.value)
        else:
            engine.host.drive(steps, ended, session, first)

    def handle(self, event: Event) -> Outcome:
        """The outcome of an event, from any other thread.

        What needs no Lua is done on the calling thread, everything else on the loop's.
        """
        session, engine = self._session, self._engine
        assert session is not None
        self._settle(session)
        census.arrived(engine.setup.services.state, session, event)
        steps = session.handle(event)
        try:
            first = next(steps)
        except StopIteration as stop:
            outcome: Outcome = stop.value
        else:
            outcome = engine.loop.call(lambda answer: engine.host.drive(steps, answer, session, first))
        self._observe(session, event, outcome)
        if isinstance(event, Close):
            self._end(session)
            engine.loop.post(lambda: engine.host.end_session(session))
        return outcome

    def _settle(self, session: Session) -> None:
        """The MTA goes on, so it has the last answer: who was served by it need not be remembered any more."""
        keys, session.served = session.served, ()
        if keys:
            try:
                self._engine.loop.pool.submit(self._engine.setup.services.mail.forget, keys)
            except RuntimeError as error:  # the system has no thread left; they are forgotten in time
                log.error("it is remembered on who was served: %s", error)

    def _end(self, session: Session) -> None:
        self._session = None
        self._engine.sessions.discard(session)

    def _observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        self._engine.messages += isinstance(event, EndOfMessage)
        if isinstance(session, ShadowSession):
            outcome = session.would_be
        try:
            census.observe(self._engine.setup.services.state, session, event, outcome)
            self._engine.setup.observe(session, event, outcome)
        except Exception:
            log.exception("the log line of %s could not be written", session.queue_id or session.ac.conn_id)
