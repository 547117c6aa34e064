"""msys.timer: closures at a time, once or again and again.

The law: declarations only. Source: manual, msys.timer.after, msys.timer.at, msys.timer.every.
"""

from __future__ import annotations

from lumilter.calls import Bound, Here, LuaFunction
from lumilter.host.timers import ScriptTimer
from lumilter.registry import api, lua_class

PACKAGE = "msys.timer"

lua_class("timer", ScriptTimer)


@api("msys.timer.after", package=PACKAGE)
def after(delta: float, closure: LuaFunction, name: str | None = None, *, here: Here) -> Bound:
    """A timer that calls the closure once, so many seconds from now.

    It is stopped when the script holds it no longer: keep it in a global, or in something that is kept. A timer that is
    made while scripts are loaded, or in init, exists in every worker and fires in one of them ([timers] workers).
    """
    timer: Bound = here.host.timers.make("after", delta, closure, name or "", here)
    return timer


@api("msys.timer.at", package=PACKAGE)
def at(number: float, closure: LuaFunction, name: str | None = None, *, here: Here) -> Bound:
    """A timer that calls the closure once, at a time in seconds since the epoch, as os.time() counts them."""
    timer: Bound = here.host.timers.make("at", number, closure, name or "", here)
    return timer


@api("msys.timer.every", package=PACKAGE)
def every(interval: float, closure: LuaFunction, name: str | None = None, *, here: Here) -> Bound:
    """A timer that calls the closure every so many seconds, the first time after that many.

    The closure is not called while its last call goes on; times that pass meanwhile are left out.
    """
    timer: Bound = here.host.timers.make("every", interval, closure, name or "", here)
    return timer


@api("timer:start", package=PACKAGE, extension=True)
def start(timer: ScriptTimer) -> None:
    """Schedule it anew: from now on, or for the time that it was made for."""
    timer.start()


@api("timer:stop", package=PACKAGE, extension=True)
def stop(timer: ScriptTimer) -> None:
    """Let it fire no more, until it is started again; a call that goes on is not ended."""
    timer.stop()


@api("timer:name", package=PACKAGE, extension=True)
def name_of(timer: ScriptTimer) -> str | None:
    """The name that it was made with; nil without one."""
    return timer.name or None
