"""A policy in an engine, without a wire: for tests that talk to the Lua thread as libmilter's threads do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from lumilter.adapters.dns import FixtureResolver
from lumilter.calls import Here
from lumilter.daemon.engine import Conversation, Engine, Setup
from lumilter.host.host import LuaSettings, Script
from lumilter.host.pools import PoolSettings
from lumilter.host.tasks import Limits
from lumilter.services import Services
from lumilter.session.events import Close, Connect, Data, EndOfMessage, Event, Helo, Mail, Outcome, Rcpt
from lumilter.session.session import Session
from lumilter.session.steps import HookRun
from lumilter.session.verdict import Options

CONNECT = Connect("client.example", "inet", "192.0.2.1", 40000, {"daemon_addr": "192.0.2.25", "daemon_port": "25"})
HEADERS = ((b"From", b" Ann <ann@example.org>"), (b"To", b" bob@example.com"), (b"Subject", b" Hello"))
BODY = b"Hello.\r\n"


@dataclass
class Policy:
    """Scripts in an engine; use as a context manager. printed, errors and runs collect what happens."""

    scripts: Sequence[Path]
    path: tuple[str, ...] = ()
    pools: tuple[PoolSettings, ...] = ()
    timer_limits: Limits = field(default_factory=lambda: Limits(20_000_000, 10.0))
    limits: Limits = field(default_factory=lambda: Limits(20_000_000, 10.0))
    max_memory: int = 64 << 20
    allow: frozenset[str] = frozenset()
    options: Options = field(default_factory=Options)
    services: Services = field(default_factory=lambda: Services(FixtureResolver({}), hostname="mx.example.com"))
    printed: list[str] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    runs: list[HookRun] = field(default_factory=list)

    def __enter__(self) -> Policy:
        setup = Setup(
            scripts=[Script(script.stem, str(script)) for script in self.scripts],
            lua=LuaSettings(self.path, self.max_memory, False, self.allow, self.limits, self.timer_limits, self.pools),
            options=self.options,
            services=self.services,
            print_line=self._print,
            observe=self._observe,
        )
        self.engine = Engine(setup)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.stop()

    def _print(self, here: Here, text: str) -> None:
        self.printed.append(text)

    def _observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        self.errors += session.trace.errors
        self.runs += session.trace.runs
        session.trace.clear()

    @contextmanager
    def conversation(self, connect: Connect = CONNECT) -> Iterator[Conversation]:
        """A connection whose Connect was answered."""
        conversation = self.engine.open()
        conversation.handle(connect)
        try:
            yield conversation
        finally:
            conversation.handle(Close())

    def send(
        self,
        sender: str = "ann@example.org",
        recipients: Sequence[str] = ("bob@example.com",),
        headers: tuple[tuple[bytes, bytes], ...] = HEADERS,
        body: bytes = BODY,
        helo: str = "client.example",
    ) -> list[Outcome]:
        """One message on a connection of its own; the outcomes from HELO on, up to the first that refuses."""
        events: list[Event] = [
            Helo(helo),
            Mail(f"<{sender}>"),
            *(Rcpt(f"<{recipient}>") for recipient in recipients),
            Data({"i": "QUEUEID"}),
            EndOfMessage(headers, body, {"i": "QUEUEID"}),
        ]
        outcomes: list[Outcome] = []
        with self.conversation() as conversation:
            for event in events:
                outcomes.append(conversation.handle(event))
                if outcomes[-1].reply is not None and not isinstance(event, Rcpt):
                    break
        return outcomes


def command(running: Policy, words: list[str]) -> None:
    """Give a console command; what it prints is printed, and its error is an error."""

    def begin(answer: Callable[[Any], None]) -> None:
        if not running.engine.host.controls.run(words, running.printed.append, answer):
            answer(AssertionError(f"there is no command {words}"))

    error = running.engine.call(lambda answer: begin(lambda found: answer([found])))[0]
    if error is not None:
        running.errors.append(error)


@contextmanager
def policy(directory: Path, text: str, **settings: Any) -> Iterator[Policy]:
    """A Policy of one script with that text, named policy.lua; `mod` is its module, registered at the end."""
    script = directory / "policy.lua"
    script.write_text(f'local mod = {{}}; {text}\nmsys.registerModule("policy", mod)\n')
    with Policy([script], **settings) as running:
        yield running
