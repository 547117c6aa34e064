"""The tables of bench/RESULTS.md, from what a run left in bench/results.json.

The law: figures come from the file alone; the prose around the two markers is written by hand and is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parents[1]
RESULTS, PAGE = BENCH / "results.json", BENCH / "RESULTS.md"
BEGIN = "<!-- Generated from results.json by `python -m bench --write milter`; edits are lost. -->"
END = "<!-- End of what is generated. -->"

Run = dict[str, Any]
"""versions, rounds, seconds, connections (a list), filters: [{name, workers, socket, at: {connections: {rate, p50, p99,
cpu}}, rss, pss, besides}], missing: [names], date. Rates in messages/s, times in us, memory in bytes."""


def write(run: Run) -> None:
    """Keep the run and renew the page's tables."""
    RESULTS.write_text(json.dumps(run, indent=1) + "\n")
    PAGE.write_text(page(run))


def page(run: Run) -> str:
    """The page as it is, with the tables of this run."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(run)}\n{END}{rest.partition(END)[2]}"


def tables(run: Run) -> str:
    """As Markdown."""
    columns = [str(number) for number in run["connections"]]

    def by_connections(cell: Callable[[Run], str]) -> str:
        rows = [[*_who(each), *(cell(each["at"][number]) for number in columns)] for each in run["filters"]]
        return _table(["filter", "workers", "socket", *columns], rows)

    memory = [
        [*_who(each), *(f"{each[key] / 2**20:.0f}" for key in ("rss", "pss", "besides"))] for each in run["filters"]
    ]
    parts = [
        f"Medians of {run['rounds']} rounds, {run['seconds']:g} s for each cell in each round, {run['date']}.",
        _table(["what", "which"], [[what, which] for what, which in run["versions"].items()]),
        "### What was aimed at, by connections",
        _table(["aim", *columns], _aims(run, columns)),
        "### Messages a second, by connections",
        by_connections(lambda at: f"{at['rate']:,.0f}"),
        "### Time of a message in ms, median / 99th percentile, by connections",
        by_connections(lambda at: f"{at['p50'] / 1e3:.2f} / {at['p99'] / 1e3:.2f}"),
        "### CPU time of the filter for a message in us, by connections",
        by_connections(lambda at: f"{at['cpu']:,.0f}"),
        "### Memory at the end in MiB: RSS and PSS of a worker, PSS of the other processes",
        _table(["filter", "workers", "socket", "RSS", "PSS", "others"], memory),
    ]
    if run["missing"]:
        parts.append(f"Not in this run: {'; '.join(run['missing'])}.")
    return "\n\n".join(parts) + "\n"


_AIMS = (
    ("at least 60 % of pymilter that answers every event", 1, "pymilter, answers every event", 1),
    (
        "at least 60 % of pymilter that answers the end only, as lumilter does here",
        1,
        "pymilter, answers the end only",
        1,
    ),
    ("more than 100 % of opendkim", 2, "opendkim", 1),
    ("more than 100 % of rspamd with two workers", 2, "rspamd", 2),
)
"""What, with how many workers; compared with whom, with how many."""


def _aims(run: Run, columns: Sequence[str]) -> list[list[str]]:
    """Rates of lumilter on a Unix socket in per cent of others', its median over inet, its memory."""
    filters = {(each["name"], each["workers"], each["socket"]): each for each in run["filters"]}
    rows = []
    for aim, workers, other, others in _AIMS:
        ours, theirs = filters.get(("lumilter, wire python", workers, "unix")), filters.get((other, others, "unix"))
        if ours and theirs:
            rates = [ours["at"][number]["rate"] / theirs["at"][number]["rate"] for number in columns]
            rows.append(
                [
                    f"lumilter with {workers} worker{'s' if workers > 1 else ''}: {aim}",
                    *(f"{rate:.0%}" for rate in rates),
                ]
            )
    inet = filters.get(("lumilter, wire python", 1, "inet"))
    if inet:
        medians = [f"{inet['at'][number]['p50'] / 1e3:.2f} ms" for number in columns]
        rows.append(["inet: no 44 ms stall in the median of one connection", *medians])
    most = max((each["rss"] for each in run["filters"] if each["name"].startswith("lumilter")), default=0)
    rows.append(
        ["under 40 MB RSS of a worker (10^6 bytes, the largest)", f"{most / 1e6:.0f} MB", *("" for _ in columns[1:])]
    )
    return rows


def _who(each: Run) -> list[str]:
    return [each["name"], str(each["workers"]), each["socket"]]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    number = [all(row[at][:1].isdigit() or not row[at] for row in rows) for at in range(len(head))]
    rule = ["---:" if each else "---" for each in number]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
