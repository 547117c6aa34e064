"""msys.counter: counters by path, one value for all workers of a machine.

The law: declarations only. STRICT and RELAXED counters are the same here: every change is one of the value itself.

Source: manual, msys.counter.open, add, inc, read, reset, unlink; console command counter.
"""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.api.audit_keys import text_key
from lumilter.api.later import waited
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api, constants, lua_class
from lumilter.state.contract import LIMIT

PACKAGE = "msys.counter"
STRICT, RELAXED = 0, 1

constants(PACKAGE, {"STRICT": STRICT, "RELAXED": RELAXED})


@dataclass(frozen=True, slots=True)
class Counter:
    """A handle: the path, and how it was opened."""

    path: str
    relaxed: bool = False

    def __str__(self) -> str:
        return self.path


lua_class("counter", Counter)


@api("msys.counter.open", package=PACKAGE, blocking=True)
def open_counter(counter_path: str, semantics: int = STRICT, *, here: Here) -> Counter | Job:
    """A handle for the counter of that path, which is made if it is not there.

    semantics: msys.counter.STRICT or RELAXED, which `counter list` shows and nothing else depends on.
    """
    if semantics not in (STRICT, RELAXED):
        raise LumilterError(f"{semantics} is neither msys.counter.STRICT ({STRICT}) nor RELAXED ({RELAXED})")
    handle = Counter(_path(counter_path), semantics == RELAXED)
    made = here.services.state.numbers.counted(lambda store: store.add(text_key(handle.path), 0, handle.relaxed), 0)
    opened = waited(made, here)
    return Job(opened.run, opened.kind, lambda value: handle) if isinstance(opened, Job) else handle


@api("msys.counter.add", package=PACKAGE, blocking=True)
def add(object_or_path: Counter | str, delta: float, *, here: Here) -> Job | None:
    """Add a whole number to a counter, which is made if it is not there."""
    if not -LIMIT <= delta <= LIMIT:
        raise LumilterError(f"a counter holds whole numbers between -{LIMIT} and {LIMIT}")
    return _added(_handle(object_or_path), int(delta), here)


@api("msys.counter.inc", package=PACKAGE, blocking=True)
def inc(object_or_path: Counter | str, *, here: Here) -> Job | None:
    """Add 1 to a counter, which is made if it is not there."""
    return _added(_handle(object_or_path), 1, here)


@api("msys.counter.read", package=PACKAGE, blocking=True)
def read(object_or_path: Counter | str, *, here: Here) -> int | Job:
    """The value of a counter; 0 if it is not there."""
    path = text_key(_handle(object_or_path).path)
    return waited(here.services.state.numbers.counted(lambda store: store.read(path), 0), here)


@api("msys.counter.reset", package=PACKAGE, blocking=True)
def reset(object_or_path: Counter | str, *, here: Here) -> Job | None:
    """Make a counter 0; it is made if it is not there."""
    path = text_key(_handle(object_or_path).path)
    return waited(here.services.state.numbers.counted(lambda store: store.reset(path), None), here)


@api("msys.counter.unlink", package=PACKAGE, blocking=True)
def unlink(counter_path: str, *, here: Here) -> Job | None:
    """Forget a counter. A handle for it makes a new one when it is used next."""
    path = text_key(_path(counter_path))
    return _silent(waited(here.services.state.numbers.counted(lambda store: store.unlink(path), False), here))


def _added(handle: Counter, amount: int, here: Here) -> Job | None:
    path = text_key(handle.path)
    counted = here.services.state.numbers.counted(lambda store: store.add(path, amount, handle.relaxed), 0)
    return _silent(waited(counted, here))


def _silent(result: object) -> Job | None:
    """Without what it returns: Momentum's returns nothing."""
    return Job(result.run, result.kind, lambda value: None) if isinstance(result, Job) else None


def _handle(given: Counter | str) -> Counter:
    return Counter(_path(given)) if isinstance(given, str) else given


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise LumilterError(f'"{text}" is no path of a counter: it begins with a slash, such as "/site/name/errors"')
    return text
