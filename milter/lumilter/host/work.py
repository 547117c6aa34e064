"""Work on pool threads for which a session waits: checks of senders, errands, signing, mail that is sent at once.

The law: called on the Lua thread, answered there, exactly once. When the worker's time is over nothing waits for it any
more: what its thread still finds out is nobody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from lumilter.errors import LumilterError
from lumilter.loop import Loop

T = TypeVar("T")


class NotDone(LumilterError):
    """Work was given up, or could not begin."""


class Works:
    """on_wait: called with the kind of work, the seconds that it took, and "ok", "failed" or "cancelled"."""

    def __init__(self, loop: Loop, on_wait: Callable[[str, float, str], None]) -> None:
        self._loop, self._on_wait = loop, on_wait
        self._under_way: dict[Future[Any], Callable[[Any, str], None]] = {}
        self._over = False

    def begin(self, kind: str, work: Callable[[], T], answer: Callable[[T | BaseException], None]) -> None:
        """Do it; answer gets, now or later, what it returns, the exception that it raises, or NotDone."""
        if self._over:
            answer(_given_up())
            return
        begun = time.monotonic()

        def ended(result: T | BaseException, outcome: str) -> None:
            self._on_wait(kind, time.monotonic() - begun, outcome)
            answer(result)

        try:
            future = self._loop.pool.submit(work)
        except RuntimeError as error:  # the system has no thread left
            answer(NotDone(str(error)))
            return
        self._under_way[future] = ended
        future.add_done_callback(lambda future: self._loop.post(lambda: self._end(future)))

    def _end(self, future: Future[Any]) -> None:
        ended = self._under_way.pop(future, None)
        if ended is not None:  # it was not given up
            error = future.exception()
            ended(future.result() if error is None else error, "ok" if error is None else "failed")

    def give_up(self) -> None:
        """The worker's time is over."""
        self._over = True
        under_way, self._under_way = self._under_way, {}
        for future, ended in under_way.items():
            future.cancel()  # it may not have begun
            ended(_given_up(), "cancelled")


def _given_up() -> NotDone:
    return NotDone("it was given up: the worker's time is over")
