"""What declarations in the API are written with: the running code, operations to wait for, kinds of Lua values.

The law: no behaviour, and no import of lupa or of the host. A Wait holds plain Python values only, never a Lua object;
its `run` is called on a pool thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from lumilter.errors import LookupFailed, LumilterError


class Wait:
    """Something that a session waits for while others go on. kind: what the figures count it as."""

    kind: str


@dataclass(frozen=True, slots=True)
class Sleep(Wait):
    """Time alone."""

    seconds: float
    kind: str = field(default="sleep", init=False)


@dataclass(frozen=True, slots=True)
class Job(Wait):
    """Work for a pool thread.

    run(deadline): the work; deadline is a time.monotonic() value in seconds after which nobody wants the result.
    It returns what the function returns to the script (a tuple is several results) or raises a LumilterError.
    kind: a short word such as "dns".
    finish: what is left to do on the Lua thread with what run returned, and returns what the script gets; it is left
    out where the hook was given up meanwhile. Whatever a session or a script can see is only changed here.
    failed: the same with the LookupFailed that run raised, which the script then gets as `nil, message`.
    """

    run: Callable[[float], Any]
    kind: str = "job"
    finish: Callable[[Any], Any] = field(default=lambda result: result)
    failed: Callable[[LookupFailed], None] = field(default=lambda error: None)


@dataclass(frozen=True, slots=True)
class Elsewhere(Wait):
    """Work for threads that are not the pool's.

    start(deadline): begins it, as for Job; it must not block. kind, finish: as for Job. failed: what the script gets
    where the work fails with a LumilterError, or raises another one.
    """

    start: Callable[[float], Future[Any]]
    kind: str
    finish: Callable[[Any], Any]
    failed: Callable[[LumilterError], Any]


@dataclass(frozen=True, slots=True)
class Until(Wait):
    """Something that happens on the Lua thread: a closure ends, a lock gets free.

    begin(answer): called there once the script waits; it returns what is to be done should nobody wait any more.
    answer(result): called there, later or at once, with what the function returns to the script, or a LumilterError.
    """

    begin: Callable[[Callable[[Any], None]], Callable[[], None]]
    kind: str


@dataclass(slots=True)
class Here:
    """What the host knows about the code that is running; a declaration asks for it with `*, here: Here`.

    session: None outside sessions. services: the adapters. host: the scripts' generation, for modules. new_id: makes
    Momentum-style identifiers. turn: another number whenever a script begins, or goes on after it has waited. output:
    gets what is printed; None is the log. task: the coroutine (host.tasks.Task). shadow: outside sessions, whether one
    in shadow began it.
    """

    phase: str = "load"
    module: str = ""
    session: Any = None
    services: Any = None
    host: Any = None
    new_id: Callable[[], str] = str
    turn: int = 0
    output: Callable[[str], None] | None = None
    task: Any = None
    shadow: bool = False

    @property
    def is_shadow(self) -> bool:
        """Whether no mail leaves the machine, whatever this code does."""
        return bool((self.shadow or self.host.shadow) if self.session is None else self.session.shadow)


class Items:
    """What an iterator runs over. step: the next item, None at the end, or a Wait for it."""

    __slots__ = ("step",)

    def __init__(self, step: Callable[[], Any]) -> None:
        self.step = step


class ZeroBased(list[Any]):
    """A list that a script sees from index 0, as Momentum shows C arrays."""


class LuaFunction:
    """A Lua function that a script passed, kept in Lua under a number until the last of these is gone.

    As a parameter annotation it takes functions only. forgotten: takes the numbers that are not needed any more; any
    thread may drop one of these, the function itself is released on the Lua thread (host.closures).
    """

    __slots__ = ("_forgotten", "number")

    def __init__(self, number: int, forgotten: deque[int]) -> None:
        self.number, self._forgotten = number, forgotten

    def __del__(self) -> None:
        self._forgotten.append(self.number)


@dataclass(frozen=True, slots=True)
class Bound:
    """A result: an object, and the function that from now on lives as long as a script holds that object."""

    owner: Any
    closure: LuaFunction


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result: what a Lua function returned, which never leaves Lua; true and its results, or false and its error."""

    of: LuaFunction


class LuaValue:
    """A parameter annotation: whatever the script passed, untouched."""
