"""The figures of all workers, of those that run and of those that ended, as Prometheus and `lumilter ctl` want them.

The law: lives in the supervisor and knows workers by what they last said. A counter never goes back: what an ended
worker counted stays in the sums, except for what it did after its last snapshot.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from lumilter import __version__
from lumilter.daemon.figures import COUNTER, FAMILIES, GAUGE, Family, Figures, Snapshot, by_label, merge, value_of

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
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

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
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """For the prometheus-client library: families in the order of their declaration."""
        total = self.total()
        total |= {
            "generation": [[[], self.generation]],
            "uptime_seconds": [[[], time.monotonic() - self._started]],
            "build_info": [[[__version__, platform.python_version()], 1]],
            "workers": [[[state], self._in(state)] for state in STATES],
        }
        for name, family in FAMILIES.items():
            if family.each:
                yield self._of_each(name, family)
            else:
                yield _metric(name, family, total.get(name, []))

    def _in(self, state: str) -> int:
        return sum(worker.state == state for worker in self._workers.values())

    def _of_each(self, name: str, family: Family) -> Metric:
        """A gauge for each worker by itself; draining ones may share an index, and are added then."""
        made = GaugeMetricFamily(f"lumilter_{name}", family.help, labels=("worker", "state"))
        sums: dict[tuple[str, str], float] = {}
        for worker in self._workers.values():
            key = str(worker.index), worker.state
            if name in worker.figures:
                sums[key] = sums.get(key, 0) + value_of(worker.figures, name)
        for labels, value in sorted(sums.items()):
            made.add_metric(labels, value)
        return made


def _metric(name: str, family: Family, pairs: list[list[Any]]) -> Metric:
    full = f"lumilter_{name}"
    series = sorted((([_clean(label) for label in labels], value) for labels, value in pairs), key=lambda pair: pair[0])
    if family.kind == COUNTER:
        counter = CounterMetricFamily(full, family.help, labels=family.labels)
        for labels, value in series:
            counter.add_metric(labels, value)
        return counter
    if family.kind == GAUGE:
        gauge = GaugeMetricFamily(full, family.help, labels=family.labels)
        for labels, value in series:
            gauge.add_metric(labels, value)
        return gauge
    histogram = HistogramMetricFamily(full, family.help, labels=family.labels)
    for labels, (*counts, total) in series:
        histogram.add_metric(labels, _buckets(family.bounds, counts), total)
    return histogram


def _buckets(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Counts for each bound, as Prometheus wants them: of everything up to it."""
    up_to, found = 0, []
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        up_to += count
        found.append((bound, float(up_to)))
    return found


def _clean(label: str) -> str:
    """Module names are scripts' own bytes; the format is UTF-8."""
    return label.encode("utf-8", "backslashreplace").decode()
