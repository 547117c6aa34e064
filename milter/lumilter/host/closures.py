"""Lua functions that scripts passed (calls.LuaFunction), run as tasks of their own: timers, pools, console commands.

The law: on the Lua thread. What is known of the code while it runs, and its limits, come from whoever starts it; an
error that nobody waits for is logged here, with script and line, and touches no session.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lumilter.calls import Here, LuaFunction
from lumilter.errors import ScriptError
from lumilter.host.bridge import Bridge
from lumilter.host.tasks import Limits, Tasks

log = logging.getLogger("lumilter.script")

_TEXTS = {"pool": "closure in pool {}", "completion": "completion of a closure in pool {}"}


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a function runs for. kind: timer, pool, completion (of one in a pool), command.

    name: the timer's, which may be empty, the pool's, the command's.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return _TEXTS.get(self.kind, f"{self.kind} {{}}" if self.name else f"a {self.kind}").format(self.name)


@dataclass(frozen=True, slots=True)
class ClosureEnd:
    """A function has returned or failed. seconds: from its start, waits included."""

    purpose: Purpose
    module: str
    seconds: float


class Closures:
    """Starts the functions that one Lua state keeps.

    on_error: is told of each one that failed, on_end of each one that has ended; neither must raise.
    """

    def __init__(self, tasks: Tasks, bridge: Bridge) -> None:
        self._tasks, self._bridge = tasks, bridge
        self.on_error: Callable[[ScriptError], None] = lambda error: None
        self.on_end: Callable[[ClosureEnd], None] = lambda ended: None

    def run(
        self,
        purpose: Purpose,
        closure: LuaFunction,
        here: Here,
        limits: Limits,
        ended: Callable[[ScriptError | None], None] = lambda error: None,
        args: Sequence[Any] = (),
    ) -> None:
        """Run it by itself; ended is told how."""

        def failed(error: ScriptError) -> None:
            error.module = here.module
            fields = {"module": here.module, "phase": here.phase, "script": error.script, "line": error.line}
            log.error("%s: %s", purpose, error, extra={"fields": fields})
            if error.traceback:
                log.debug("%s", error.traceback)
            self.on_error(error)
            ended(error)

        self._start(purpose, closure, False, here, limits, lambda: ended(None), failed, args)

    def call(
        self,
        purpose: Purpose,
        closure: LuaFunction,
        here: Here,
        limits: Limits,
        ended: Callable[[ScriptError | None], None],
    ) -> None:
        """Run it for somebody who waits: its calls.Outcome is there once ended gets None; an error is a limit's."""
        self._start(purpose, closure, True, here, limits, lambda: ended(None), ended, ())

    def _start(
        self,
        purpose: Purpose,
        closure: LuaFunction,
        awaited: bool,
        here: Here,
        limits: Limits,
        done: Callable[[], None],
        failed: Callable[[ScriptError], None],
        args: Sequence[Any],
    ) -> None:
        start, number, pairs = self._bridge.boot.start_closure, closure.number, tuple(self._bridge.pairs(args))
        begun = time.perf_counter()

        def over() -> None:
            self.on_end(ClosureEnd(purpose, here.module, time.perf_counter() - begun))

        def begin(instructions: int, deadline: float) -> Any:
            return start(number, awaited, instructions, deadline, *pairs)

        def returned(values: tuple[Any, ...]) -> None:
            nonlocal closure
            del closure  # it was needed up to here
            over()
            done()

        def raised(error: ScriptError) -> None:
            over()
            failed(error)

        self._tasks.start(begin, here, returned, raised, limits=limits)
