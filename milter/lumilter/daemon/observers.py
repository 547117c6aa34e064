"""Who watches an engine, and in which order.

The law: log.observe is last, because it empties the session's trace; a watcher that fails is logged and stops nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from lumilter.daemon import log, slow
from lumilter.daemon.engine import Engine, Observer
from lumilter.daemon.metrics import Meter
from lumilter.host.closures import ClosureEnd
from lumilter.host.drive import HookEnd
from lumilter.loop import Loop
from lumilter.session.events import Event, Outcome
from lumilter.session.session import Session

_log = logging.getLogger(__name__)


def in_order(*before: Observer) -> Observer:
    """An observer that calls these, then writes the log."""
    observers = (*before, log.observe)

    def observe(session: Session, event: Event, outcome: Outcome) -> None:
        for each in observers:
            try:
                each(session, event, outcome)
            except Exception:
                _log.exception("an event of %s could not be observed", session.queue_id or session.ac.conn_id)

    return observe


def watch(engine: Engine, loop: Loop, meter: Meter, slow_hook: Callable[[], float]) -> None:
    """Count hooks, waits and closures from now on, and warn of slow hooks.

    slow_hook: gives the seconds that are too long; 0 is never.
    """
    host = engine.host

    def hook(ended: HookEnd) -> None:
        try:
            meter.hook(ended)
            if slow.is_slow(ended, slow_hook()):
                meter.figures.add("slow_hooks", (ended.module,))
                slow.warn(ended, host.positions)
        except Exception:
            _log.exception("a hook of %s could not be observed", ended.module)

    def wait(kind: str, seconds: float, outcome: str) -> None:
        try:
            meter.wait(kind, seconds, outcome)
        except Exception:
            _log.exception("a wait for %s could not be observed", kind)

    def closure(ended: ClosureEnd) -> None:
        try:
            meter.closure(ended)
        except Exception:
            _log.exception("%s could not be observed", ended.purpose)

    meter.attach(engine, loop)
    host.on_hook, host.tasks.on_wait = hook, wait
    host.closures.on_error, host.closures.on_end = meter.script_error, closure
