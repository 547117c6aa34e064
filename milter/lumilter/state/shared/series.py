"""Sliding windows in Redis.

The law: as `scripts` keeps them. The networks of one length are fields of a hash for the next shorter network, so that
a sum for any length in between is in one hash; a string has a key of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from lumilter.state.contract import Series, Standing, clamped
from lumilter.state.keys import LEVELS, bounds, level_for
from lumilter.state.shared import scripts
from lumilter.state.shared.link import Link

Now = Any
"""Gives the first argument of a script: "" for the server's clock, or microseconds."""


class SharedSeries:
    """contract.SeriesStore, and additions that need not be waited for."""

    def __init__(self, link: Link, now: Now) -> None:
        self._link, self._now = link, now

    def add(self, series: Series, item: bytes, amount: int) -> Standing:
        """See contract.SeriesStore."""
        return self.standing(series, item, self.submit(series, item, amount))

    def submit(self, series: Series, item: bytes, amount: int) -> Future[Any]:
        """An addition that is on its way."""
        keys, fields = self._places(series, item)
        return self._link.submit(scripts.ADD, keys, self._now(), series.interval, series.windows, amount, *fields)

    def standing(self, series: Series, item: bytes, future: Future[Any]) -> Standing:
        """What an addition led to, once it is done. Raises StateError."""
        levels = LEVELS[0 if series.kind == "string" else len(item)]
        return self._link.wait(
            future, lambda answer: dict(zip(levels, (tuple(map(int, text.split())) for text in answer), strict=True))
        )

    def count(self, series: Series, item: bytes, bits: int, first: int, last: int) -> int:
        """See contract.SeriesStore."""
        head = (self._now(), series.interval, series.windows, first, last)
        keys, fields = self._places(series, item)
        if series.kind == "string":
            return self._link.ask(scripts.COUNT, keys, *head, *fields, "one", read=int)
        level = level_for(len(item), bits)
        at = LEVELS[len(item)].index(level)
        if level == bits:
            return self._link.ask(scripts.COUNT, [keys[at]], *head, fields[at], "one", read=int)
        low, high = (bound[: level // 8] for bound in bounds(item, bits))
        found = self._link.ask(scripts.COUNT, [keys[at]], *head, "", "all", read=totals)
        return clamped(sum(total for name, total in found if low <= name[1:] <= high))

    def remove(self, series: Series, item: bytes) -> None:
        """See contract.SeriesStore."""
        keys, fields = self._places(series, item)
        self._link.ask(scripts.REMOVE, keys, self._now(), series.interval, series.windows, *fields, read=int)

    def items(self, series: Series, item: bytes, bits: int) -> Iterator[tuple[bytes, Sequence[int]]]:
        """See contract.SeriesStore. Goes through all keys of the server."""
        base = self._base(series)
        is_string = series.kind == "string"
        start = base + (b":s:" if is_string else b":%d:" % (8 * len(item)))
        low, high = bounds(item, bits) if not is_string else (b"", b"")
        for key in self._link.scan(_literal(start) + b"*"):
            found = self._link.ask(
                scripts.READ_ITEMS, [key], self._now(), series.interval, series.windows,
                "string" if is_string else "hash", read=_windows,
            )  # fmt: skip
            for name, counts in found:
                own = key[len(start) :] if is_string else name[1:]
                if is_string or low <= own <= high:
                    yield own, counts

    def _places(self, series: Series, item: bytes) -> tuple[list[bytes], list[bytes]]:
        """For each level the key and the field; a string has a key of its own, and no field."""
        base = self._base(series)
        if series.kind == "string":
            return [base + b":s:" + item], [b""]
        keys, fields = zip(*places(item), strict=True)
        return [base + key for key in keys], [*fields]

    def _base(self, series: Series) -> bytes:
        name = repr((series.name, series.kind, series.interval, series.windows)).encode()
        return b"%s:{%s}" % (
            self._link.server.prefix.encode(),
            hashlib.blake2b(name, digest_size=8).hexdigest().encode(),
        )


def places(address: bytes) -> list[tuple[bytes, bytes]]:
    """For each level of an address the key, without what all begin with, and the field; a field is never empty."""
    levels = LEVELS[len(address)]
    return [
        (b":%d:%s" % (bits, address[: (levels[max(at - 1, 0)]) // 8].hex().encode()), b"=" + address[: bits // 8])
        for at, bits in enumerate(levels)
    ]


def pairs(answer: Any) -> list[tuple[bytes, bytes]]:
    """Of a hash in an answer, whose fields and values come one after the other."""
    if not isinstance(answer, list):
        raise TypeError("no list")
    return list(zip(answer[::2], answer[1::2], strict=True))


def totals(answer: Any) -> list[tuple[bytes, int]]:
    """The same, of numbers."""
    return [(name, int(total)) for name, total in pairs(answer)]


def _windows(answer: Any) -> list[tuple[bytes, list[int]]]:
    return [(name, [*map(int, text.split())]) for name, text in pairs(answer)]


def _literal(text: bytes) -> bytes:
    """A text as a pattern of SCAN that it alone matches."""
    return b"".join(b"\\" + bytes([letter]) if letter in b"*?[]\\^" else bytes([letter]) for letter in text)
