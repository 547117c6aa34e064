"""Audit series that are written to files, window by window, as `serialize` asks for.

The law: a file holds one window that is over, and gets its name when it is complete. One process of a machine writes.

    <directory>/<series>.<the window's beginning, 20260102T030405, UTC>    lines of "key,count"
"""

from __future__ import annotations

import csv
import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from lumilter.errors import LumilterError
from lumilter.state.contract import Series, SeriesStore
from lumilter.state.keys import shown

log = logging.getLogger("lumilter.state")


class Journal:
    """directory: where the files go. On a pool thread."""

    def __init__(self, directory: Path, store: SeriesStore, clock: Callable[[], float] = time.time) -> None:
        self._directory, self._store, self._clock = directory, store, clock
        self._written: dict[Series, int] = {}
        self.series: list[Series] = []

    def step(self) -> None:
        """Write the last window of each series if it has ended since the last step. Failures are logged."""
        for series in list(self.series):
            running = int(self._clock()) // series.interval
            if self._written.setdefault(series, running - 1) < running - 1:
                self._written[series] = running - 1
                try:
                    self._write(series, (running - 1) * series.interval)
                except (OSError, LumilterError) as error:
                    log.error("the audit series %s could not be written to a file: %s", series.name, error)

    def _write(self, series: Series, begun: int) -> None:
        name = f"{file_name(series.name)}.{time.strftime('%Y%m%dT%H%M%S', time.gmtime(begun))}"
        part = self._directory / f".{name}.part"
        self._directory.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            lines = csv.writer(out, lineterminator="\n")
            for item, counts in self._store.items(series, bytes(16 if series.kind == "cidr_ipv6" else 4), 0):
                if len(counts) > 1 and counts[1]:
                    lines.writerow([key_text(series, item), counts[1]])
            out.flush()
            os.fsync(out.fileno())
        part.replace(self._directory / name)


def file_name(series: str) -> str:
    """A series' name in the name of a file."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", series)[:100]


def key_text(series: Series, item: bytes) -> str:
    """An item as an operator reads it."""
    return item.decode("utf-8", "surrogateescape") if series.kind == "string" else shown(item)
