"""The Lua thread: the one thread on which Lua runs, Lua objects die and Python's cycles are collected.

The law: everything here happens on that thread except `post`, `call` and the pool's work. Debian's libmilter runs the
callbacks of one connection on different threads, where pymilter and lupa together deadlock; a callback therefore posts
an event here and waits. No code here knows what a session or a hook is.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

log = logging.getLogger(__name__)

COLLECT_EVERY = 2000
"""Items between two collections of young cycles."""


@dataclass(order=True, slots=True)
class Timer:
    """A callback at a time.monotonic() value; cancel() makes it nothing."""

    when: float
    order: int
    run: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.run = None


class LuaThread:
    """A loop over posted callables and timers, and a pool for what must wait.

    pool_size: threads for blocking work, made as they are needed. A lookup beyond that many waits for the slow ones, so
    there are more than an MTA has sessions (Postfix: 100 unless default_process_limit says otherwise).
    """

    def __init__(self, pool_size: int = 256) -> None:
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._loop, name="lua", daemon=True)
        self.pool = ThreadPoolExecutor(pool_size, thread_name_prefix="wait")
        self.progress = 0
        """Items done: a supervisor that sees it stand still knows that a script is stuck."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the loop after what was posted before; what still waits in the pool is left behind."""
        self._inbox.put(None)
        self._thread.join()
        self.pool.shutdown(wait=False, cancel_futures=True)

    # --- from any thread ---------------------------------------------------------------------------------------------

    def post(self, item: Callable[[], None]) -> None:
        """Run it on the Lua thread, later."""
        self._inbox.put(item)

    def call(self, begin: Callable[[Callable[[Any], None]], None]) -> Any:
        """Post `begin(answer)` and wait until answer(value) is called; an exception as value is raised here."""
        done = threading.Lock()
        done.acquire()
        box: list[Any] = []

        def answer(value: Any) -> None:
            if isinstance(value, Exception):  # frames may hold Lua objects, which must not die on another thread
                value = value.with_traceback(None)
                value.__cause__ = value.__context__ = None
            box.append(value)
            done.release()

        def run() -> None:
            try:
                begin(answer)
            except Exception as error:
                if box:
                    raise
                log.debug("passed on to the caller", exc_info=True)
                answer(error)

        self._inbox.put(run)
        del run
        done.acquire()
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]

    # --- on the Lua thread -------------------------------------------------------------------------------------------

    def at(self, when: float, run: Callable[[], None]) -> Timer:
        """Run it on the Lua thread at a time.monotonic() value."""
        timer = Timer(when, next(self._order), run)
        heapq.heappush(self._timers, timer)
        return timer

    def _loop(self) -> None:
        while True:
            try:
                item = self._inbox.get(timeout=self._until_timer())
                if item is None:
                    return
            except Empty:
                item = None
            self._due()
            if item is not None:
                self._run(item)
            item = None
            self.progress += 1
            if self.progress % COLLECT_EVERY == 0:
                gc.collect(1 if self.progress % (50 * COLLECT_EVERY) else 2)

    def _until_timer(self) -> float | None:
        while self._timers and self._timers[0].run is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].when - time.monotonic()) if self._timers else None

    def _due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].when <= now:
            timer = heapq.heappop(self._timers)
            if timer.run is not None:
                self._run(timer.run)

    def _run(self, item: Callable[[], None]) -> None:
        try:
            item()
        except Exception:
            log.exception("internal error on the Lua thread")
