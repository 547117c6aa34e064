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
from lumilter.state.shared.link import Argument, Link

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
        places = _places(series, item)
        return self._link.submit(
            scripts.ADD, self._base(series), self._now(), series.interval, series.windows, amount, *_flat(places)
        )

    def standing(self, series: Series, item: bytes, future: Future[Any]) -> Standing:
        """What an addition led to, once it is done. Raises StateError."""
        levels = LEVELS[0 if series.kind == "string" else len(item)]
        return self._link.wait(
            future, lambda answer: dict(zip(levels, (tuple(map(int, text.split())) for text in answer), strict=True))
        )

    def count(self, series: Series, item: bytes, bits: int, first: int, last: int) -> int:
        """See contract.SeriesStore."""
        head = (self._now(), series.interval, series.windows, first, last)
        if series.kind == "string":
            ((key, field),) = _places(series, item)
            return self._link.ask(scripts.COUNT, self._base(series), *head, key, field, "one", read=int)
        level = level_for(len(item), bits)
        key, field = _places(series, item)[LEVELS[len(item)].index(level)]
        if level == bits:
            return self._link.ask(scripts.COUNT, self._base(series), *head, key, field, "one", read=int)
        low, high = (bound[: level // 8] for bound in bounds(item, bits))
        found = self._link.ask(scripts.COUNT, self._base(series), *head, key, "", "all", read=totals)
        return clamped(sum(total for name, total in found if low <= name[1:] <= high))

    def remove(self, series: Series, item: bytes) -> None:
        """See contract.SeriesStore."""
        self._link.ask(
            scripts.REMOVE, self._base(series), self._now(), series.interval, series.windows,
            *_flat(_places(series, item)), read=int,
        )  # fmt: skip

    def items(self, series: Series, item: bytes, bits: int) -> Iterator[tuple[bytes, Sequence[int]]]:
        """See contract.SeriesStore. Goes through all keys of the server."""
        base = self._base(series)
        is_string = series.kind == "string"
        start = base + (b":s:" if is_string else b":%d:" % (8 * len(item)))
        low, high = bounds(item, bits) if not is_string else (b"", b"")
        for key in self._link.scan(_literal(start) + b"*"):
            found = self._link.ask(
                scripts.READ_ITEMS, base, self._now(), series.interval, series.windows, key[len(base) :],
                "string" if is_string else "hash", read=_windows,
            )  # fmt: skip
            for name, counts in found:
                own = key[len(start) :] if is_string else name[1:]
                if is_string or low <= own <= high:
                    yield own, counts

    def _base(self, series: Series) -> bytes:
        name = repr((series.name, series.kind, series.interval, series.windows)).encode()
        return b"%s:{%s}" % (
            self._link.server.prefix.encode(),
            hashlib.blake2b(name, digest_size=8).hexdigest().encode(),
        )


def _places(series: Series, item: bytes) -> list[tuple[bytes, bytes]]:
    """For each level the key, without what all begin with, and the field; a field is never empty."""
    if series.kind == "string":
        return [(b":s:" + item, b"")]
    return places(item)


def places(address: bytes) -> list[tuple[bytes, bytes]]:
    """The same for an address."""
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


def _flat(pairs: list[tuple[bytes, bytes]]) -> list[Argument]:
    return [part for pair in pairs for part in pair]


def _literal(text: bytes) -> bytes:
    """A text as a pattern of SCAN that it alone matches."""
    return b"".join(b"\\" + bytes([letter]) if letter in b"*?[]\\^" else bytes([letter]) for letter in text)
