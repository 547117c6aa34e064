"""Whole sessions: any events in any order, answered by hooks that do anything, first in Python, then in Lua.

The law: no event and no policy leads to an internal error, and every outcome can be said to an MTA.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.events import ANY_ORDER, IN_ORDER, check_outcome
from fuzz.targets.replies import smtp
from fuzz.targets.soup import FROM_MTA
from fuzz.targets.wire import no_internal_error
from lumilter.errors import LumilterError, ScriptError
from lumilter.session import phases
from lumilter.session.apply import apply
from lumilter.session.events import Close, Connect, EndOfMessage, Event, Helo, Outcome, Rcpt, Reply
from lumilter.session.needs import Edits
from lumilter.session.steps import RunHook
from lumilter.session.verdict import OnError, Options
from lumilter.wire import edits
from lumilter.wire.negotiation import Terms
from support.drive import Drive
from support.policy import Policy

EVENTS = st.one_of(ANY_ORDER, IN_ORDER, IN_ORDER, IN_ORDER)


def check(event: Event, outcome: Outcome) -> None:
    check_outcome(event, outcome)
    if outcome.reply:
        smtp(outcome.reply)


@dataclass
class Whim:
    """What a hook does: the numbers choose among everything that the session's objects let it do."""

    numbers: list[int]
    text: str
    at: int = 0

    def choose(self, most: int) -> int:
        self.at += 1
        return self.numbers[self.at % len(self.numbers)] % most

    def __call__(self, request: RunHook) -> object:
        for argument in request.args:
            if hasattr(argument, "conn") and hasattr(argument, "note"):
                self.context(argument)
            elif hasattr(argument, "content"):
                self.message(argument)
        return [None, 0, 1, 2, -1, "x", True, 1e300, ScriptError("boom", "x.lua", 1), object(), []][self.choose(11)]

    def context(self, vctx: Any) -> None:
        match self.choose(8):
            case 0:
                vctx.code, vctx.note = [250, 251, 354, 421, 450, 550, 999, -1, 0][self.choose(9)], self.text
            case 1:
                vctx.code, vctx.note = 550, None
            case 2:
                vctx.disconnect = True
            case 3:
                vctx.conn[self.text] = vctx.mess[self.text] = self.text
            case 4:
                vctx.conn.clear()
            case 5:
                vctx.tcost = 1.0

    def message(self, message: Any) -> None:
        content = message.content
        match self.choose(9):
            case 0:
                message.discarded = self.text
            case 1:
                message.held = self.text
            case 2:
                content.mailfrom = self.text
            case 3:
                content.rcptto = self.text
            case 4:
                content.body = b"new\r\n"
            case 5 | 6:
                kind = ["append", "prepend", "replace"][self.choose(3)]
                try:
                    getattr(content.headers, kind)(["X", "Subject", self.text][self.choose(3)], [self.text])
                except LumilterError as error:
                    assert "header name" in str(error)


OPTIONS = st.builds(
    Options,
    st.sampled_from(OnError),
    FROM_MTA,
    st.dictionaries(st.just("again"), st.sampled_from(OnError)),
    st.just(1.0),
    st.just(2.0),
)
HOOKS = st.sets(st.sampled_from(sorted(phases.HOOKS))).map(sorted)


@target(EVENTS, HOOKS, st.lists(st.integers(0, 10**6), min_size=5, max_size=30), FROM_MTA, OPTIONS, examples=250)
def session(events: list[Event], hooks: list[str], numbers: list[int], text: str, options: Options) -> None:
    """Any events in any order end in outcomes that can be said, whatever the hooks return, raise and change."""
    drive = Drive(*hooks, decide=Whim(numbers, text), options=options)
    for event in [*events, Close()]:
        outcome = drive.handle(event)
        check(event, outcome)
        if isinstance(event, EndOfMessage):
            apply(event.headers, bytes(event.body), "", [], outcome.edits)


# --- with Lua ---------------------------------------------------------------------------------------------------------

POLICY = Path(__file__).parents[1] / "policy.lua"
LUA_HOOKS = (
    "HOOKS = {\n"
    + "".join(
        f"  {hook.name} = {{ {', '.join(repr(arg.name.lower()) for arg in hook.args)} }},\n"
        for hook in phases.HOOKS.values()
        if hook.name not in ("init", "rsrc_setup", "deinit")
    )
    + "}\n"
)


@dataclass
class Running:
    """An engine with the policy, and what must stay empty."""

    policy: Policy
    failures: list[str]


@contextmanager
def engine() -> Iterator[Running]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-")))
        script = directory / "policy.lua"
        script.write_text(LUA_HOOKS + POLICY.read_text())
        failures = stack.enter_context(no_internal_error())
        yield Running(stack.enter_context(Policy([script], options=Options(again_interval=0.0))), failures)


TERMS = Terms(0xFFF, 0x100000, Edits.ALL)
IMPOSSIBLE = re.compile(r"[\0\r\n]|^$")
"""Recipients that no MTA shows, and that could not be deleted."""
PORTS = st.integers(1, 65535)
"""What the policy takes its random numbers from."""


@target(st.lists(st.tuples(PORTS, EVENTS), min_size=1, max_size=3), using=engine, examples=60)
def lua(running: Running, plans: list[tuple[int, list[Event]]]) -> None:
    """Sessions side by side in one engine, whose policy calls everything it can: the log has no internal error, every
    script error names the policy's line, every outcome can be said and every edit be written."""
    policy = running.policy
    sessions = [[Connect("x", "inet", "192.0.2.1", port), *events] for port, events in plans]
    conversations = [policy.engine.open() for _ in sessions]
    for turn in range(max(map(len, sessions))):
        for events, conversation in zip(sessions, conversations, strict=True):
            if turn < len(events):
                outcome = conversation.handle(events[turn])
                check(events[turn], outcome)
                if not any(isinstance(each, Rcpt) and IMPOSSIBLE.search(each.address) for each in events):
                    edits.check(outcome.edits, TERMS)
    for conversation in conversations:
        check(Close(), conversation.handle(Close()))
    assert not running.failures, running.failures
    assert not [line for line in policy.printed if line.startswith("unplaced")], policy.printed
    assert not [error for error in policy.errors if "internal error" in str(error)], policy.errors
    policy.errors.clear()
    policy.runs.clear()
    policy.printed.clear()


@target(FROM_MTA, examples=20)
def replies_of_errors(text: str) -> None:
    """Whatever text the configuration gives for a failed script, the reply is valid."""
    drive = Drive("validate_ehlo", decide=lambda request: ScriptError("x"), options=Options(on_error_text=text))
    outcome = drive.handle(Helo("x"))
    assert isinstance(outcome.reply, Reply)
    smtp(outcome.reply)
