"""What a pool has done, by the manual's names: msys.threadpool.stat, and the console command `threads stats`.

The law: counts, and knows nothing of what is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LOOKUPS = "lookups"
"""The pool whose threads do what scripts wait for; no closure runs in it."""


@dataclass(slots=True)
class Totals:
    """What a pool has done. began, ended: operations; running: how many there were whenever one began, added up.

    saturated: operations that took the last place. seconds: from their begin to their end, added up.
    """

    began: int = 0
    ended: int = 0
    running: int = 0
    saturated: int = 0
    seconds: float = 0.0


def figures_text(figures: Mapping[str, Any]) -> str:
    """A pool's figures as the console command `threads stats` shows them."""
    lines = [f"{figures['name']} thread pool: concurrency {figures['num_threads']}"]
    if figures["invocations"]:
        lines += [
            f"               Total invocations: {figures['invocations']}",
            f"    Observed average concurrency: {figures['avg_concurrency']:.2f}",
            f"          Thread pool saturation: {figures['saturation']:5.2f}%",
            f"   Average wallclock time per op: {figures['avg_wallclock_time_per_op']:.2f}ms",
            f"                     Jobs queued: {figures['job_num_queued']}",
            f"                    Jobs running: {figures['job_num_running']}",
        ]
    return "\n".join(lines)


def named_figures(name: str, totals: Totals, threads: int, running: int, queued: int) -> dict[str, Any]:
    """A pool by the manual's names.

    avg_concurrency: operations at the same time, whenever one began. saturation: how many percent of them found no
    other place free. avg_wallclock_time_per_op: milliseconds. num_threads: places.
    """
    return {
        "name": name,
        "invocations": totals.began,
        "avg_concurrency": totals.running / totals.began if totals.began else 0.0,
        "saturation": 100 * totals.saturated / totals.began if totals.began else 0.0,
        "avg_wallclock_time_per_op": 1000 * totals.seconds / totals.ended if totals.ended else 0.0,
        "queue_sz": queued,
        "num_threads": threads,
        "num_active_threads": running,
        "num_inactive_threads": max(0, threads - running),
        "job_num_queued": queued,
        "job_num_running": running,
    }
