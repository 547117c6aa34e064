"""How long to wait before the next attempt when workers keep dying.

The law: pure arithmetic over times that it is given (time.monotonic()).
"""

from __future__ import annotations

from dataclasses import dataclass

_FIRST, _MOST = 0.1, 30.0
_HEALTHY = 10.0
"""Seconds that a worker serves before its end counts as the first again."""


@dataclass(slots=True)
class Backoff:
    """failures: in a row. until: no attempt before."""

    failures: int = 0
    until: float = 0.0

    def ended(self, now: float, lived: float) -> float:
        """A worker ended that nobody had told to; lived: seconds that it served. The seconds to wait."""
        self.failures = 1 if lived >= _HEALTHY else self.failures + 1
        # The first is replaced at once: a worker that is killed once has done nothing wrong.
        wait = 0.0 if self.failures == 1 else min(_MOST, _FIRST * 2.0 ** min(self.failures - 2, 20))
        self.until = now + wait
        return wait
