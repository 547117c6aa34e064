"""The figures that lumilter keeps of itself: what there is, declared once, and how it is counted and added up.

The law: everything about a figure is in FAMILIES. Any thread may count. A snapshot is plain JSON, and counts what
happened since the process began; counters and histograms of several processes are added, ended ones included.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Labels = tuple[str, ...]
Snapshot = dict[str, list[list[Any]]]
"""Name of a family to [labels, value] pairs; a histogram's value is its count for each bound, beyond, and the sum."""

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

MAX_SERIES = 1000
"""Of one family in one process; what is beyond is counted under OTHER, so that scripts can't make it grow."""
OTHER = "other"

_SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)


@dataclass(frozen=True, slots=True)
class Family:
    """A figure and its labels. bounds: of a histogram. each: of every worker by itself, not of all together."""

    kind: str
    help: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()
    each: bool = False


FAMILIES: Mapping[str, Family] = {
    "sessions": Family(COUNTER, "Connections of the MTA."),
    "sessions_open": Family(GAUGE, "Connections of the MTA at this moment."),
    "messages": Family(COUNTER, "Messages that were judged to their end."),
    "verdicts": Family(
        COUNTER,
        "Messages accepted, and commands and messages that were not, by the phase and module whose hook decided.",
        ("verdict", "phase", "module"),
    ),
    "replies": Family(COUNTER, "Replies that refuse or put off, by the first digit of their code.", ("class",)),
    "hook_seconds": Family(
        HISTOGRAM, "Time that a hook took from its start to its end, waits included.", ("module", "hook"), _SECONDS
    ),
    "closure_seconds": Family(
        HISTOGRAM,
        "Time that a closure took, waits included: of a timer, in a pool, the completion of one, a console command.",
        ("kind", "name", "module"),
        _SECONDS,
    ),
    "wait_seconds": Family(
        HISTOGRAM,
        "Time that scripts waited for a lookup or other work of a pool thread, the time until one was free included.",
        ("kind", "outcome"),
        _SECONDS,
    ),
    "loop_delay_seconds": Family(
        HISTOGRAM, "Time between an event being ready and the end of the loop's turn that handled it.", (), _SECONDS
    ),
    "tasks_waiting": Family(GAUGE, "Hooks that wait for something at this moment."),
    "pool_threads_busy": Family(GAUGE, "Threads that do lookups and other work of scripts at this moment."),
    "pool_queue": Family(GAUGE, "Lookups and other work that wait for a thread at this moment."),
    "script_errors": Family(COUNTER, "Hooks that failed, and closures of timers and in pools.", ("module",)),
    "slow_hooks": Family(COUNTER, "Hooks that took longer than [log] slow_hook.", ("module",)),
    "limits_hit": Family(COUNTER, "Times that a limit was reached.", ("limit",)),
    "mail": Family(COUNTER, "Recipients of mail that lumilter sent itself, by what became of it.", ("result",)),
    "mail_waiting": Family(GAUGE, "Messages in the outbox, which all workers share.", each=True),
    "dns_cache_hits": Family(COUNTER, "DNS lookups that the cache answered."),
    "dns_cache_misses": Family(COUNTER, "DNS lookups that the cache could not answer."),
    "dns_cache_entries": Family(GAUGE, "Answers in the DNS cache."),
    "scans": Family(
        COUNTER,
        "Scans by outcome: clean, infected, spam, bulk, suspect, unscannable; cached; or why there is none: down, "
        "timeout, nonsense, refused, circuit.",
        ("scanner", "outcome"),
    ),
    "scan_seconds": Family(HISTOGRAM, "Time that a scan took, all its tries.", ("scanner",), _SECONDS),
    "scanner_servers_left_alone": Family(GAUGE, "Servers of scanners that are not asked, because they failed."),
    "state_bytes": Family(GAUGE, "Pages in use of the files of [state], which all workers share.", each=True),
    "state_failures": Family(COUNTER, "Operations on the machine's shared state that failed."),
    "redis_failures": Family(COUNTER, "Operations on the state in Redis that failed."),
    "log_lines_lost": Family(COUNTER, "Log lines that could not be written."),
    "lua_memory_bytes": Family(GAUGE, "Memory of the Lua state.", each=True),
    "python_blocks": Family(GAUGE, "Blocks of memory that Python holds (sys.getallocatedblocks).", each=True),
    "resident_memory_bytes": Family(GAUGE, "Resident memory of the process.", each=True),
    "workers": Family(GAUGE, "Worker processes.", ("state",)),
    "worker_restarts": Family(COUNTER, "Workers that ended or were replaced, by reason.", ("reason",)),
    "reloads": Family(COUNTER, "Reloads of configuration and scripts.", ("result",)),
    "generation": Family(GAUGE, "Which load of configuration and scripts is running, from 1."),
    "uptime_seconds": Family(GAUGE, "Time since the daemon was started."),
    "build_info": Family(GAUGE, "Always 1.", ("version", "python")),
}
"""By name, without the prefix "lumilter_" and a counter's "_total"."""

LIMITS = (
    *("deadline", "instructions", "memory", "again"),
    *("sessions", "message_size", "headers", "spool", "packet", "lookup_timeout"),
)
"""Label values of limits_hit that are there from the start, so that the first time shows as an increase."""


class Figures:
    """What one process has counted.

    An observation was measured at 0.4 to 0.7 us, against 1.5 to 2.5 with prometheus-client's own metrics, whose way for
    several processes is a file for each.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, dict[Labels, Any]] = {name: {} for name in FAMILIES}
        self._reads: list[Callable[[], Mapping[str, float]]] = []
        for name, family in FAMILIES.items():
            if family.kind == COUNTER and not family.labels:
                self._series[name][()] = 0
        for limit in LIMITS:
            self._series["limits_hit"][limit,] = 0

    def add(self, name: str, labels: Labels = (), amount: float = 1) -> None:
        """Count something."""
        series = self._series[name]
        with self._lock:
            try:
                series[labels] += amount
            except KeyError:
                labels = _within(series, labels)
                series[labels] = series.get(labels, 0) + amount

    def observe(self, name: str, labels: Labels, value: float) -> None:
        """Put a value into a histogram."""
        series, bounds = self._series[name], FAMILIES[name].bounds
        at = bisect_left(bounds, value)
        with self._lock:
            try:
                counts = series[labels]
            except KeyError:
                counts = series.setdefault(_within(series, labels), [0] * (len(bounds) + 1) + [0.0])
            counts[at] += 1
            counts[-1] += value

    def read(self, source: Callable[[], Mapping[str, float]]) -> None:
        """Ask for figures that are kept elsewhere, names without labels to values, with each snapshot."""
        self._reads.append(source)

    def snapshot(self) -> Snapshot:
        """All of it; on the thread that the sources want, in a worker the loop's."""
        with self._lock:
            taken = {
                name: [[list(labels), list(v) if isinstance(v, list) else v] for labels, v in series.items()]
                for name, series in self._series.items()
                if series
            }
        for source in self._reads:
            for name, value in source().items():
                taken[name] = [[[], value]]
        return taken


def _within(series: Mapping[Labels, Any], labels: Labels) -> Labels:
    """The labels of a new series, if there is room for one."""
    return labels if len(series) < MAX_SERIES else (OTHER,) * len(labels)


def merge(snapshots: Iterable[Snapshot], gauges: bool = True) -> Snapshot:
    """The sum of snapshots. gauges: False leaves out what is true only while a process runs."""
    sums: dict[str, dict[Labels, Any]] = {}
    for snapshot in snapshots:
        for name, pairs in snapshot.items():
            if not gauges and FAMILIES[name].kind == GAUGE:
                continue
            series = sums.setdefault(name, {})
            for labels, value in pairs:
                key, before = tuple(labels), series.get(tuple(labels))
                if isinstance(value, list):
                    series[key] = [a + b for a, b in zip(before, value, strict=True)] if before else list(value)
                else:
                    series[key] = value if before is None else before + value
    return {name: [[list(labels), value] for labels, value in series.items()] for name, series in sums.items()}


def value_of(snapshot: Snapshot, name: str) -> float:
    """A counter or gauge, over all its labels."""
    return float(sum(value for _, value in snapshot.get(name, ())))


def by_label(snapshot: Snapshot, name: str) -> dict[str, float]:
    """A counter or gauge by its first label, without those that are 0."""
    found: dict[str, float] = {}
    for labels, value in snapshot.get(name, ()):
        with contextlib.suppress(IndexError):
            found[labels[0]] = found.get(labels[0], 0) + value
    return {label: value for label, value in found.items() if value}
