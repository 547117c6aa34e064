"""Pools in which closures of scripts run beside the sessions: msys.runInPool, msys.threadpool.

The law: on the Lua thread, where every closure runs too: a pool bounds how many have begun and not ended, which matters
for those that wait. What needs a place gets it in the order in which it came.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lumilter.calls import Here, LuaFunction, Outcome, Until
from lumilter.errors import ScriptError
from lumilter.host.closures import Closures, Purpose
from lumilter.host.pool_figures import LOOKUPS, Totals, named_figures
from lumilter.host.tasks import Limits
from lumilter.loop import Loop

BUILT_IN = {
    "CPU": 4, "IO": 50, "SwapOut": 5, "SwapIn": 5, "Close": 0, "Unlink": 6, "Batch_Unlink": 4, "SpoolIn": 1,
}  # fmt: skip
"""Momentum's own pools and their concurrency, in the order of its job classes (manual, struct ec_async_job)."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """concurrency: closures at the same time, 0 is no limit. backlog: how many may wait for a place, 0 is no limit.

    deadline: seconds that one closure may take.
    """

    name: str
    concurrency: int
    backlog: int = 0
    deadline: float = 300.0


@dataclass(eq=False, slots=True)
class _Work:
    """Something to run in a pool: run(ended) begins it, and calls ended when it is over.

    queued: called when there is a place in the queue, for who waits for that.
    """

    run: Callable[[Callable[[], None]], None]
    queued: Callable[[], None] = lambda: None


class Pool:
    """One pool."""

    def __init__(self, loop: Loop, ident: int, settings: PoolSettings) -> None:
        self._loop = loop
        self.ident, self.name, self.backlog = ident, settings.name, settings.backlog
        self.concurrency, self.deadline = settings.concurrency, settings.deadline
        self.totals = Totals()
        self.running = 0
        self._queue: deque[_Work] = deque()
        self._outside: deque[_Work] = deque()
        """What waits for a place in the queue."""

    @property
    def queued(self) -> int:
        """How many wait for a place."""
        return len(self._queue) + len(self._outside)

    def has_room(self) -> bool:
        """Whether the queue takes another one."""
        return not self.backlog or len(self._queue) < self.backlog

    def submit(self, work: _Work) -> None:
        """Run it when there is a place, and not before the running script waits or returns."""
        self._outside.append(work)
        self.go_on()

    def drop(self, work: _Work) -> bool:
        """Nobody wants it any more: its place is another one's. False where it has begun."""
        for waiting in (self._queue, self._outside):
            if work in waiting:
                waiting.remove(work)
                self.go_on()
                return True
        return False

    def go_on(self) -> None:
        """Begin what there is a place for."""
        while True:
            while self._outside and self.has_room():
                work = self._outside.popleft()
                self._queue.append(work)
                work.queued()
            if not self._queue or (self.concurrency and self.running >= self.concurrency):
                return
            self._begin(self._queue.popleft())

    def _begin(self, work: _Work) -> None:
        totals, begun = self.totals, time.monotonic()
        self.running += 1
        totals.began += 1
        totals.running += self.running
        totals.saturated += bool(self.concurrency) and self.running >= self.concurrency

        def ended() -> None:
            self.running -= 1
            totals.ended += 1
            totals.seconds += time.monotonic() - begun
            self.go_on()

        self._loop.post(lambda: work.run(ended))

    def figures(self) -> dict[str, Any]:
        """See named_figures."""
        return named_figures(self.name, self.totals, self.concurrency or self.running, self.running, self.queued)


class Pools:
    """The pools of a generation. lookups: what the pool of lookups says of itself."""

    def __init__(
        self,
        loop: Loop,
        closures: Closures,
        instructions: int,
        settings: Iterable[PoolSettings] = (),
        lookups: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._closures, self._instructions, self._lookups = closures, instructions, lookups
        known = {name.lower(): PoolSettings(name, places) for name, places in BUILT_IN.items()}
        known |= {each.name.lower(): each for each in settings}
        self.pools = [Pool(loop, ident, each) for ident, each in enumerate(known.values())]
        self.scheduler = Pool(loop, -1, PoolSettings("scheduler", 0))
        """Momentum's event loops, which are one here."""

    def change(self, settings: Iterable[PoolSettings], instructions: int) -> None:
        """Other numbers for pools that are there; no closure that runs is ended."""
        self._instructions = instructions
        for each in settings:
            pool = self.find(each.name)
            if pool is not None:
                pool.concurrency, pool.deadline = each.concurrency, each.deadline
                pool.go_on()

    def find(self, which: str | int) -> Pool | None:
        """A pool for closures by its name, in upper or lower case, or by its number."""
        if isinstance(which, int):
            return self.pools[which] if 0 <= which < len(self.pools) else None
        wanted = which.lower()
        return next((pool for pool in self.pools if pool.name.lower() == wanted), None)

    def names(self) -> list[str]:
        """The names of all pools; the place of a name is the pool's number."""
        return [*(pool.name for pool in self.pools), LOOKUPS]

    def figures(self, which: str | int) -> dict[str, Any] | None:
        """What msys.threadpool.stat says of a pool; None if there is no such pool."""
        if which in (len(self.pools), LOOKUPS):
            return self._lookups()
        pool = self.find(which)
        return None if pool is None else pool.figures()

    @property
    def busy(self) -> int:
        """Closures that run or wait for a place."""
        return sum(pool.running + pool.queued for pool in (*self.pools, self.scheduler))

    def call(self, pool: Pool, closure: LuaFunction, here: Here) -> Until:
        """Run it in the pool while the script waits: its Outcome. It is given the time that the script has left."""
        own, until = _beside(here), here.task.deadline

        def begin(answer: Callable[[Any], None]) -> Callable[[], None]:
            def run(ended: Callable[[], None]) -> None:
                def over(error: ScriptError | None) -> None:
                    ended()
                    answer(Outcome(closure) if error is None else (False, str(error)))

                left = min(pool.deadline, until - time.monotonic())
                self._closures.call(Purpose("pool", pool.name), closure, own, Limits(self._instructions, left), over)

            work = _Work(run)
            pool.submit(work)

            def abandon() -> None:
                pool.drop(work)

            return abandon

        return Until(begin, "pool")

    def post(
        self, pool: Pool, closure: LuaFunction, completion: LuaFunction | None, in_pool: bool, here: Here
    ) -> Until | tuple[()]:
        """Run it in the pool, then completion: in the same place there, or outside of the pool.

        The script goes on at once, or when there is a place in the pool's queue. After an error nothing is completed.
        """
        own, limits = _beside(here), Limits(self._instructions, pool.deadline)
        purpose, afterwards = Purpose("pool", pool.name), Purpose("completion", pool.name)
        session = here.session
        release: Callable[[], None] = _nothing

        def run(ended: Callable[[], None]) -> None:
            def last() -> None:
                ended()
                release()

            def over(error: ScriptError | None) -> None:
                if error is not None or completion is None:
                    last()
                    return
                if not in_pool:
                    ended()
                then = last if in_pool else release
                self._closures.run(afterwards, completion, own, limits, lambda error: then())

            self._closures.run(purpose, closure, own, limits, over)

        def submit(work: _Work) -> None:
            nonlocal release
            if session is not None:
                release = session.hold()
            pool.submit(work)

        if pool.has_room():
            submit(_Work(run))
            return ()

        def begin(answer: Callable[[Any], None]) -> Callable[[], None]:
            work = _Work(run, queued=lambda: answer(()))
            submit(work)

            def abandon() -> None:
                if pool.drop(work):
                    release()

            return abandon

        return Until(begin, "pool")


def _nothing() -> None:
    """Where there is no session."""


def _beside(here: Here) -> Here:
    """What is true of a closure: the same as of who passed it."""
    return Here(here.phase, here.module, here.session, output=here.output, shadow=here.shadow)
