"""Tasks: Lua coroutines that wait, each within its budget and deadline.

The law: a task ends exactly once, by `done(values)` or `failed(ScriptError)`, both on the Lua thread. The coroutine
itself stays in Lua (lua/lumilter/scheduler.lua); here it is a number.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from lumilter.calls import Elsewhere, Here, Job, Sleep, Wait
from lumilter.errors import LimitError, LookupFailed, LumilterError, ScriptError
from lumilter.host.bridge import Bridge
from lumilter.host.state import MemoryLimit, State
from lumilter.host.values import from_wire, to_wire
from lumilter.loop import Loop, Timer

_FRAME = re.compile(r"\n\s+([^\n\[\]]+?):(\d+): in ")
_WORD = re.compile(r"[A-Z]{1,16}")
"""The short words of LookupFailed: NXDOMAIN, TIMEOUT ..."""
_SIGN_OF_LIFE = 1.0
"""Seconds after which a wait that blocks the loop says that it is not stuck."""
_SIGNS = {"instruction budget": "instructions", "deadline": "deadline", "memory limit": "memory", "memory": "memory"}
_POSITION = re.compile(r"(?s)((?:[^:\n]|:(?!\d))+):(\d+): (.*)")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one hook may use: Lua instructions, and seconds of wall clock."""

    instructions: int = 100_000_000
    deadline: float = 60.0


@dataclass(eq=False, slots=True)
class Task:
    """A coroutine that has not ended yet. here: what is true while it runs.

    waited: seconds for each kind of wait; kind, since: of the wait that it is in.
    """

    here: Here
    deadline: float
    remaining: int
    done: Callable[[tuple[Any, ...]], None]
    failed: Callable[[ScriptError], None]
    waited: dict[str, float]
    id: int = 0
    kind: str = ""
    since: float = 0.0
    timer: Timer | None = None


class Tasks:
    """The tasks of one Lua state."""

    def __init__(self, state: State, loop: Loop, limits: Limits) -> None:
        self.state, self.loop, self.limits = state, loop, limits
        self.boot = state.boot
        self.boot.block = self._block
        self.bridge: Bridge
        self._held: dict[int, Wait] = {}
        self._last_token = 0
        self._running: Task | None = None
        self.waiting = 0
        """Tasks that wait for something."""
        self.jobs = 0
        """Jobs that run or wait in the pool, those included that nobody waits for any more."""
        self.on_wait: Callable[[str, float, str], None] = lambda kind, seconds, outcome: None
        """Called when a task has waited: Wait.kind, seconds, and how it ended; must not raise.

        Outcomes: ok, failed, error, cancelled, deadline (the hook's own), or an adapter's word for why it failed, in
        lower case: nxdomain, timeout ...
        """

    def hold(self, wait: Wait) -> int:
        """Keep a Wait until Lua hands its token to the scheduler."""
        self._last_token += 1
        self._held[self._last_token] = wait
        return self._last_token

    def start(
        self,
        begin: Callable[[int, float], Any],
        here: Here,
        done: Callable[[tuple[Any, ...]], None],
        failed: Callable[[ScriptError], None],
        waited: dict[str, float] | None = None,
    ) -> None:
        """Begin a task; begin(instructions, deadline) calls boot.start or one of its kin.

        waited: is given the seconds that it waits, by Wait.kind.
        """
        deadline = time.monotonic() + self.limits.deadline
        waited = {} if waited is None else waited
        self._step(Task(here, deadline, self.limits.instructions, done, failed, waited), begin)

    # --- steps -------------------------------------------------------------------------------------------------------

    def _step(self, task: Task, move: Callable[[int, float], Any]) -> None:
        """Let the task run until it ends or waits."""
        here = self.bridge.here
        outer, outer_task = (here.phase, here.module, here.session), self._running
        here.phase, here.module, here.session = task.here.phase, task.here.module, task.here.session
        here.turn += 1
        self._running = task
        try:
            report = move(task.remaining, task.deadline)
        except MemoryLimit:
            text = f"the Lua state passed its memory limit ({self.state.memory_used} bytes in use)"
            task.failed(LimitError(text, limit="memory"))
            return
        except Exception as error:  # lupa's own errors: a Lua error outside a coroutine is a fault of ours
            task.failed(ScriptError(f"internal error: {error}"))
            return
        finally:
            here.phase, here.module, here.session = outer
            here.turn += 1
            self._running = outer_task
        task.id, task.remaining, status, *values = report
        if status == "wait":
            self._wait(task, self._held.pop(values[0]))
        elif status == "done":
            task.done(tuple(values))
        else:
            task.failed(script_error(values[0], values[1], status == "limit"))

    def _resume(self, task: Task, *values: Any) -> None:
        self._step(task, lambda instructions, deadline: self.boot.resume(task.id, instructions, deadline, *values))

    def _wait(self, task: Task, wait: Wait) -> None:
        self.waiting += 1
        task.kind, task.since = wait.kind, time.monotonic()
        if isinstance(wait, Sleep):
            wake = time.monotonic() + max(0.0, wait.seconds)
            if wake <= task.deadline:
                task.timer = self.loop.at(wake, lambda: self._wake(task, (True,), "ok"))
                return
        elif isinstance(wait, Job | Elsewhere):
            future = self._submit(wait, task.deadline)
            future.add_done_callback(lambda f: self.loop.post(lambda: self._finished(task, wait, f)))
        task.timer = self.loop.at(task.deadline, lambda: self._expire(task))

    def _submit(self, job: Job | Elsewhere, until: float) -> Future[Any]:
        self.jobs += 1
        try:
            future = self.loop.pool.submit(job.run, until) if isinstance(job, Job) else job.start(until)
        except RuntimeError as error:  # the system has no thread left
            future = Future()
            future.set_exception(error)
        future.add_done_callback(lambda f: self.loop.post(self._job_ended))
        return future

    def _job_ended(self) -> None:
        self.jobs -= 1

    def _waited(self, task: Task, outcome: str) -> None:
        seconds = time.monotonic() - task.since
        task.waited[task.kind] = task.waited.get(task.kind, 0.0) + seconds
        self.on_wait(task.kind, seconds, outcome)

    def _wake(self, task: Task, values: tuple[Any, ...], outcome: str) -> None:
        if task.timer is None:
            return  # its deadline passed first
        task.timer.cancel()
        task.timer = None
        self.waiting -= 1
        self._waited(task, outcome)
        self._resume(task, *values)

    def _finished(self, task: Task, job: Job | Elsewhere, future: Future[Any]) -> None:
        if task.timer is not None:  # its deadline has not passed
            self._wake(task, self._result(job, future), outcome_of(future))

    def _result(self, job: Job | Elsewhere, future: Future[Any]) -> tuple[Any, ...]:
        """What the end of work means to the script: results, `nil, message`, or an error."""
        try:
            try:
                return self.bridge.answer(job.finish(future.result()))
            except LumilterError as error:
                if isinstance(job, Job):
                    raise
                return self.bridge.answer(job.failed(error))
        except LookupFailed as error:
            job.failed(error)
            return True, None, to_wire(str(error))
        except LumilterError as error:
            return False, to_wire(str(getattr(error, "message", error)))
        except CancelledError:
            return False, "the daemon is shutting down"
        except Exception as error:
            return False, to_wire(f"internal error: {type(error).__name__}: {error}")

    def _expire(self, task: Task) -> None:
        if task.timer is None:
            return
        task.timer = None
        self.waiting -= 1
        self._waited(task, "deadline")
        trace = from_wire(self.boot.cancel(task.id))
        text = f"the hook passed its deadline ({self.limits.deadline:g} s) while it waited"
        task.failed(LimitError(text, *script_position(trace), trace, "deadline"))

    def _block(self, token: int) -> tuple[Any, ...]:
        """Wait where Lua can't yield: the Lua thread stands still, within the task's deadline."""
        wait, task = self._held.pop(token), self._running
        if task is None:
            return self._blocked(wait, 0.0)[0]
        task.kind, task.since = wait.kind, time.monotonic()
        values, outcome = self._blocked(wait, task.deadline)
        self._waited(task, outcome)
        return values

    def _blocked(self, wait: Wait, until: float) -> tuple[tuple[Any, ...], str]:
        """What the script gets, and the outcome."""
        if isinstance(wait, Sleep):
            until = min(until, time.monotonic() + max(0.0, wait.seconds))
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, _SIGN_OF_LIFE))
                self.loop.alive()
            return (True,), "ok"
        assert isinstance(wait, Job | Elsewhere)
        future = self._submit(wait, until)
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(FutureTimeout):
                future.exception(min(left, _SIGN_OF_LIFE))
                return self._result(wait, future), outcome_of(future)
            self.loop.alive()
        return (False, "the hook passed its deadline while it waited"), "deadline"


def outcome_of(future: Future[Any]) -> str:
    """How a Job ended, in a word."""
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if isinstance(error, LookupFailed):
        return str(error).lower() if _WORD.fullmatch(str(error)) else "failed"
    return "ok" if error is None else "error"


def script_position(trace: str) -> tuple[str, int]:
    """Script and line of the innermost code in a traceback that is not ours."""
    frames = (frame for frame in _FRAME.finditer(trace) if not frame[1].startswith("lumilter/"))
    return next(((frame[1], int(frame[2])) for frame in frames), ("", 0))


def script_error(message: Any, traceback: Any, limit: bool) -> ScriptError:
    """A Lua error as a ScriptError: "policy.lua:3: text" is taken apart; assert() does not say where it stood."""
    text, trace = from_wire(str(message)), from_wire(str(traceback))
    position = _POSITION.fullmatch(text)
    where = (position[1], int(position[2])) if position else script_position(trace)
    message_only = position[3] if position else text
    if limit or text.endswith("not enough memory"):
        return LimitError(message_only, *where, trace, limit_of(text))
    return ScriptError(message_only, *where, trace)


def limit_of(text: str) -> str:
    """Which limit the scheduler's text is about (lua/lumilter/scheduler.lua)."""
    return next((name for sign, name in _SIGNS.items() if text.endswith(sign)), "")
