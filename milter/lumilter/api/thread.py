"""thread: locks between scripts that wait.

The law: declarations only. Source: manual, thread.mutex; github.com/SparkPost/thrlua, src/thrlib.c for the results.
"""

from __future__ import annotations

from lumilter.calls import Here, Until
from lumilter.host.mutexes import Kind, Mutex
from lumilter.registry import api, constants, lua_class

PACKAGE = "thread"

lua_class("thread.mutex", Mutex)
constants(PACKAGE, {f"MUTEX_{kind.name}": kind for kind in Kind})


@api("thread.mutex", package=PACKAGE)
def mutex(type: int | None = None) -> Mutex:
    """A lock of one worker: thread.MUTEX_NORMAL (default), MUTEX_RECURSIVE or MUTEX_ERRORCHECK.

    It is held by the hook, timer or closure that locked it. Workers share none (msys.lock does that).
    """
    return Mutex(Kind.NORMAL if type is None else type)


@api("mutex:lock", package=PACKAGE, extension=True, blocking=True)
def lock(mutex: Mutex, *, here: Here) -> bool | Until:
    """Wait until it is free and take it: true. An error if the caller holds it already, unless it is recursive."""
    return mutex.lock(here)


@api("mutex:trylock", package=PACKAGE, extension=True)
def trylock(mutex: Mutex, *, here: Here) -> bool | int:
    """Take it if it is free: true, or 16 (EBUSY)."""
    return mutex.trylock(here)


@api("mutex:unlock", package=PACKAGE, extension=True)
def unlock(mutex: Mutex, *, here: Here) -> bool:
    """Give it back: true. An error if the caller does not hold it, unless it is a normal one."""
    return mutex.unlock(here)
