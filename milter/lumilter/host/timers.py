"""Timers of scripts: msys.timer.after, at and every.

The law: on the Lua thread. A closure never runs twice at once; a timer that no script holds any more does not fire. A
timer that was made while scripts were loaded exists in every worker: it fires where `active` is set, and what falls due
elsewhere counts as fired there. One that was made later exists nowhere else, and fires where it is.
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable
from typing import Any

from lumilter.calls import Bound, Here, LuaFunction
from lumilter.errors import LumilterError, ScriptError
from lumilter.host.closures import Closures, Purpose
from lumilter.host.tasks import Limits
from lumilter.loop import Loop
from lumilter.loop import Timer as Alarm

LOADING = ("load", "init")
"""Phases that every worker goes through."""
_CLOCK = 60.0
"""Seconds after which a timer for a time of day looks at the clock again, which may have been set."""
_SHORTEST = 0.001


class Timers:
    """The timers of a generation. active: whether those that every worker has fire in this one."""

    def __init__(self, loop: Loop, closures: Closures, limits: Limits) -> None:
        self.loop, self.closures, self.limits = loop, closures, limits
        self.active = False
        self.running = 0
        """Closures of timers that run at this moment."""
        self._shared = 0
        """Those of them that are of timers that every worker has."""
        self._paused: Callable[[], None] | None = None
        self._closed = False

    def make(self, kind: str, seconds: float, closure: LuaFunction, name: str, here: Here) -> Bound:
        """A timer that is scheduled. kind: "after", "at" or "every"; seconds: for "at" since the epoch."""
        if not math.isfinite(seconds):
            raise LumilterError("the time is not a finite number")
        if kind == "every" and seconds < _SHORTEST:
            raise LumilterError(f"expected an interval of at least {_SHORTEST} s, got {seconds:g}")
        timer = ScriptTimer(self, kind, seconds, closure, name, here)
        if not self._closed:
            timer.start()
        return Bound(timer, closure)

    def pause(self, paused: Callable[[], None]) -> None:
        """Let the timers that every worker has fire no more; paused is called once none of them runs."""
        self.active = False
        self._paused = paused
        self._look()

    def activate(self) -> None:
        """From now on they fire here."""
        self.active, self._paused = True, None

    def close(self) -> None:
        """Nothing fires any more."""
        self.active, self._closed = False, True

    def may_fire(self, timer: ScriptTimer) -> bool:
        return not self._closed and (self.active or not timer.shared)

    def began(self, shared: bool) -> None:
        self.running += 1
        self._shared += shared

    def ended(self, shared: bool) -> None:
        self.running -= 1
        self._shared -= shared
        self._look()

    def _look(self) -> None:
        if self._paused is not None and not self._shared:
            paused, self._paused = self._paused, None
            paused()


class ScriptTimer:
    """What a script holds. The loop does not hold it: with the script's last reference it is gone, and stopped."""

    def __init__(self, timers: Timers, kind: str, seconds: float, closure: LuaFunction, name: str, here: Here) -> None:
        self._timers, self._kind, self._seconds, self._closure = timers, kind, seconds, closure
        self._module, self._shadow = here.module, here.is_shadow
        self.name = name
        self.shared = here.phase in LOADING
        self._alarm: Alarm | None = None
        self._due = 0.0
        self._running = self._again = False

    def __del__(self) -> None:
        self.stop()

    def start(self) -> None:
        """Schedule it anew: from now, or for its time; a time that has passed is now."""
        self.stop()
        now = time.monotonic()
        self._due = now + max(0.0, self._seconds if self._kind != "at" else self._seconds - time.time())
        self._wait()

    def stop(self) -> None:
        """Let it not fire any more; what runs goes on."""
        self._again = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _wait(self) -> None:
        when = self._due if self._kind != "at" else min(self._due, time.monotonic() + _CLOCK)
        self._alarm = self._timers.loop.at(when, _Rings(self))

    def rings(self) -> None:
        """Its alarm went off."""
        self._alarm = None
        if self._kind == "at" and self._seconds - time.time() > _SHORTEST:
            self.start()
        elif self._running:
            self._again = True
        elif self._timers.may_fire(self):
            self._run()
        else:
            self._next()

    def _run(self) -> None:
        timers, shared, me = self._timers, self.shared, weakref.ref(self)
        self._running, self._again = True, self._kind == "every"
        timers.began(shared)

        def ended(error: ScriptError | None) -> None:
            timer = me()
            timers.ended(shared)
            if timer is not None:
                timer._ended()

        here = Here("timer", self._module, shadow=self._shadow)
        timers.closures.run(Purpose("timer", self.name), self._closure, here, timers.limits, ended)

    def _ended(self) -> None:
        self._running = False
        if self._again and self._kind == "every":
            self._next()
        elif self._again:
            self.rings()

    def _next(self) -> None:
        """The next time of a repeating timer that has not passed yet: times that were missed are left out."""
        if self._kind == "every":
            late = time.monotonic() - self._due
            self._due += self._seconds * (1 + max(0, math.floor(late / self._seconds)))
            self._wait()


class _Rings:
    """What the loop calls; it forgets nothing and holds nothing."""

    __slots__ = ("_timer",)

    def __init__(self, timer: ScriptTimer) -> None:
        self._timer: Any = weakref.ref(timer)

    def __call__(self) -> None:
        timer = self._timer()
        if timer is not None:
            timer.rings()
