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
from dataclasses import dataclass, field
from typing import Any

from lumilter.calls import Elsewhere, Here, Job, Sleep, Until, Wait
from lumilter.errors import LimitError, LookupFailed, LumilterError, ScriptError
from lumilter.host.bridge import Bridge
from lumilter.host.pool_figures import LOOKUPS, Totals, named_figures
from lumilter.host.state import MemoryLimit, State
from lumilter.host.values import from_wire, to_wire
from lumilter.loop import Loop, Timer, without_frames

_FRAME = re.compile(r"\n\s+([^\n\[\]]+?):(\d+): in ")
_WORD = re.compile(r"[A-Z]{1,16}")
"""The short words of LookupFailed: NXDOMAIN, TIMEOUT ..."""
_LAST = 2.0
"""Seconds that a task is given at most which begins when the worker's time is over."""
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

    limit: the seconds that it was given. waited: seconds for each kind of wait; kind, since: of the wait that it is in;
    abandon: what is to be done if it does not come to its end. holds: what is to be given back if the task fails.
    owns: what is to be given back however it ends.
    """

    here: Here
    deadline: float
    limit: float
    remaining: int
    done: Callable[[tuple[Any, ...]], None]
    failed: Callable[[ScriptError], None]
    waited: dict[str, float]
    id: int = 0
    kind: str = ""
    since: float = 0.0
    timer: Timer | None = None
    abandon: Callable[[], None] | None = None
    holds: list[Callable[[], None]] = field(default_factory=list)
    owns: list[Callable[[], None]] = field(default_factory=list)


class Tasks:
    """The tasks of one Lua state."""

    def __init__(self, state: State, loop: Loop, limits: Limits) -> None:
        self.state, self.loop, self.limits = state, loop, limits
        self.boot = state.boot
        self.boot.block = self._block
        self.boot.give_back = lambda: _give_back(self.bridge.here.task.holds)
        self.bridge: Bridge
        self._held: dict[int, Wait] = {}
        self._last_token = 0
        self._lookups = Totals()
        self._waiting: set[Task] = set()
        self._over = False
        """The worker's time is over."""
        self.jobs = 0
        """Jobs that run or wait in the pool, those included that nobody waits for any more."""
        self.on_wait: Callable[[str, float, str], None] = lambda kind, seconds, outcome: None
        """Called when a task has waited: Wait.kind, seconds, and how it ended; must not raise.

        Outcomes: ok, failed, error, cancelled, deadline (the hook's own), or an adapter's word for why it failed, in
        lower case: nxdomain, timeout ...
        """

    @property
    def waiting(self) -> int:
        """Tasks that wait for something."""
        return len(self._waiting)

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
        limits: Limits | None = None,
    ) -> None:
        """Begin a task; begin(instructions, deadline) calls boot.start or one of its kin.

        waited: is given the seconds that it waits, by Wait.kind. limits: others than those of hooks.
        """
        limits = limits or self.limits
        seconds = min(limits.deadline, _LAST) if self._over else limits.deadline
        until = time.monotonic() + seconds
        waited = {} if waited is None else waited
        self._step(Task(here, until, seconds, limits.instructions, done, failed, waited), begin)

    def give_up(self) -> None:
        """The worker's time is over: whatever waits in a session has failed, and what begins is short."""
        self._over = True
        for task in list(self._waiting):
            if task.here.session is not None:
                self._abandon(task, "cancelled", "it was given up while it waited: the worker's time is over", "")

    # --- steps -------------------------------------------------------------------------------------------------------

    def _step(self, task: Task, move: Callable[[int, float], Any]) -> None:
        """Let the task run until it ends or waits."""
        here = self.bridge.here
        outer = (here.phase, here.module, here.session, here.output, here.task, here.shadow)
        own = task.here
        here.phase, here.module, here.session, here.output, here.task, here.shadow = (
            own.phase, own.module, own.session, own.output, task, own.shadow,
        )  # fmt: skip
        here.turn += 1
        try:
            report = move(task.remaining, task.deadline)
        except MemoryLimit:
            text = f"the Lua state passed its memory limit ({self.state.memory_used} bytes in use)"
            self._fail(task, LimitError(text, limit="memory"))
            return
        except Exception as error:  # lupa's own errors: a Lua error outside a coroutine is a fault of ours
            self._fail(task, ScriptError(f"internal error: {error}"))
            return
        finally:
            here.phase, here.module, here.session, here.output, here.task, here.shadow = outer
            here.turn += 1
            forgotten = self.bridge.forgotten
            while forgotten:
                self.boot.forget(forgotten.popleft())
        task.id, task.remaining, status, *values = report
        if status == "wait":
            self._wait(task, self._held.pop(values[0]))
        elif status == "done":
            _give_back(task.owns)
            task.done(tuple(values))
        else:
            self._fail(task, script_error(values[0], values[1], status == "limit"))

    def _fail(self, task: Task, error: ScriptError) -> None:
        _give_back(task.holds)
        _give_back(task.owns)
        task.failed(error)

    def _resume(self, task: Task, *values: Any) -> None:
        self._step(task, lambda instructions, deadline: self.boot.resume(task.id, instructions, deadline, *values))

    def _wait(self, task: Task, wait: Wait) -> None:
        self._waiting.add(task)
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
        if isinstance(wait, Until):
            task.abandon = wait.begin(lambda result: self.loop.post(lambda: self._happened(task, result)))

    def _submit(self, job: Job | Elsewhere, until: float) -> Future[Any]:
        self.jobs += 1
        totals, begun, threads = self._lookups, time.monotonic(), self.loop.pool_size
        totals.began += 1
        totals.running += min(self.jobs, threads)
        totals.saturated += self.jobs >= threads
        try:
            future = self.loop.pool.submit(job.run, until) if isinstance(job, Job) else job.start(until)
        except RuntimeError as error:  # the system has no thread left
            future = Future()
            future.set_exception(error)
        future.add_done_callback(lambda f: self.loop.post(lambda: self._job_ended(begun)))
        return future

    def _job_ended(self, begun: float) -> None:
        self.jobs -= 1
        self._lookups.ended += 1
        self._lookups.seconds += time.monotonic() - begun

    def lookups(self) -> dict[str, Any]:
        """Figures of the pool in which jobs run."""
        threads = self.loop.pool_size
        running = min(self.jobs, threads)
        return named_figures(LOOKUPS, self._lookups, threads, running, self.jobs - running)

    def _waited(self, task: Task, outcome: str) -> None:
        seconds = time.monotonic() - task.since
        task.waited[task.kind] = task.waited.get(task.kind, 0.0) + seconds
        self.on_wait(task.kind, seconds, outcome)

    def _wake(self, task: Task, values: tuple[Any, ...], outcome: str) -> None:
        if task.timer is None:
            return  # its deadline passed first
        task.timer.cancel()
        task.timer = None
        self._waiting.discard(task)
        self._waited(task, outcome)
        self._resume(task, *values)

    def _finished(self, task: Task, job: Job | Elsewhere, future: Future[Any]) -> None:
        if task.timer is not None:  # its deadline has not passed
            self._wake(task, self._result(job, future), outcome_of(future))

    def _happened(self, task: Task, result: Any) -> None:
        if task.timer is None:  # its deadline has passed
            return
        task.abandon = None
        failed = isinstance(result, LumilterError)
        values = (False, to_wire(str(result))) if failed else self.bridge.answer(result)
        self._wake(task, values, "error" if failed else "ok")

    def _result(self, job: Job | Elsewhere, future: Future[Any]) -> tuple[Any, ...]:
        """What the end of work means to the script: results, `nil, message`, or an error."""
        try:
            try:
                return self.bridge.answer(job.finish(future.result()))
            except LumilterError as error:
                if isinstance(job, Job):
                    raise
                return self.bridge.answer(job.failed(without_frames(error)))
        except Exception as error:
            # With its frames the error would hold the future, which holds the error: files would stay open until gc.
            return self._failure(job, without_frames(error))

    def _failure(self, job: Job | Elsewhere, error: Exception) -> tuple[Any, ...]:
        if isinstance(error, LookupFailed):
            job.failed(error)
            return True, None, to_wire(str(error))
        if isinstance(error, LumilterError):
            return False, to_wire(str(getattr(error, "message", error)))
        if isinstance(error, CancelledError):
            return False, "the daemon is shutting down"
        return False, to_wire(f"internal error: {type(error).__name__}: {error}")

    def _expire(self, task: Task) -> None:
        self._abandon(task, "deadline", f"the hook passed its deadline ({task.limit:g} s) while it waited", "deadline")

    def _abandon(self, task: Task, outcome: str, text: str, limit: str) -> None:
        """Let a task fail that waits."""
        if task.timer is None:
            return
        task.timer.cancel()
        task.timer = None
        self._waiting.discard(task)
        self._waited(task, outcome)
        abandon, task.abandon = task.abandon, None
        if abandon is not None:
            abandon()
        trace = from_wire(self.boot.cancel(task.id))
        self._fail(task, LimitError(text, *script_position(trace), trace, limit))

    def _block(self, token: int) -> tuple[Any, ...]:
        """Wait where Lua can't yield: the Lua thread stands still, within the task's deadline."""
        wait, task = self._held.pop(token), self.bridge.here.task
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
        if isinstance(wait, Until):
            text = f"can't wait for a {wait.kind} where msys.asyncOk() is false: no other script could run meanwhile"
            return (False, text), "error"
        assert isinstance(wait, Job | Elsewhere)
        future = self._submit(wait, until)
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(FutureTimeout):
                future.exception(min(left, _SIGN_OF_LIFE))
                return self._result(wait, future), outcome_of(future)
            self.loop.alive()
        return (False, "the hook passed its deadline while it waited"), "deadline"


def _give_back(held: list[Callable[[], None]]) -> None:
    """All of it: each may take itself out of the list."""
    for give_back in tuple(held):
        give_back()


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
