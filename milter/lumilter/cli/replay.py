"""`lumilter replay`: saved sessions, run against two configurations, or against one and what was decided then.

The law: one session is in memory at a time, and nothing of it is kept but counts. Both sides run in shadow mode: a
refusal has the same meaning as there, and no reply is held back.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lumilter.cli.difference import Difference, differences
from lumilter.cli.envelope import session_of
from lumilter.cli.offline import offline_setup
from lumilter.daemon.engine import Engine
from lumilter.daemon.printable import one_line
from lumilter.daemon.record import SUFFIX, read
from lumilter.errors import ConfigError, LumilterError, ScriptError
from lumilter.session.events import CONTINUE, Close, EndOfMessage, Event, Outcome
from lumilter.session.session import Session
from lumilter.session.shadow import Coverage, Refusal

EX_DIFFERENT = 1
EX_DATAERR = 65
EX_SOFTWARE = 70
_MESSAGE = ".eml"


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("replay", help="run saved sessions against another configuration, and say what changes")
    parser.add_argument("--against", required=True, metavar="CONFIG", help="the configuration to compare with")
    parser.add_argument(
        "-c", "--config", metavar="CONFIG", help="the configuration to start from; without it, what was decided then"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--fixtures", metavar="FILE", help="answer DNS lookups from this JSON file")
    source.add_argument("--live", action="store_true", help="as with lumilter test")
    parser.add_argument("--json", action="store_true", help="an object for each session, then one with the sums")
    parser.add_argument(
        "path", nargs="+", metavar="DIR|FILE", help=f"saved sessions (*{SUFFIX}), or messages (*.eml) with an envelope"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0 the same, 1 different, 65 a file can't be compared, 70 a script failed."""
    files = _files(options.path)
    first = next(files, None)
    if first is None:
        raise ConfigError(f"there is no *{SUFFIX} and no *.eml in it", " ".join(options.path))
    sums = _Sums()
    with ExitStack() as stack:
        before = _Policy(options.config, options, stack) if options.config else None
        after = _Policy(options.against, options, stack, before)
        for file in itertools.chain([first], files):
            if file.suffix == _MESSAGE and before is None:
                raise ConfigError("a message has no outcome to compare with: name a configuration with -c", str(file))
            try:
                compared = _compare(file, before, after)
            except ConfigError as error:
                sums.unreadable += 1
                sys.stdout.flush()
                print(f"lumilter: {error}", file=sys.stderr)
                continue
            sums.count(compared)
            for line in [json.dumps(compared.as_json())] if options.json else compared.lines():
                print(line)
    for line in [json.dumps({"summary": sums.as_json()})] if options.json else sums.lines():
        print(line)
    return sums.status


@dataclass(slots=True)
class _Compared:
    """What came of one session. errors: of scripts, with the side, "before" or "after"."""

    file: Path
    messages: int
    cut: str
    differences: list[Difference]
    errors: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "session": str(self.file),
            "messages": self.messages,
            "cut": self.cut,
            "differences": [each.as_json() for each in self.differences],
            "errors": [{"side": side, "text": text} for side, text in self.errors],
        }

    def lines(self) -> Iterator[str]:
        """Nothing where nothing is to be said."""
        if self.differences or self.errors:
            yield one_line(str(self.file))
        for each in self.differences:
            yield from each.lines()
        for side, text in self.errors:
            yield f"  error {side}: {one_line(text)}"


@dataclass(slots=True)
class _Sums:
    """Of all sessions. kinds: how often each kind of difference came."""

    sessions: int = 0
    messages: int = 0
    different: int = 0
    errors: int = 0
    cut: int = 0
    unreadable: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def count(self, compared: _Compared) -> None:
        self.sessions += 1
        self.messages += compared.messages
        self.different += bool(compared.differences)
        self.errors += len(compared.errors)
        self.cut += bool(compared.cut)
        self.kinds.update(each.kind for each in compared.differences)

    def as_json(self) -> dict[str, Any]:
        return {
            "sessions": self.sessions,
            "messages": self.messages,
            "different": self.different,
            "kinds": dict(self.kinds),
            "script_errors": self.errors,
            "cut": self.cut,
            "unreadable": self.unreadable,
        }

    def lines(self) -> Iterator[str]:
        yield (
            f"{self.sessions} sessions with {self.messages} messages: {self.different} sessions differ, "
            f"{self.errors} script errors, {self.cut} cut short, {self.unreadable} unreadable"
        )
        yield from (f"{count:7} {kind}" for kind, count in self.kinds.most_common())

    @property
    def status(self) -> int:
        """The exit status: what is worst."""
        if self.errors:
            return EX_SOFTWARE
        return EX_DATAERR if self.unreadable else EX_DIFFERENT if self.different else 0


class _Policy:
    """A configuration's scripts, offline, until the stack ends. beside: whose loop they share.

    Python's cycles may hold Lua objects of both, and there is one thread that collects them.
    """

    def __init__(
        self, config: str, options: argparse.Namespace, stack: ExitStack, beside: _Policy | None = None
    ) -> None:
        self.errors: list[str] = []
        source = argparse.Namespace(config=config, script=[], fixtures=options.fixtures, live=options.live)
        setup = offline_setup(source, lambda here, text: None, self._observe)
        try:
            self._engine: Engine = Engine(setup, beside._engine.loop if beside else None)
        except BaseException as error:
            stack.pop_all()  # the engine has stopped the loop, nothing can be torn down any more
            if isinstance(error, ScriptError):
                raise LumilterError(f"{config}: {error}") from None
            raise
        stack.callback(self._teardown if beside else self._engine.stop)

    def decide(self, events: Sequence[Event]) -> list[Outcome]:
        """What the policy would do, event by event; errors has what failed, until the next call."""
        self.errors.clear()
        engine, numbers = self._engine, itertools.count(1)
        session = engine.shadow_session(
            lambda: f"{next(numbers):02X}/00-00000-00000000",  # the same on both sides
            lambda client: True,
        )
        conversation = engine.converse(session)
        outcomes = []
        for event in events:
            conversation.handle(event)
            outcomes.append(session.would_be)
        return outcomes

    def _observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        self.errors += [str(error) for error in session.trace.errors if isinstance(error, ScriptError)]
        session.trace.clear()

    def _teardown(self) -> None:
        host = self._engine.host
        self._engine.call(lambda answer: host.drive(host.teardown(time.monotonic()), answer))


def _compare(file: Path, before: _Policy | None, after: _Policy) -> _Compared:
    """Run one session. Raises ConfigError if the file is none."""
    recorded: list[Outcome] = []
    cut = ""
    if file.suffix == _MESSAGE:
        events = session_of(file)
    else:
        saved = read(file)
        cut = saved.cut
        events = [event for event, _ in saved.steps]
        recorded = [outcome for _, outcome in saved.steps]
        if not isinstance(events[-1:][0] if events else None, Close):  # the session was cut, or the daemon ended
            events.append(Close())
            recorded.append(CONTINUE)
    outcomes = before.decide(events) if before else folded(events, recorded)
    messages = sum(isinstance(event, EndOfMessage) for event in events)
    compared = _Compared(file, messages, cut, differences(events, outcomes, after.decide(events)))
    if before is not None:
        compared.errors += [("before", error) for error in before.errors]
    compared.errors += [("after", error) for error in after.errors]
    return compared


def folded(events: Sequence[Event], recorded: Sequence[Outcome]) -> list[Outcome]:
    """Recorded outcomes as a session in shadow would have them: what a refusal covers says nothing of its own."""
    coverage, outcomes = Coverage(), []
    for event, outcome in zip(events, recorded, strict=True):
        refusal = coverage.of(event)
        if refusal is None:
            coverage.note(event, Refusal(outcome))
        else:
            outcome = refusal.outcome if isinstance(event, EndOfMessage) else CONTINUE
        outcomes.append(outcome)
    return outcomes


def _files(paths: Iterable[str]) -> Iterator[Path]:
    """The files that were named, and the sessions and messages in directories, in the order of their names."""
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        for directory, below, names in os.walk(path):
            below.sort()
            for name in sorted(names):
                if name.endswith((SUFFIX, _MESSAGE)):
                    yield Path(directory, name)
