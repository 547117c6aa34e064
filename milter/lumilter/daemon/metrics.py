"""What a worker counts: sessions and what was decided, hooks, closures, waits, limits.

The law: counts and decides nothing. `observe` may be called on any thread, `hook`, `closure`, `wait` and `snapshot` are
called on the loop's; an observation costs about a microsecond, and none can fail a session.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from lumilter.daemon import log
from lumilter.daemon.engine import Engine
from lumilter.daemon.figures import Figures, Snapshot
from lumilter.daemon.mail import Mailer
from lumilter.errors import LimitError, ScriptError
from lumilter.host.closures import ClosureEnd
from lumilter.host.drive import HookEnd
from lumilter.loop import Loop
from lumilter.session.events import CONTINUE, Action, Connect, Data, EndOfMessage, Event, Helo, Mail, Outcome, Rcpt
from lumilter.session.session import Session
from lumilter.state.embedded import EmbeddedStore

_PHASES: dict[type, str] = {
    Connect: "connect",
    Helo: "ehlo",
    Mail: "mailfrom",
    Rcpt: "rcptto",
    Data: "rcptto_list",
    EndOfMessage: "message",
}
"""For what no hook decided; the others are the hooks' own."""
_CACHE = ("hits", "misses", "entries")
"""Of adapters.dns.Stats."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """The figures of one worker."""

    def __init__(self) -> None:
        self.figures = Figures()

    def attach(self, engine: Engine, loop: Loop) -> None:
        """Read the gauges of an engine and its loop from now on; on the loop's thread."""
        tasks, state = engine.host.tasks, engine.host.state

        def gauges() -> Mapping[str, float]:
            return {
                "sessions_open": len(engine.sessions),
                "tasks_waiting": tasks.waiting,
                "pool_threads_busy": min(tasks.jobs, loop.pool_size),
                "pool_queue": max(0, tasks.jobs - loop.pool_size),
                "lua_memory_bytes": state.memory_used,
                "python_blocks": sys.getallocatedblocks(),
                "resident_memory_bytes": resident(),
                "log_lines_lost": log.lost(),
            }

        self.figures.read(gauges)
        stats = getattr(engine.setup.services.resolver, "stats", None)
        if stats is not None:
            self.figures.read(lambda: {f"dns_cache_{name}": getattr(stats(), name) for name in _CACHE})

        scanners = engine.setup.services.scanners
        if scanners.by_name:
            scanners.watch(self.scan)
            self.figures.read(lambda: {"scanner_servers_left_alone": scanners.left_alone()})

        places = engine.setup.services.state.places

        def shared_state() -> Mapping[str, float]:
            machine, redis = places.failures()
            size = places.machine.size() if isinstance(places.machine, EmbeddedStore) else 0
            return {"state_bytes": size, "state_failures": machine, "redis_failures": redis}

        self.figures.read(shared_state)
        mail = engine.setup.services.mail
        if isinstance(mail, Mailer):
            self.figures.read(lambda: {"mail_waiting": mail.waiting()})

    def observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        """Count what an event led to: an engine's observer, before the one that empties the trace (log.observe)."""
        add, trace, kind = self.figures.add, session.trace, type(event)
        if kind is Connect:
            add("sessions")
        elif kind is EndOfMessage:
            add("messages")
        elif outcome is CONTINUE and not trace.errors:  # most events
            return
        if outcome.action is not Action.CONTINUE or kind is EndOfMessage:
            decided = trace.decided if outcome.action is not Action.CONTINUE else None
            add("verdicts", (log.verdict_name(outcome), *(decided or (_PHASES.get(type(event), ""), ""))))
            if outcome.reply is not None:
                add("replies", (f"{outcome.reply.code // 100}xx",))
        for error in trace.errors:
            if isinstance(error, ScriptError):
                self.script_error(error)

    def script_error(self, error: ScriptError) -> None:
        """A hook, or a closure of a timer or in a pool, has failed."""
        self.figures.add("script_errors", (error.module,))
        if isinstance(error, LimitError) and error.limit:
            self.figures.add("limits_hit", (error.limit,))

    def hook(self, ended: HookEnd) -> None:
        """A hook has returned or failed: Host.on_hook."""
        self.figures.observe("hook_seconds", (ended.module, ended.hook), ended.seconds)

    def closure(self, ended: ClosureEnd) -> None:
        """A closure has returned or failed: Closures.on_end."""
        labels = ended.purpose.kind, ended.purpose.name, ended.module
        self.figures.observe("closure_seconds", labels, ended.seconds)

    def wait(self, kind: str, seconds: float, outcome: str) -> None:
        """A script has waited: Tasks.on_wait. Sleeping is no work for anybody, and is not counted."""
        if kind != "sleep":
            self.figures.observe("wait_seconds", (kind, outcome), seconds)
            if outcome == "timeout":
                self.figures.add("limits_hit", ("lookup_timeout",))

    def scan(self, name: str, seconds: float, outcome: str) -> None:
        """A scan has ended: Scanner.on_scan; any thread."""
        self.figures.add("scans", (name, outcome))
        self.figures.observe("scan_seconds", (name,), seconds)

    def limit(self, name: str) -> None:
        """A limit of figures.LIMITS was reached where no script runs: sessions, message_size, headers, spool."""
        self.figures.add("limits_hit", (name,))

    def mail(self, word: str) -> None:
        """A recipient of mail that lumilter sent itself: "sent", "deferred" or "failed"; any thread."""
        self.figures.add("mail", (word,))

    def delay(self, seconds: float) -> None:
        """How long the last event of a turn waited: Loop's on_delay."""
        self.figures.observe("loop_delay_seconds", (), seconds)

    def snapshot(self) -> Snapshot:
        """Everything since the process began, as JSON has it; on the loop's thread."""
        return self.figures.snapshot()


def resident() -> int:
    """Bytes of this process that are in memory (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
