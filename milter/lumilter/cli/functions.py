"""`lumilter functions`: Momentum's function table, and whether each row works here."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import asdict, dataclass

import lumilter.api  # noqa: F401  (fills the registry)
from lumilter.momentum import TABLE
from lumilter.registry import FUNCTIONS


@dataclass(frozen=True, slots=True)
class Line:
    """Momentum's five columns and ours; status is "works", "partial" or "absent"."""

    name: str
    package: str
    params: str
    version: str
    phases: str
    status: str
    note: str


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("functions", help="list Momentum's functions and what works here")
    parser.add_argument("--format", choices=("text", "csv", "json"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    found = lines()
    if options.format == "json":
        print(json.dumps([asdict(line) for line in found], indent=1))
    elif options.format == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(Line.__dataclass_fields__)
        writer.writerows(asdict(line).values() for line in found)
    else:
        width = max(len(line.name) for line in found)
        for line in found:
            print(
                f"{line.status:8}{line.name:{width + 2}}({line.params})".rstrip()
                + (f"  {line.note}" if line.note else "")
            )
        count = {status: sum(line.status == status for line in found) for status in ("works", "partial", "absent")}
        print(", ".join(f"{number} {status}" for status, number in count.items()))
    return 0


def lines() -> list[Line]:
    """Momentum's table in its order, then what lumilter has beside it."""
    table = []
    for row in TABLE:
        function = FUNCTIONS.get(row.name)
        status = "absent" if function is None else "partial" if function.partial else "works"
        note = function.partial if function else ""
        table.append(Line(row.name, row.package, row.params, row.version, row.phases, status, note))
    named = {row.name for row in TABLE}
    for function in FUNCTIONS.values():
        if function.name not in named and function.kind != "field":
            params, phases = ", ".join(map(str, function.params)), ", ".join(function.phases)
            table.append(
                Line(function.name, function.package, params, function.since, phases, "works", "not in the table")
            )
    return table
