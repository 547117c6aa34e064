"""Milters side by side: the same small policy in lumilter, OpenDKIM, rspamd and pymilter alone, under bench/miltload.

The law: in each round every filter takes its turn, started anew, so that what else happens on the machine meets all of
them; the figures are medians of the rounds. A message that does not come back as the policy says ends the run.
`python -m bench.milter --help` has options for a part of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.side_by_side import report, versions
from bench.side_by_side.filters import FILTERS, Filter
from bench.side_by_side.process import DidNotStart, Running

BENCH = Path(__file__).parent
MILTLOAD = BENCH / "build/miltload"
CONNECTIONS = (1, 4, 16, 64)
ROUNDS, SECONDS, WARM_UP = 3, 2.0, 0.5
BUSY = 0.05
"""A process that took at least this share of the load's CPU time is a worker."""

Figures = dict[str, Any]
_last: Figures = {}


def measure(
    rounds: int = ROUNDS, seconds: float = SECONDS, filters: Sequence[Filter] = FILTERS
) -> Iterator[tuple[str, float, str]]:
    """Rate, latency, CPU time and memory of each filter; keeps the whole for write()."""
    subprocess.run(["make", "-s", "-C", BENCH], check=True)
    missing = {f"{each.name} (not installed)": None for each in filters if each.missing}
    taking_part = [each for each in filters if not each.missing]
    found: dict[Filter, list[Figures]] = defaultdict(list)
    for number in range(rounds):
        for each in list(taking_part):
            print(f"  round {number + 1} of {rounds}: {_title(each)}", file=sys.stderr)
            try:
                found[each].append(_turn(each, seconds))
            except DidNotStart as error:
                print(f"  did not start: {str(error)[-500:]}", file=sys.stderr)
                missing[f"{_title(each)} (did not start)"] = None
                taking_part.remove(each)
                found.pop(each, None)
    rows = [_median(each, turns) for each, turns in found.items()]
    _last.update(
        date=time.strftime("%Y-%m-%d"), rounds=rounds, seconds=seconds, connections=list(CONNECTIONS),
        versions=versions.found(), filters=rows, missing=list(missing),
    )  # fmt: skip
    for row in rows:
        for connections, at in row["at"].items():
            who = f"{row['name']}, {row['workers']} worker, {row['socket']}, {connections} conn."
            yield who, at["rate"], f"/s, {at['p50']:,.0f} us p50, {at['p99']:,.0f} us p99, {at['cpu']:,.0f} us CPU"
        yield f"{row['name']}, memory of a worker", row["pss"] / 2**20, f"MiB PSS, {row['rss'] / 2**20:,.1f} MiB RSS"


def write() -> None:
    """Keep what measure() found, in results.json and RESULTS.md."""
    report.write(_last)


def _turn(each: Filter, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        command, where = each.prepare(directory)
        with Running(command, where, directory / "output", each.environment) as running:
            at, started = {}, running.cpu()
            for connections in CONNECTIONS:
                _load(where, each, connections, WARM_UP)
                before = running.cpu()
                got = _load(where, each, connections, seconds)
                spent = sum(running.cpu().values()) - sum(before.values())
                at[str(connections)] = {
                    "rate": got["messages_per_second"],
                    "p50": got["latency_us"]["p50"],
                    "p99": got["latency_us"]["p99"],
                    "cpu": spent / got["messages"],
                }
            usage = running.usage()
    busy = {pid: process.cpu - started.get(pid, 0) for pid, process in usage.items()}
    limit = BUSY * sum(busy.values())
    workers = [process for pid, process in usage.items() if busy[pid] >= limit]
    return {
        "at": at,
        "rss": statistics.mean(process.rss for process in workers),
        "pss": statistics.mean(process.pss for process in workers),
        "besides": sum(process.pss for pid, process in usage.items() if busy[pid] < limit),
    }


def _load(where: str, each: Filter, connections: int, seconds: float) -> Figures:
    command = [MILTLOAD, "-v", "-c", str(connections), "-d", str(seconds), where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 330, check=False)
    if done.returncode:
        raise SystemExit(f"{_title(each)}: {done.stderr[:2000]}\n{done.stdout}")
    got: Figures = json.loads(done.stdout)
    if sum(got["edits"].values()) != each.edits * got["messages"]:
        raise SystemExit(f"{_title(each)}: expected {each.edits} edits for each message\n{done.stdout}")
    return got


def _median(each: Filter, turns: list[Figures]) -> Figures:
    at = {
        connections: {key: statistics.median(turn["at"][connections][key] for turn in turns) for key in figures}
        for connections, figures in turns[0]["at"].items()
    }
    memory = {key: statistics.median(turn[key] for turn in turns) for key in ("rss", "pss", "besides")}
    return {"name": each.name, "workers": each.workers, "socket": each.family, "at": at, **memory}


def _title(each: Filter) -> str:
    return f"{each.name}, workers {each.workers}, {each.family}"


def main() -> None:
    """A part of the measurement, by hand."""
    parser = argparse.ArgumentParser(prog="python -m bench.milter", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each cell (default: %(default)s)")
    parser.add_argument("--only", default="", help="filters whose title holds this text")
    parser.add_argument("--write", action="store_true", help="replace results.json and the tables of RESULTS.md")
    options = parser.parse_args()
    filters = [each for each in FILTERS if options.only in _title(each)]
    for what, value, unit in measure(options.rounds, options.seconds, filters):
        print(f"{what:<56} {value:>10,.1f} {unit}")
    if options.write:
        write()


if __name__ == "__main__":
    main()
