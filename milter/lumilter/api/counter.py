"""msys.counter: counters by path, one value for all workers of a machine.

The law: declarations only. STRICT and RELAXED counters are the same here: every change is one of the value itself.

Source: manual, msys.counter.open, add, inc, read, reset, unlink; console command counter.
"""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.api.audit_keys import text_key
from lumilter.calls import Here
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


@api("msys.counter.open", package=PACKAGE)
def open_counter(counter_path: str, semantics: int = STRICT, *, here: Here) -> Counter:
    """A handle for the counter of that path, which is made if it is not there.

    semantics: msys.counter.STRICT or RELAXED, which `counter list` shows and nothing else depends on.
    """
    if semantics not in (STRICT, RELAXED):
        raise LumilterError(f"{semantics} is neither msys.counter.STRICT ({STRICT}) nor RELAXED ({RELAXED})")
    handle = Counter(_path(counter_path), semantics == RELAXED)
    here.services.state.counter_add(text_key(handle.path), 0, handle.relaxed)
    return handle


@api("msys.counter.add", package=PACKAGE)
def add(object_or_path: Counter | str, delta: float, *, here: Here) -> None:
    """Add a whole number to a counter, which is made if it is not there."""
    if not -LIMIT <= delta <= LIMIT:
        raise LumilterError(f"a counter holds whole numbers between -{LIMIT} and {LIMIT}")
    handle = _handle(object_or_path)
    here.services.state.counter_add(text_key(handle.path), int(delta), handle.relaxed)


@api("msys.counter.inc", package=PACKAGE)
def inc(object_or_path: Counter | str, *, here: Here) -> None:
    """Add 1 to a counter, which is made if it is not there."""
    handle = _handle(object_or_path)
    here.services.state.counter_add(text_key(handle.path), 1, handle.relaxed)


@api("msys.counter.read", package=PACKAGE)
def read(object_or_path: Counter | str, *, here: Here) -> int:
    """The value of a counter; 0 if it is not there."""
    return int(here.services.state.counter_read(text_key(_handle(object_or_path).path)))


@api("msys.counter.reset", package=PACKAGE)
def reset(object_or_path: Counter | str, *, here: Here) -> None:
    """Make a counter 0; it is made if it is not there."""
    here.services.state.counter_reset(text_key(_handle(object_or_path).path))


@api("msys.counter.unlink", package=PACKAGE)
def unlink(counter_path: str, *, here: Here) -> None:
    """Forget a counter. A handle for it makes a new one when it is used next."""
    here.services.state.counter_unlink(text_key(_path(counter_path)))


def _handle(given: Counter | str) -> Counter:
    return Counter(_path(given)) if isinstance(given, str) else given


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise LumilterError(f'"{text}" is no path of a counter: it begins with a slash, such as "/site/name/errors"')
    return text
