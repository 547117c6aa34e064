"""Configuration of what scripts run beside sessions: timers, and pools for closures.

The law: declarations only, see config.declare.
"""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import TEXT, choice, integer, seconds

CONCURRENCY = integer(0)
BACKLOG = integer(0)


@dataclass(frozen=True, slots=True)
class Timers:
    """Timers of scripts (msys.timer)."""

    workers: str = key(
        choice("one", "all"),
        'Where timers fire that scripts make at their top level or in init, and that so exist in every worker: "one" '
        'worker, and in another when that ends, or "all" of them. Timers that a hook makes fire in its worker.',
        "one",
    )
    deadline: float = key(
        seconds(0), "Seconds that one call of a timer's closure may take, its waits included; 0 is no limit.", 300
    )


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool for msys.runInPool, besides Momentum's own or in place of one of them; the names' case does not matter.

    CPU has 4 places, IO 50, SwapOut and SwapIn 5 each, Unlink 6, Batch_Unlink 4, SpoolIn 1, Close no limit.
    """

    name: str = key(TEXT, "What scripts call it.", example="IO")
    concurrency: int = key(CONCURRENCY, "Closures that run in it at the same time; 0 is no limit.", 5)
    backlog: int = key(
        BACKLOG, "Closures that may wait for a place; scripts wait before they add another. 0 is no limit.", 1000
    )
    deadline: float = key(seconds(0), "Seconds that one closure may take, its waits included; 0 is no limit.", 300)
