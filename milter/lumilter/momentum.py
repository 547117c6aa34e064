"""Momentum's own table of Lua functions: the denominator of what works here.

The law: `api/momentum.csv` holds facts only, a row for each of Momentum 4's 191 rows, and is never edited to fit us.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the manual's "Lua Functions Summary"."""

    name: str
    package: str
    params: str
    version: str
    phases: str


def _read() -> tuple[Row, ...]:
    with (Path(__file__).parent / "api" / "momentum.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Row(r["name"], r["package"], r["params"], r["version"], r["phases"]) for r in csv.DictReader(file))


TABLE = _read()

REQUIRED_IN_PRACTICE = (
    "msys", "msys.adaptive_rules", "msys.datasource", "msys.extended.httpsrv", "msys.http_lua", "msys.pbp",
    "msys.policyeditor", "msys.mms", "msys.smpp", "msys.validate.dkim", "msys.validate.dkim2",
    "msys.validate.openarc", "json.so", "xml", "xml.so", "curl", "thread.so", "msys.http", "opendkim.dkim",
    "msys.sign.dk", "msys.spamc", "msys.getopt",
)  # fmt: skip
"""Packages that public policies require and the table does not name."""


@cache
def packages() -> tuple[str, ...]:
    """Every package name that `require` knows."""
    named = {row.package for row in TABLE if row.package and row.package != "package"}
    return tuple(sorted(named | set(REQUIRED_IN_PRACTICE)))
