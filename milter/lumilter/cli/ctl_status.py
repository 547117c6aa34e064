"""The answer to `lumilter ctl status` as text.

The law: shows what is there; a daemon of another version may say less or more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_COLUMNS = ("worker", "pid", "state", "generation", "sessions", "messages", "rss", "lua", "age")
_COUNTED = ("verdicts", "limits_hit", "script_errors")


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """A few lines about the daemon, a table of its workers, totals, and what went wrong."""
    now = time.time()
    stopping = ", stopping" if status.get("stopping") else ""
    yield f"lumilter {status.get('version', '?')}, pid {status.get('pid', '?')}{stopping}"
    if status.get("socket"):
        yield f"socket      {status['socket']}"
    if status.get("started"):
        yield f"started     {_since(status['started'], now)}"
    generation = f"generation  {status.get('generation', '?')}"
    yield generation + (f", serves since {_since(status['loaded'], now)}" if status.get("loaded") else "")
    reload = status.get("last_reload")
    if reload:
        problem = reload.get("problem")
        yield f"last reload {_since(reload['time'], now)}: {f'failed: {problem}' if problem else 'ok'}"
    yield ""
    yield from _table([_COLUMNS, *map(_worker, status.get("workers", ()))])
    totals = status.get("totals", {})
    if totals:
        yield ""
        names = ("sessions", "sessions_open", "messages", "log_lines_lost")
        yield "totals      " + ", ".join(f"{_number(totals[n])} {n.replace('_', ' ')}" for n in names if n in totals)
    for name in _COUNTED:
        if totals.get(name):
            yield f"{name.replace('_', ' '):<12}{_counts(totals[name])}"
    if status.get("restarts"):
        yield f"restarts    {_counts(status['restarts'])}"


def _worker(worker: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(worker.get("index", "?")),
        str(worker.get("pid", "?")),
        str(worker.get("state", "?")),
        str(worker.get("generation", "?")),
        _number(worker.get("sessions")),
        _number(worker.get("messages")),
        _size(worker.get("rss")),
        _size(worker.get("lua_memory")),
        duration(worker["age"]) if "age" in worker else "-",
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _counts(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name or '(none)'} {_number(count)}" for name, count in sorted(counts.items()))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if value != int(value) else str(int(value))


def _size(value: float | None) -> str:
    """Bytes as people read them, in powers of 1024."""
    if value is None:
        return "-"
    for unit in ("B", "K", "M"):
        if value < 1024:
            return f"{value:.0f}{unit}"
        value /= 1024
    return f"{value:.1f}G"


def duration(seconds: float) -> str:
    """Seconds as people read them: "42s", "3m05s", "5h02m", "12d03h"."""
    whole = max(0, int(seconds))
    for unit, smaller, size in (("d", "h", 86400), ("h", "m", 3600), ("m", "s", 60)):
        if whole >= size:
            parts = {"h": 3600, "m": 60, "s": 1}
            return f"{whole // size}{unit}{whole % size // parts[smaller]:02d}{smaller}"
    return f"{whole}s"


def _since(when: float, now: float) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S %z', time.localtime(when))} ({duration(now - when)} ago)"
