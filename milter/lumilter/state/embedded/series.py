"""Sliding windows in LMDB: for each item and each network around it one record with all windows.

The law: a record says itself when it has expired, so that whoever frees it needs no definition of its series.

    a <series: 6> <prefix length: 1> <the prefix's bytes>    ->    expires, newest stretch, counts from there back
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lmdb

from lumilter.state.contract import LIMIT, Series, Standing, clamped
from lumilter.state.embedded.environment import REST, Environment, records
from lumilter.state.keys import LEVELS, bounds, level_for

KIND = b"a"
HEAD = struct.Struct("<QQ")
_BATCH = 1000
"""Items that are read in one transaction where many are asked for: a long one keeps old pages from being used."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a series is kept. prefix: of its records. levels: (prefix length, what its records begin with, bytes)."""

    env: Environment
    prefix: bytes
    record: struct.Struct
    levels: tuple[tuple[int, bytes, int], ...]


class EmbeddedSeries:
    """contract.SeriesStore over two environments: one that is emptied when the daemon starts, and one that is kept."""

    def __init__(self, fleeting: Environment, kept: Environment | None, clock: Callable[[], float] = time.time) -> None:
        self._fleeting, self._kept, self._clock = fleeting, kept, clock
        self._layouts: dict[Series, _Layout] = {}

    def _layout(self, series: Series) -> _Layout:
        found = self._layouts.get(series)
        if found is None:
            name = repr((series.name, series.kind, series.interval, series.windows)).encode()
            prefix = KIND + hashlib.blake2b(name, digest_size=6).digest()
            env = self._kept if series.keep and self._kept else self._fleeting
            length = {"cidr": 4, "cidr_ipv6": 16}.get(series.kind, 0)
            levels = tuple((bits, prefix + bytes([bits]), bits // 8) for bits in LEVELS[length])
            found = self._layouts[series] = _Layout(env, prefix, struct.Struct(f"<QQ{series.windows}q"), levels)
        return found

    def add(self, series: Series, item: bytes, amount: int) -> Standing:
        """See contract.SeriesStore."""
        layout = self._layout(series)
        interval, windows = series.interval, series.windows
        running = int(self._clock()) // interval
        unpack, pack = layout.record.unpack, layout.record.pack
        is_string = series.kind == "string"
        standing: Standing = {}

        def work(txn: lmdb.Transaction) -> None:
            for bits, start, length in layout.levels:
                key = start + (item if is_string else item[:length])
                value = txn.get(key)
                if value is None:
                    layout.env.check_room()
                    newest, counts = running, [0] * windows
                else:
                    _, newest, *counts = unpack(value)
                    if newest < running:
                        newest, counts = running, _shifted(counts, running - newest)
                    elif newest >= running + windows:  # the clock was wrong when that was written
                        newest, counts = running, [0] * windows
                back = newest - running
                total = counts[back] + amount
                counts[back] = total if -LIMIT <= total <= LIMIT else clamped(total)
                txn.put(key, pack((newest + windows) * interval, newest, *counts))
                standing[bits] = tuple(counts[back:])

        layout.env.write(work)
        return standing

    def count(self, series: Series, item: bytes, bits: int, first: int, last: int) -> int:
        """See contract.SeriesStore."""
        layout = self._layout(series)
        running = int(self._clock()) // series.interval
        unpack = layout.record.unpack
        first, last = max(first, 0), min(last, series.windows - 1)

        def held(value: Any) -> int:
            _, newest, *counts = unpack(value)
            ago = newest - running  # negative: windows have passed since
            return sum(counts[max(first + ago, 0) : max(last + ago + 1, 0)])

        low = high = layout.prefix + b"\0" + item
        if series.kind != "string":
            level = level_for(len(item), bits)
            start = layout.prefix + bytes([level])
            low, high = (start + bound[: level // 8] for bound in bounds(item, bits))

        def work(txn: lmdb.Transaction) -> int:
            if low == high:
                value = txn.get(low)
                return 0 if value is None else held(value)
            return sum(held(value) for _, value in records(txn, low, high))

        return clamped(layout.env.read(work))

    def remove(self, series: Series, item: bytes) -> None:
        """See contract.SeriesStore."""
        layout = self._layout(series)
        windows, interval = series.windows, series.interval
        unpack, pack = layout.record.unpack, layout.record.pack
        is_string = series.kind == "string"
        *above, own = [(start + (item if is_string else item[:length])) for _, start, length in layout.levels]

        def work(txn: lmdb.Transaction) -> None:
            value = txn.pop(own)
            if value is None:
                return
            _, newest, *counts = unpack(value)
            for key in above:
                held = txn.get(key)
                if held is None:
                    continue
                _, their_newest, *theirs = unpack(held)
                for ago, count in enumerate(counts):
                    place = their_newest - newest + ago
                    if 0 <= place < windows:
                        theirs[place] = clamped(theirs[place] - count)
                txn.put(key, pack((their_newest + windows) * interval, their_newest, *theirs))

        layout.env.write(work)

    def items(self, series: Series, item: bytes, bits: int) -> Iterator[tuple[bytes, Sequence[int]]]:
        """See contract.SeriesStore."""
        layout = self._layout(series)
        running = int(self._clock()) // series.interval
        _, start, _ = layout.levels[-1]
        key, end = start, start + REST
        if series.kind != "string":
            key, end = (start + bound for bound in bounds(item, bits))

        def work(txn: lmdb.Transaction) -> list[tuple[bytes, bytes]]:
            return list(itertools.islice(records(txn, key, end), _BATCH))

        while True:
            page = layout.env.read(work)
            for name, value in page:
                _, newest, *counts = layout.record.unpack(value)
                ago = running - newest
                yield name[len(start) :], _shifted(counts, ago) if ago >= 0 else counts[-ago:]
            if len(page) < _BATCH:
                return
            key = page[-1][0] + b"\0"


def _shifted(counts: list[int], ago: int) -> list[int]:
    """The windows when so many stretches have passed."""
    if ago >= len(counts):
        return [0] * len(counts)
    return [0] * ago + counts[: len(counts) - ago]
