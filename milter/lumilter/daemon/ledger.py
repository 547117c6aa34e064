"""The figures of all workers, of those that run and of those that ended, as Prometheus and `lumilter ctl` want them.

The law: lives in the supervisor and knows workers by what they last said. A counter never goes back: what an ended
worker counted stays in the sums, except for what it did after its last snapshot.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from lumilter import __version__
from lumilter.daemon.figures import Figures, Snapshot, by_label, merge, value_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `exposition` is (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
STATES = ("starting", "serving", "draining")


@dataclass(slots=True)
class _Worker:
    index: int
    state: str
    figures: Snapshot = field(default_factory=dict)


class Ledger:
    """Made by the supervisor. own: what that counts itself: worker_restarts, reloads."""

    def __init__(self) -> None:
        self.own = Figures()
        self.generation = 0
        self._started = time.monotonic()
        self._workers: dict[Hashable, _Worker] = {}
        self._ended: Snapshot = {}

    def heard(self, worker: Hashable, index: int, state: str, figures: Snapshot | None = None) -> None:
        """A worker's state, and its snapshot where there is a new one. index: its place, which a successor takes."""
        known = self._workers.setdefault(worker, _Worker(index, state))
        known.state = state
        if figures is not None:
            known.figures = figures

    def gone(self, worker: Hashable) -> None:
        """A worker has ended."""
        known = self._workers.pop(worker, None)
        if known is not None:
            self._ended = merge((self._ended, known.figures), gauges=False)

    def total(self) -> Snapshot:
        """Everything, added up."""
        return merge((self._ended, self.own.snapshot(), *(worker.figures for worker in self._workers.values())))

    def summary(self) -> dict[str, Any]:
        """The totals that `lumilter ctl status` shows."""
        total = self.total()
        return {
            **{name: value_of(total, name) for name in ("sessions", "sessions_open", "messages", "log_lines_lost")},
            "verdicts": by_label(total, "verdicts"),
            "limits_hit": by_label(total, "limits_hit"),
            "script_errors": by_label(total, "script_errors"),
            "restarts": by_label(total, "worker_restarts"),
        }

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format."""
        # Imported by who is asked: http.server and ssl come with the library, 6 MB that every worker would begin with.
        from lumilter.daemon.exposition import text

        total = self.total() | {
            "generation": [[[], self.generation]],
            "uptime_seconds": [[[], time.monotonic() - self._started]],
            "build_info": [[[__version__, platform.python_version()], 1]],
            "workers": [[[state], self._in(state)] for state in STATES],
        }
        return text(total, [(worker.index, worker.state, worker.figures) for worker in self._workers.values()])

    def _in(self, state: str) -> int:
        return sum(worker.state == state for worker in self._workers.values())
