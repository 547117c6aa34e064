"""A warning for each hook that took too long: where it is, and what it waited for.

The law: a line for a hook that has ended; what never ends is for the deadline, or for the supervisor.
"""

from __future__ import annotations

import logging

from lumilter.host.drive import HookEnd
from lumilter.host.positions import Positions

log = logging.getLogger("lumilter.script")

_WORTH_SAYING = 0.001
"""Seconds of waiting below which it is not said."""


def is_slow(ended: HookEnd, seconds: float) -> bool:
    """Whether a hook took longer than `seconds`; 0 is never."""
    return 0 < seconds < ended.seconds


def warn(ended: HookEnd, positions: Positions) -> None:
    """Log it: "slow hook: policy.lua:12 validate_rcptto took 3.2 s (waited 3.1 s for dns)"."""
    where = positions.of(ended.module, ended.hook)
    waits = [f"{_seconds(took)} for {kind}" for kind, took in ended.waited.items() if took >= _WORTH_SAYING]
    waited = f" (waited {', '.join(waits)})" if waits else ""
    fields = {"module": ended.module}
    session = ended.session
    if session is not None:
        fields |= {
            "queue_id": session.queue_id,
            "client": session.ac.remote.address,
            "conn_id": session.ac.conn_id,
        }
    text = f"{where} {ended.hook} took {_seconds(ended.seconds)}{waited}".lstrip()
    log.warning("slow hook: %s", text, extra={"fields": fields})


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value:.3f} s"
