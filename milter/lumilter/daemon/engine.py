"""The engine: a Lua thread with a generation of scripts on it, and sessions that are handed to it.

The law: `Conversation.handle` is the only way from libmilter's threads to the Lua thread; what crosses are events and
outcomes. The last reference to anything of Lua is given up on the Lua thread.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lumilter.api  # noqa: F401  (fills the registry)
from lumilter.calls import Here
from lumilter.host.host import Host, LuaSettings, Script, momentum_ids
from lumilter.host.thread import LuaThread
from lumilter.services import Services
from lumilter.session import phases
from lumilter.session.events import Close, Connect, Data, EndOfMessage, Event, Helo, Mail, Outcome, Rcpt
from lumilter.session.needs import Edits, Needs
from lumilter.session.session import Session
from lumilter.session.verdict import Options

log = logging.getLogger(__name__)

Observer = Callable[[Session, Event, Outcome], None]
"""Called after each event, on the connection's thread, with what was decided."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything an engine is made of.

    peer_context: the configured connection variables for a client's address. print_line: gets each printed line.
    """

    scripts: Sequence[Script]
    lua: LuaSettings = field(default_factory=LuaSettings)
    options: Options = field(default_factory=Options)
    services: Services = field(default_factory=Services)
    peer_context: Callable[[str], Mapping[str, str]] = lambda address: {}
    print_line: Callable[[Here, str], None] = lambda here, text: None
    observe: Observer = lambda session, event, outcome: None


class Engine:
    """A running Lua thread with loaded scripts. Raises what loading raises."""

    def __init__(self, setup: Setup) -> None:
        gc.disable()  # Python's cycles may hold Lua objects: only the Lua thread collects
        self.setup = setup
        self.thread = LuaThread()
        self.thread.start()
        self.new_id = momentum_ids()
        try:
            self.host: Host = self.thread.call(self._make)
            self.thread.call(lambda answer: self.host.drive(self.host.setup(setup.scripts), answer))
        except BaseException:
            self.thread.stop()
            raise
        gc.freeze()

    def _make(self, answer: Callable[[Any], None]) -> None:
        answer(Host(self.setup.lua, self.setup.services, self.thread, self.setup.print_line))

    @property
    def needs(self) -> Needs:
        """What the loaded scripts need from the MTA."""
        defined: set[str] = set().union(*(module.hooks for module in self.host.modules))
        names = {Connect: "connect", Helo: "helo", Mail: "mail", Rcpt: "rcpt", Data: "data", EndOfMessage: "message"}
        replies = frozenset(
            name for event, name in names.items() if any(hook.name in defined for hook in phases.BY_EVENT[event])
        )
        content = "message" in replies
        envelope = bool(replies & {"mail", "rcpt", "data"})
        if envelope:
            replies |= {"message"}  # recipients and the sender are only changed at the end of the message
        return Needs(replies, Edits.ALL if content else Edits.ENVELOPE if envelope else Edits.NONE, content)

    def open(self) -> Conversation:
        """A new connection; any thread."""
        return Conversation(self, Session(self.host.modules, self.setup.options, self.new_id, self.setup.peer_context))

    def call(self, begin: Callable[[Callable[[Any], None]], None]) -> Any:
        """Run something on the Lua thread and wait for its answer."""
        return self.thread.call(begin)

    def stop(self) -> None:
        """Let the modules tear down, then end the Lua thread."""
        self.thread.call(lambda answer: self.host.drive(self.host.teardown(), answer))
        self.thread.stop()


class Conversation:
    """One MTA connection, as the wire talks to it."""

    __slots__ = ("_engine", "_session")

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session: Session | None = session

    def handle(self, event: Event) -> Outcome:
        """The session's outcome. What needs no Lua is done on the calling thread, everything else on the Lua thread."""
        session, engine = self._session, self._engine
        assert session is not None
        steps = session.handle(event)
        try:
            first = next(steps)
        except StopIteration as stop:
            outcome: Outcome = stop.value
        else:
            outcome = engine.thread.call(lambda answer: engine.host.drive(steps, answer, session, first))
        self._observe(session, event, outcome)
        if isinstance(event, Close):
            self._session = None
            engine.thread.post(lambda: engine.host.end_session(session))
        return outcome

    def _observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        try:
            self._engine.setup.observe(session, event, outcome)
        except Exception:
            log.exception("the log line of %s could not be written", session.queue_id or session.ac.conn_id)
