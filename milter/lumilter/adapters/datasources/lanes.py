"""The threads of a datasource, and the one that sees to it that nobody waits for them too long.

The law: a future that was given out is settled by its time, whatever the thread does that works on it. A thread that
hangs is lost to its datasource only, never to the loop's pool; when all hang nothing more is taken on.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from lumilter.adapters.datasources.contract import Cut, DatasourceError, TimedOut

T = TypeVar("T")
_TIDY = 1000
"""Alarms before cancelled ones are looked for."""


class Alarm:
    """Calls back at a time, on a thread that is started when it is first needed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._order = itertools.count()
        self._tidy_at = _TIDY
        self._thread: threading.Thread | None = None

    def at(self, when: float, ring: Callable[[], None]) -> Callable[[], None]:
        """ring: must not block nor raise. What is returned cancels it. when: a time.monotonic() value."""
        box = [ring]
        with self._changed:
            if len(self._heap) >= self._tidy_at:  # most are cancelled, long before their time
                self._heap = [entry for entry in self._heap if entry[2]]
                heapq.heapify(self._heap)
                self._tidy_at = max(_TIDY, 2 * len(self._heap))
            heapq.heappush(self._heap, (when, next(self._order), box))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="db-alarm", daemon=True)
                thread.start()
                self._thread = thread
            if self._heap[0][2] is box:
                self._changed.notify()
        return box.clear

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap or (left := self._heap[0][0] - time.monotonic()) > 0:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX) if self._heap else None)
                box = heapq.heappop(self._heap)[2]
            for ring in tuple(box):
                ring()


class Task(Generic[T]):
    """Work for a lane. settle: is called exactly once, with the result or an error, on any thread."""

    def __init__(self, work: Callable[[Cut], T], settle: Callable[[T | DatasourceError], None]) -> None:
        self.work, self.cut = work, Cut()
        self._settle: Callable[[T | DatasourceError], None] | None = settle
        self._lock = threading.Lock()
        self.state = "queued"
        """Then "running", perhaps "overdue", and "done"."""

    def settle(self, outcome: T | DatasourceError) -> None:
        """The first outcome counts."""
        with self._lock:
            settle, self._settle = self._settle, None
        if settle is not None:
            settle(outcome)


class Lanes:
    """At most `size` threads, made as they are needed."""

    def __init__(self, name: str, size: int, alarm: Alarm) -> None:
        self._name, self._size, self._alarm = name, size, alarm
        self._changed = threading.Condition()
        self._queue: deque[tuple[Task[Any], Callable[[], None]]] = deque()
        self._idle = self._threads = 0
        self._closed = False
        self.busy = self.overdue = 0
        """Threads that work, and those of them whose work nobody waits for any more."""

    @property
    def queued(self) -> int:
        """Tasks that wait for a thread."""
        return len(self._queue)

    def submit(self, task: Task[Any], until: float) -> None:
        """Have it done. Raises DatasourceError where every thread hangs."""
        with self._changed:
            if self.overdue >= self._size:
                raise DatasourceError(f"all {self._size} connections are busy with queries that do not end")
            cancel = self._alarm.at(until, lambda: self._late(task))
            try:
                if self._idle < len(self._queue) + 1 and self._threads < self._size:
                    threading.Thread(target=self._run, name=f"db-{self._name}", daemon=True).start()
                    self._threads += 1
            except RuntimeError as error:
                if not self._threads:  # else the others do it
                    cancel()
                    raise DatasourceError(f"the system has no thread left: {error}") from None
            self._queue.append((task, cancel))
            self._changed.notify()

    def close(self) -> None:
        """End the threads, each after what it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _late(self, task: Task[Any]) -> None:
        with self._changed:
            state, busy = task.state, self.busy
            if state == "done":
                return
            if state == "running":
                task.state = "overdue"
                self.overdue += 1
            else:
                self._queue = deque(entry for entry in self._queue if entry[0] is not task)
        if state == "running":
            task.settle(TimedOut("the query took too long"))
            task.cut.fire()
        else:
            task.settle(DatasourceError(f"no connection was free in time ({busy} are busy)"))

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            task, cancel = entry
            outcome: Any
            try:
                outcome = task.work(task.cut)
            except DatasourceError as error:
                outcome = DatasourceError(str(error))  # without the frames of the driver
            except Exception as error:
                outcome = DatasourceError(f"internal error: {type(error).__name__}: {error}")
            cancel()
            with self._changed:
                self.busy -= 1
                self.overdue -= task.state == "overdue"
                task.state = "done"
            task.settle(outcome)
            del entry, task, cancel, outcome

    def _next(self) -> tuple[Task[Any], Callable[[], None]] | None:
        with self._changed:
            while not self._queue and not self._closed:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            if not self._queue:
                self._threads -= 1
                return None
            entry = self._queue.popleft()
            entry[0].state = "running"
            self.busy += 1
            return entry
