"""Figures in Prometheus's text format, by the prometheus-client library.

The law: families in the order of their declaration; nothing is kept between two texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from lumilter.daemon.figures import COUNTER, FAMILIES, GAUGE, Family, Snapshot, value_of


def text(total: Snapshot, workers: Sequence[tuple[int, str, Snapshot]]) -> bytes:
    """total: everything added up. workers: index, state and figures of each."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(total, workers))
    return generate_latest(registry)


class _Collector:
    def __init__(self, total: Snapshot, workers: Sequence[tuple[int, str, Snapshot]]) -> None:
        self._total, self._workers = total, workers

    def collect(self) -> Iterator[Metric]:
        for name, family in FAMILIES.items():
            if family.each:
                yield self._of_each(name, family)
            else:
                yield _metric(name, family, self._total.get(name, []))

    def _of_each(self, name: str, family: Family) -> Metric:
        """A gauge for each worker by itself; draining ones may share an index, and are added then."""
        made = GaugeMetricFamily(f"lumilter_{name}", family.help, labels=("worker", "state"))
        sums: dict[tuple[str, str], float] = {}
        for index, state, figures in self._workers:
            if name in figures:
                key = str(index), state
                sums[key] = sums.get(key, 0) + value_of(figures, name)
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
