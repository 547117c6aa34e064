"""A policy in an engine that is counted, traced and warned of, as a worker's is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lumilter.adapters.dns import FixtureResolver
from lumilter.daemon import observers
from lumilter.daemon.engine import Engine, Setup
from lumilter.daemon.figures import Snapshot
from lumilter.daemon.metrics import Meter
from lumilter.daemon.trace import Tracer
from lumilter.host.host import LuaSettings, Script
from lumilter.host.tasks import Limits
from lumilter.services import Services
from lumilter.session.events import Close, Data, EndOfMessage, Event, Helo, Mail, Outcome, Rcpt
from lumilter.session.verdict import Options
from support.policy import BODY, CONNECT, HEADERS

ENVELOPE: tuple[Event, ...] = (CONNECT, Helo("client.example"), Mail("<ann@example.org>"), Rcpt("<bob@example.com>"))
MESSAGE: tuple[Event, ...] = (*ENVELOPE, Data({"i": "QUEUE"}), EndOfMessage(HEADERS, BODY, {"i": "QUEUE"}))


@dataclass
class Watched:
    """The engine and what was seen; records: of the trace, once tracer.watch was called."""

    engine: Engine
    meter: Meter
    tracer: Tracer
    records: list[dict[str, Any]] = field(default_factory=list)

    def session(self, *events: Event) -> list[Outcome]:
        """A whole session of these events, up to the first that is refused; the outcomes."""
        conversation = self.engine.open()
        outcomes = []
        for event in events:
            outcomes.append(conversation.handle(event))
            if outcomes[-1].reply is not None:
                break
        conversation.handle(Close())
        return outcomes

    def snapshot(self) -> Snapshot:
        """What the meter says, taken where a worker takes it."""
        taken: Snapshot = self.engine.call(lambda answer: answer(self.meter.snapshot()))
        return taken

    def figure(self, name: str) -> dict[tuple[str, ...], Any]:
        """One family by its labels; of a histogram how often it was observed."""
        return {
            tuple(labels): sum(value[:-1]) if isinstance(value, list) else value
            for labels, value in self.snapshot().get(name, [])
        }


@contextmanager
def watched(
    directory: Path,
    *policies: str,
    slow_hook: float = 0.0,
    limits: Limits | None = None,
    options: Options | None = None,
    names: dict[str, Any] | None = None,
    max_memory: int = 64 << 20,
) -> Iterator[Watched]:
    """Policies as in support.policy, named policy, policy2 ...; names: what is in DNS."""
    scripts = _write(directory, policies)
    meter, records = Meter(), list[dict[str, Any]]()
    tracer = Tracer(records.append)
    setup = Setup(
        scripts=[Script(script.stem, str(script)) for script in scripts],
        lua=LuaSettings((), max_memory, limits=limits or Limits(20_000_000, 10.0)),
        options=options or Options(),
        services=Services(FixtureResolver(names or {}), hostname="mx.example.com"),
        observe=observers.in_order(meter.observe, tracer.observe),
    )
    engine = Engine(setup)
    observers.watch(engine, engine.loop, meter, lambda: slow_hook)
    try:
        yield Watched(engine, meter, tracer, records)
    finally:
        engine.stop()


def _write(directory: Path, policies: Sequence[str]) -> list[Path]:
    scripts = []
    for number, text in enumerate(policies, 1):
        script = directory / ("policy.lua" if number == 1 else f"policy{number}.lua")
        script.write_text(f'local mod = {{}}; {text}\nmsys.registerModule("{script.stem}", mod)\n')
        scripts.append(script)
    return scripts
