"""bench/RESULTS.md holds the tables of bench/results.json, and nobody's hand has changed them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.side_by_side import report


def test_the_tables_are_those_of_the_last_run() -> None:
    assert report.PAGE.read_text() == report.page(json.loads(report.RESULTS.read_text()))
