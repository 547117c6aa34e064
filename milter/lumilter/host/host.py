"""A generation of scripts in a Lua state: loads them, keeps their modules, runs their hooks for sessions.

The law: everything runs on the Lua thread. `drive` is the only place where a generator that asks for hooks (a session,
the loading of scripts) meets the coroutines that run them.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lumilter.calls import Here
from lumilter.errors import ScriptError
from lumilter.host.bridge import Bridge
from lumilter.host.closures import Closures
from lumilter.host.controls import Controls
from lumilter.host.drive import Drive, HookEnd, RunLua
from lumilter.host.pool_figures import figures_text
from lumilter.host.pools import Pools, PoolSettings
from lumilter.host.positions import Positions
from lumilter.host.state import State
from lumilter.host.tasks import Limits, Tasks
from lumilter.host.timers import Timers
from lumilter.host.values import from_wire, to_wire
from lumilter.host.work import Works
from lumilter.loop import Loop, Timer
from lumilter.session import phases
from lumilter.session.session import Session
from lumilter.session.steps import HookDone, Module, Pause, Request, RunHook

log = logging.getLogger("lumilter.script")

_LOOK = 0.02
"""Seconds between two looks at whether closures have ended."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script to load. name: in the configuration; file: its path; module: what `require` would call it, or ""."""

    name: str
    file: str
    module: str = ""


@dataclass(frozen=True, slots=True)
class LuaSettings:
    """How the Lua state is made; max_memory in bytes. limits are those of hooks; pools are besides Momentum's own."""

    path: tuple[str, ...] = ()
    max_memory: int = 256 * 1024 * 1024
    jit: bool = False
    allow: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    timer_limits: Limits = field(default_factory=Limits)
    pools: tuple[PoolSettings, ...] = ()


class Host:
    """Scripts, loaded. Made and used on the Lua thread.

    services: what API functions find in `here.services`. echo: called with every line that a script prints.
    """

    def __init__(self, settings: LuaSettings, services: Any, loop: Loop, echo: Callable[[Here, str], None]):
        self.loop = loop
        self.state = State(settings.path, settings.max_memory, settings.allow, settings.jit)
        self.tasks = Tasks(self.state, loop, settings.limits)
        self.state.boot.register = self.register
        self.positions = Positions(self.state)
        self.bridge = Bridge(self.state, services, self.tasks.hold)
        self.bridge.here.host = self
        self.new_id = self.bridge.here.new_id = momentum_ids()
        self.tasks.bridge = self.bridge
        self.closures = Closures(self.tasks, self.bridge)
        self.timers = Timers(loop, self.closures, settings.timer_limits)
        self.pools = Pools(loop, self.closures, settings.limits.instructions, settings.pools, self.tasks.lookups)
        self.controls = Controls(self.tasks, self.closures)
        self.works = Works(loop, lambda kind, seconds, outcome: self.tasks.on_wait(kind, seconds, outcome))
        self._echo = echo
        self.state.boot.print = self._print
        self.state.boot.pool_figures = self._pool_figures
        self.shadow = False
        """Nothing that is done outside sessions leaves the machine: everybody is in shadow."""
        self.modules: list[Module] = []
        self.warnings: list[str] = []
        """What was odd while the scripts were loaded; `lumilter check` prints them."""
        self.on_hook: Callable[[HookEnd], None] = lambda ended: None
        """Called, on the Lua thread, when a hook has returned or failed; must not raise."""
        self._over = False
        self._pauses: dict[Callable[[], None], Timer] = {}
        """What goes on after the pauses of sessions."""
        self._keys = itertools.count(1)
        self._sessions: dict[Session, int] = {}
        """Sessions that scripts know of, by the number that stands for them in Lua."""

    def _print(self, text: str) -> None:
        here = self.bridge.here
        if here.output is None:
            self._echo(here, from_wire(text))
        else:
            here.output(from_wire(text))

    def _pool_figures(self, which: Any) -> tuple[Any, ...]:
        if not isinstance(which, str | int | float) or isinstance(which, bool):
            return False, "bad argument #1 to 'msys.threadpool.stat' (name or number of a thread pool expected)"
        if isinstance(which, float):
            which = int(which) if math.isfinite(which) else -1
        figures = self.pools.figures(from_wire(which) if isinstance(which, str) else which)
        return (True, None) if figures is None else (True, self.state.table(figures), figures_text(figures))

    def collect(self) -> None:
        """Give back what scripts have forgotten, now; on the Lua thread, while no script runs."""
        self.state.boot.collect()

    # --- modules -----------------------------------------------------------------------------------------------------

    def register(self, name: str, functions: str) -> str | None:
        """msys.registerModule: name, and names of functions, a line each; the module's own name, or None if refused.

        Two modules of one name are two modules.
        """
        name, defined = from_wire(name), set(functions.split("\n"))
        hooks = frozenset(defined & set(phases.HOOKS))
        never = sorted(defined & set(phases.NOT_CALLED))
        for hook in never:
            self._warn(f"module {name}: lumilter does not call {hook}: {phases.NOT_CALLED[hook]}")
        if not hooks and not never:
            self._warn(f"scriptlet: no usable methods found for module {name} in registerModule call")
            return None
        taken = {module.name for module in self.modules}
        key = name if name not in taken else next(k for n in itertools.count(2) if (k := f"{name}#{n}") not in taken)
        self.modules.append(Module(key, hooks))
        return to_wire(key)

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        log.warning("%s", text)

    def setup(self, scripts: Sequence[Script]) -> Generator[RunLua | RunHook | Pause, HookDone | None, None]:
        """Load the scripts, then let every module set itself up; raises ScriptError."""
        boot = self.state.boot
        for script in scripts:
            file, required_as = to_wire(script.file), to_wire(script.module)
            yield RunLua("load", lambda *limits, f=file, m=required_as: boot.start(*limits, boot.run_script, f, m))
        for hook in phases.SETUP:
            for module in list(self.modules):
                if hook.name in module.hooks:
                    done = yield RunHook(module, hook, ())
                    if (
                        done is None or done.value is None or done.value is False
                    ):  # the manual's examples return 0: true in Lua
                        raise ScriptError(f"{hook.name} of module {module.name} did not return true")

    def teardown(self, until: float) -> Generator[RunHook | Pause, HookDone | None, None]:
        """Let closures of timers and in pools end, by `until` (of time.monotonic()), then every module tear down.

        No timer fires any more. Failures are logged.
        """
        self.timers.close()
        while (busy := self.timers.running + self.pools.busy) and time.monotonic() < until:
            yield Pause(_LOOK)
        if busy:
            log.warning("%d closures of timers and in pools are given up: they did not end in time", busy)
        for module in self.modules:
            if phases.TEARDOWN.name in module.hooks:
                try:
                    done = yield RunHook(module, phases.TEARDOWN, ())
                    if done is None or done.value is None or done.value is False:
                        log.warning("deinit of module %s did not return true", module.name)
                except ScriptError as error:
                    log.error("deinit of module %s: %s", module.name, error)

    # --- sessions ----------------------------------------------------------------------------------------------------

    def end_session(self, session: Session) -> None:
        """Forget a session; its `self` tables go."""
        number = self._sessions.pop(session, None)
        if number is not None:
            self.state.boot.end_session(number)

    # --- generators meet coroutines ----------------------------------------------------------------------------------

    def pause(self, seconds: float, go_on: Callable[[], None]) -> None:
        """Let a session go on after some seconds."""

        def over() -> None:
            self._pauses.pop(go_on, None)
            go_on()

        self._pauses[go_on] = self.loop.at(time.monotonic() + (0.0 if self._over else seconds), over)

    def give_up(self) -> None:
        """The worker's time is over: no session waits for anything any more."""
        self._over = True
        self.tasks.give_up()
        self.works.give_up()
        pauses, self._pauses = self._pauses, {}
        for go_on, timer in pauses.items():
            timer.cancel()
            self.loop.post(go_on)

    def drive(
        self,
        steps: Generator[Any, Any, Any],
        answer: Callable[[Any], None],
        session: Session | None = None,
        first: Request | RunLua | None = None,
    ) -> None:
        """Run a generator to its end: answer gets what it returns, or the exception that it raises.

        first: what the generator has asked for already, if it was started elsewhere.
        """

        drive = Drive(self, steps, answer, session)
        if first is None:
            drive.go_on(steps.send, None)
        else:
            drive.go_on(lambda request: request, first)

    def begin(self, request: RunHook, session: Session | None) -> Callable[[int, float], Any]:
        """What starts the hook's coroutine, for Tasks.start."""
        number = 0
        if session is not None:
            number = self._sessions.get(session) or self._sessions.setdefault(session, next(self._keys))
        start, module, hook, args = (
            self.state.boot.start_hook,
            to_wire(request.module.name),
            request.hook.name,
            tuple(self.bridge.pairs(request.args)),
        )
        return lambda instructions, deadline: start(number, module, hook, instructions, deadline, *args)


def momentum_ids() -> Callable[[], str]:
    """A source of identifiers in Momentum's form, "A0/00-11719-46C328D4": counter, process, seconds."""
    counter = itertools.count(int(time.time() * 1000) & 0xFFFF)
    process = os.getpid() % 100000

    def new_id() -> str:
        count = next(counter) & 0xFFFF
        return f"{count & 0xFF:02X}/{count >> 8:02X}-{process:05d}-{int(time.time()) & 0xFFFFFFFF:08X}"

    return new_id
