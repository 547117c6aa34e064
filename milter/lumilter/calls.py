"""What declarations in the API are written with: the running code, operations to wait for, kinds of Lua values.

The law: no behaviour, and no import of lupa or of the host. A Wait holds plain Python values only, never a Lua object;
its `run` is called on a pool thread.
"""

from __future__ import annotations

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


@dataclass(slots=True)
class Here:
    """What the host knows about the code that is running; a declaration asks for it with `*, here: Here`.

    session: None outside sessions. services: the adapters. host: the scripts' generation, for modules. new_id: makes
    Momentum-style identifiers. turn: another number whenever a script begins, or goes on after it has waited.
    """

    phase: str = "load"
    module: str = ""
    session: Any = None
    services: Any = None
    host: Any = None
    new_id: Callable[[], str] = str
    turn: int = 0


class ZeroBased(list[Any]):
    """A list that a script sees from index 0, as Momentum shows C arrays."""


class LuaFunction:
    """A parameter annotation: a Lua function, kept as it is and only used on the Lua thread."""


class LuaValue:
    """A parameter annotation: whatever the script passed, untouched."""
