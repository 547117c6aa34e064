"""A policy in an engine whose clients are in shadow: what the MTA hears, and what it would have heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lumilter.daemon.engine import Conversation
from lumilter.session.events import CONTINUE, Event, Outcome
from lumilter.session.session import Session
from lumilter.session.shadow import ShadowSession
from support.policy import Policy, policy

Observe = Callable[[Session, Event, Outcome], None]


@dataclass
class Shadowed:
    """heard: what the MTA was answered, in order."""

    running: Policy
    is_shadow: Callable[[str], bool]
    observe: Observe
    peer_context: Callable[[str], Mapping[str, str]] = lambda address: {}
    heard: list[Outcome] = field(default_factory=list)

    def session(self, events: Sequence[Event]) -> list[Outcome]:
        """All of these events on one connection, which goes on as an MTA's does; what they would have led to."""
        engine = self.running.engine
        session = ShadowSession(
            engine.host.modules, engine.setup.options, engine.host.new_id, self.peer_context, self.is_shadow
        )
        engine.sessions.add(session)
        conversation = Conversation(engine, session)
        decided = []
        for event in events:
            self.heard.append(conversation.handle(event))
            decided.append(session.would_be)
            self.running.runs += session.trace.runs
            self.observe(session, event, session.would_be)
        return decided

    @property
    def hooks(self) -> list[str]:
        """The hooks that ran."""
        return [run.hook for run in self.running.runs]

    @property
    def untouched(self) -> bool:
        """The MTA was told to go on, and nothing else."""
        return set(self.heard) == {CONTINUE}


@contextmanager
def shadowed(
    directory: Path,
    text: str,
    is_shadow: Callable[[str], bool] = lambda client: True,
    observe: Observe = lambda session, event, outcome: session.trace.clear(),
    **settings: Any,
) -> Iterator[Shadowed]:
    """A policy as in support.policy."""
    with policy(directory, text, **settings) as running:
        object.__setattr__(running.engine.setup, "observe", lambda session, event, outcome: None)
        yield Shadowed(running, is_shadow, observe)
