"""The event loop: sockets, timers, posted work, and a pool for what must wait.

The law: everything runs on the thread that called `run`, except `post`, `call` and the pool's work. No code here knows
what a session, a script or a milter is. In a worker this is the one thread on which Lua runs, Lua objects die and
Python's cycles are collected: lupa and pymilter together deadlock when Lua runs on a libmilter thread.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from lumilter.pool import Pool

log = logging.getLogger(__name__)

_COLLECT_EVERY = 2000
"""Turns of the loop between two collections of young cycles."""
_LONGEST = 3600.0
"""Seconds of one wait: epoll takes no more than 24 days, and a deadline may be infinite."""
_TIMERS = 1000
"""Timers before cancelled ones are looked for."""
_ERRORS = select.EPOLLERR | select.EPOLLHUP
_READABLE, _WRITABLE = select.EPOLLIN | _ERRORS, select.EPOLLOUT | _ERRORS

Callback = Callable[[], None]


class HasFileno(Protocol):
    """A socket, or anything else with a descriptor."""

    def fileno(self) -> int: ...


@dataclass(order=True, slots=True)
class Timer:
    """A callback at a time.monotonic() value; cancel() makes it nothing."""

    when: float
    order: int
    run: Callback | None = field(compare=False)

    def cancel(self) -> None:
        self.run = None


class Loop:
    """One epoll, one heap of timers, one queue.

    pool_size: threads for blocking work, made as they are needed. on_delay: called once a turn with the seconds between
    the first event's readiness and the end of the turn, which is how long the last one had to wait.
    """

    def __init__(self, pool_size: int = 256, on_delay: Callable[[float], None] | None = None) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Callback | None, Callback | None]] = {}
        self._timers: list[Timer] = []
        self._tidy_at = _TIMERS
        self._order = itertools.count()
        self._inbox: deque[Callback] = deque()
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._asleep = False
        self._running = False
        self._thread: threading.Thread | None = None
        self._on_delay = on_delay
        self.pool_size = pool_size
        self.pool: ThreadPoolExecutor = Pool(pool_size, thread_name_prefix="wait")
        self.alive: Callback = lambda: None
        """To be called every second or so by what blocks the loop on purpose, so that it is not taken for stuck."""
        self._turns = 0
        self.watch(self._wake_in, self._woken, None)

    # --- from any thread ---------------------------------------------------------------------------------------------

    def post(self, item: Callback) -> None:
        """Run it on the loop's thread, later."""
        self._inbox.append(item)
        if self._asleep:
            with contextlib.suppress(BlockingIOError):  # full: it will wake up
                os.write(self._wake_out, b"\0")

    def call(self, begin: Callable[[Callable[[Any], None]], None]) -> Any:
        """Post `begin(answer)` and wait until answer(value) is called; an exception as value is raised here.

        Where no other thread turns the loop (before `run`), it is turned here.
        """
        done = threading.Lock()
        done.acquire()
        box: list[Any] = []

        def answer(value: Any) -> None:
            box.append(without_frames(value) if isinstance(value, Exception) else value)
            done.release()

        def run() -> None:
            try:
                begin(answer)
            except Exception as error:
                if box:
                    raise
                log.debug("passed on to the caller", exc_info=True)
                answer(error)

        self.post(run)
        del run
        if self._thread is None and not self._running:
            while not box:
                self.turn()
        else:
            done.acquire()
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]

    def start(self) -> None:
        """Run on a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="lua", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End `run` after what was posted before, and wait for its thread, if it has one; the pool's work is left."""
        self.post(self._end)
        if self._thread not in (None, threading.current_thread()):
            self._thread.join()

    # --- on the loop's thread ----------------------------------------------------------------------------------------

    def at(self, when: float, run: Callback) -> Timer:
        """Run it at a time.monotonic() value."""
        if len(self._timers) >= self._tidy_at:  # most deadlines are cancelled, long before their time
            self._timers = [timer for timer in self._timers if timer.run is not None]
            heapq.heapify(self._timers)
            self._tidy_at = max(_TIMERS, 2 * len(self._timers))
        timer = Timer(when, next(self._order), run)
        heapq.heappush(self._timers, timer)
        return timer

    def watch(self, what: HasFileno | int, readable: Callback | None, writable: Callback | None = None) -> None:
        """Call back while the descriptor is readable or writable, or has failed; replaces what was watched there.

        With neither it is `unwatch`.
        """
        if readable is None and writable is None:
            self.unwatch(what)
            return
        fd = what if isinstance(what, int) else what.fileno()
        mask = (select.EPOLLIN if readable else 0) | (select.EPOLLOUT if writable else 0)
        if fd in self._watched:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)
        self._watched[fd] = (readable, writable)

    def unwatch(self, what: HasFileno | int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        fd = what if isinstance(what, int) else what.fileno()
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def run(self) -> None:
        """Turn until `stop`."""
        self._running = True
        while self._running:
            self.turn()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def turn(self, longest: float | None = None) -> None:
        """Wait for something to do, longest seconds at most, and do it."""
        self._asleep = True
        ready = self._epoll.poll(0 if self._inbox else self._patience(longest), 64)
        self._asleep = False
        begun = time.monotonic()
        if self._timers:
            self._due(begun)
        for fd, mask in ready:
            self._dispatch(fd, mask)
        for _ in range(len(self._inbox)):
            self._safely(self._inbox.popleft())
        self._turns += 1
        if self._turns % _COLLECT_EVERY == 0:
            gc.collect(1 if self._turns % (50 * _COLLECT_EVERY) else 2)
        if self._on_delay is not None and ready:
            self._on_delay(time.monotonic() - begun)

    def _patience(self, longest: float | None) -> float | None:
        while self._timers and self._timers[0].run is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return longest
        until = min(max(0.0, self._timers[0].when - time.monotonic()), _LONGEST)
        return until if longest is None else min(until, longest)

    def _due(self, now: float) -> None:
        while self._timers and self._timers[0].when <= now:
            timer = heapq.heappop(self._timers)
            if timer.run is not None:
                self._safely(timer.run)

    def _dispatch(self, fd: int, mask: int) -> None:
        for number, bits in enumerate((_READABLE, _WRITABLE)):
            if not mask & bits:
                continue
            callbacks = self._watched.get(fd)
            if callbacks is None:  # the first of the two, or another event of this turn, has ended it
                return
            callback = callbacks[number]
            if callback is not None:
                self._safely(callback)

    def _safely(self, item: Callback) -> None:
        try:
            item()
        except Exception:
            log.exception("internal error on the loop")

    def _woken(self) -> None:
        os.read(self._wake_in, 4096)

    def _end(self) -> None:
        self._running = False

    def close(self) -> None:
        """Give the descriptors back; the loop can't be used any more."""
        self._epoll.close()
        os.close(self._wake_in)
        os.close(self._wake_out)


E = TypeVar("E", bound=Exception)


def without_frames(error: E) -> E:
    """The error without its frames: they may hold Lua objects, which must not die on another thread."""
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    return error
