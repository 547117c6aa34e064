"""Tables of networks with a value each; the most specific network that holds an address decides.

The law: a Table never changes, so any thread may look into it, while another one makes the next. It keeps the addresses
at which the value changes, in order, and no tree: for a million networks that is a fifth of the memory of a Patricia
trie in C, and half the time of a query; it takes twice as long to load (bench/NETWORKS.md).
"""

from __future__ import annotations

import heapq
import time
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lumilter.adapters.networks import addresses

Value = Any
"""What belongs to a network; None is a network that is excluded from the ones around it."""

_BATCH = 500
"""Networks, about a millisecond of them, between two moments in which a thread that loads a table lets others run.

Without these the others, the loop among them, would get their turn every 5 ms (sys.getswitchinterval)."""
_REST = 0.0001
"""Seconds of such a moment."""
_SORTED = 10_000
"""Networks that are sorted in one go."""


@dataclass(frozen=True, slots=True)
class Table:
    """Made by Builder. starts: first addresses of runs with one value, by family; numbers: of the runs' values."""

    starts: tuple[Sequence[int], Sequence[int]]
    numbers: tuple[Sequence[int], Sequence[int]]
    values: tuple[Value, ...]
    size: int
    """Networks that it was made of."""

    def find(self, six: bool, number: int) -> Value:
        """The value for an address (see addresses.address), None if there is none."""
        return self.values[self.numbers[six][bisect_right(self.starts[six], number) - 1]]

    def of(self, text: str) -> Value:
        """The value for an address. Raises ValueError if it is none."""
        return self.find(*addresses.address(text))


class Builder:
    """Collects networks for a Table. Of several values for one network the first counts, and None before all."""

    def __init__(self) -> None:
        self._buckets = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
        """By family and by the first two octets: packed networks."""
        self._numbers: dict[Value, int] = {None: 0}
        self.size = 0

    def add(self, six: bool, first: int, length: int, value: Value) -> None:
        """first: the first address; length: bits of the prefix."""
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self._numbers)
        # In order of addresses, then of sizes, the largest first, then as they were added.
        key = ((first << 8 | length) << 32 | self.size) << 32 | number
        self._buckets[six][first >> (112 if six else 16)].append(key)
        self.size += 1
        if self.size % _BATCH == 0:
            time.sleep(_REST)

    def add_range(self, six: bool, first: int, last: int, value: Value) -> None:
        """All addresses from first to last."""
        size = last - first + 1
        if not (size & (size - 1) or first & (size - 1)):  # it is a network, as nearly all are
            self.add(six, first, addresses.BITS[six] + 1 - size.bit_length(), value)
            return
        for begin, length in addresses.prefixes(six, first, last):
            self.add(six, begin, length, value)

    def table(self) -> Table:
        """The Table. The builder can't be used any more."""
        flat = [self._flat(six) for six in (False, True)]
        return Table((flat[0][0], flat[1][0]), (flat[0][1], flat[1][1]), tuple(self._numbers), self.size)

    def _flat(self, six: bool) -> tuple[Sequence[int], Sequence[int]]:
        bits, buckets = addresses.BITS[six], self._buckets[six]
        starts: Any = [0] if six else array("I", [0])
        numbers = array("I", [0])
        around: list[tuple[int, int]] = []  # (end, number) of the networks that hold the current address

        def change(at: int, number: int) -> None:
            if starts[-1] == at:
                numbers[-1] = number
                if len(numbers) > 1 and numbers[-2] == number:
                    starts.pop()
                    numbers.pop()
            elif numbers[-1] != number and at < 1 << bits:
                starts.append(at)
                numbers.append(number)

        def leave(until: int) -> None:
            while around and around[-1][0] <= until:
                end, _ = around.pop()
                change(end, around[-1][1] if around else 0)

        for bucket in sorted(buckets):
            last = -1
            for at, (network, number) in enumerate(_unpacked(_in_order(buckets.pop(bucket)))):
                if at % _BATCH == _BATCH - 1:
                    time.sleep(_REST)
                if network == last:  # the same once more
                    if number == 0 and around[-1][1]:
                        around[-1] = (around[-1][0], 0)
                        change(network >> 8, 0)
                    continue
                last = network
                first, length = network >> 8, network & 0xFF
                leave(first)
                change(first, number)
                around.append((first + (1 << (bits - length)), number))
        leave(1 << bits)
        return starts, numbers


def _in_order(keys: list[int]) -> Iterable[int]:
    """Sorted, but not in one go where that would take more than a few milliseconds in which no other thread runs."""
    if len(keys) <= _SORTED:
        return sorted(keys)
    parts = []
    while keys:
        parts.append(sorted(keys[-_SORTED:]))
        del keys[-_SORTED:]
        time.sleep(_REST)
    return heapq.merge(*parts)


def _unpacked(keys: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Network (first address, length) and number of its value."""
    return ((key >> 64, key & 0xFFFFFFFF) for key in keys)


EMPTY = Builder().table()
