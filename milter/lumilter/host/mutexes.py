"""thread.mutex: a lock that coroutines wait for, without holding up the Lua thread.

The law: what holds a lock is a task (a hook, a timer, a closure in a pool), where Momentum has an operating system
thread; kinds and errors are those of pthread_mutexattr_settype(3). A task that fails gives back what it holds, so that
no error of one session locks out all others.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from lumilter.calls import Here, Until
from lumilter.errors import LumilterError


class Kind(IntEnum):
    """As in Linux's pthread.h."""

    NORMAL = 0
    RECURSIVE = 1
    ERRORCHECK = 2


class Mutex:
    """One lock."""

    def __init__(self, kind: int = Kind.NORMAL) -> None:
        try:
            self._kind = Kind(kind)
        except ValueError:
            raise LumilterError(
                "specify one of thread.MUTEX_NORMAL, thread.MUTEX_RECURSIVE or thread.MUTEX_ERRORCHECK"
            ) from None
        self._holder: Any = None
        self._depth = 0
        self._waiting: deque[tuple[Any, Callable[[Any], None]]] = deque()

    def lock(self, here: Here) -> bool | Until:
        """True once it is held."""
        task = here.task
        if self._take(task):
            return True
        if self._holder is task:  # a pthread mutex of the normal kind would stop the whole process here, for ever
            raise _failed("lock", errno.EDEADLK)

        def begin(answer: Callable[[Any], None]) -> Callable[[], None]:
            if self._take(task):  # it was given back between the call and the wait
                answer(True)
                return lambda: None
            waiter = (task, answer)
            self._waiting.append(waiter)
            return lambda: self._waiting.remove(waiter) if waiter in self._waiting else None

        return Until(begin, "mutex")

    def trylock(self, here: Here) -> bool | int:
        """True if it is held now, else EBUSY."""
        return self._take(here.task) or errno.EBUSY

    def unlock(self, here: Here) -> bool:
        """Give it back; only a normal one may be given back by who does not hold it."""
        if self._holder is None:
            if self._kind is not Kind.NORMAL:
                raise _failed("unlock", errno.EPERM)
            return True
        if self._holder is not here.task and self._kind is not Kind.NORMAL:
            raise _failed("unlock", errno.EPERM)
        self._depth -= 1
        if not self._depth:
            self._give_back()
        return True

    def _take(self, task: Any) -> bool:
        if self._holder is None:
            self._holder, self._depth = task, 1
            task.holds.append(self._give_back)
            return True
        if self._holder is task and self._kind is Kind.RECURSIVE:
            self._depth += 1
            return True
        return False

    def _give_back(self) -> None:
        """Free, or the next one's."""
        self._holder.holds.remove(self._give_back)
        self._holder, self._depth = None, 0
        if self._waiting:
            task, answer = self._waiting.popleft()
            self._take(task)
            answer(True)


def _failed(what: str, number: int) -> LumilterError:
    return LumilterError(f"failed to {what} mutex: {number} {os.strerror(number)}")
