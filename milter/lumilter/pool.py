"""Threads for what must wait.

The law: what is refused, because the system has no thread left, is not done: whoever asked has told somebody so.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Pool(ThreadPoolExecutor):
    """See ThreadPoolExecutor, which keeps what it has refused, and does it when a thread is free."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """See Executor. Raises RuntimeError."""
        future: Future[R] = Future()
        try:
            queued = super().submit(_Work(future, lambda: fn(*args, **kwargs)))
        except RuntimeError:
            if future.cancel():
                raise
            return future  # a thread has begun with it already
        queued.add_done_callback(lambda queued: queued.cancelled() and future.cancel())
        return future


class _Work:
    __slots__ = ("_future", "_work")

    def __init__(self, future: Future[Any], work: Callable[[], Any]) -> None:
        self._future, self._work = future, work

    def __call__(self) -> None:
        future = self._future
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(self._work())
        except BaseException as error:
            future.set_exception(error)
        finally:
            del self, future  # the exception has this frame
