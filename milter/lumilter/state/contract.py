"""What a store of shared state does: five small protocols, and a Store that has one of each.

The law: this is the whole of what the rest of lumilter knows of a store. Every operation is atomic: whatever processes
and machines share a store, the result is one that some order of whole operations gives.

Time is Unix time in seconds, of the store's own clock. Values are whole numbers between -LIMIT and LIMIT, which a Lua
number holds exactly; a sum beyond stays at the limit. Every method may raise StateError, and then has changed nothing
or everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lumilter.errors import LumilterError

LIMIT = 2**53 - 1
MAX_WINDOWS = 4096
MAX_KEY = 400
"""Bytes of a key; what names longer ones is `keys.shortened`."""


class StateError(LumilterError):
    """A store can't do it now: it can't be reached, somebody holds it for too long, or it is full."""


def clamped(value: int) -> int:
    """The value, or the nearest that a store can hold."""
    return max(-LIMIT, min(LIMIT, value))


@dataclass(frozen=True, slots=True)
class Series:
    """A sliding window: counts of `windows` stretches of `interval` seconds each, for every item.

    kind: "cidr" (items are 4 bytes of an IPv4 address), "cidr_ipv6" (16 bytes) or "string" (any bytes up to MAX_KEY).
    Window 0 is the running one: stretches are cut at multiples of the interval since the epoch, so that every process
    and machine agrees on them. keep: it is to survive a restart of the daemon. Two definitions that differ in anything
    but `keep` are two series, even under one name.
    """

    name: str
    kind: str
    interval: int
    windows: int
    keep: bool = False

    @property
    def span(self) -> int:
        """Seconds after which an addition has left every window, at most."""
        return self.interval * self.windows


Standing = dict[int, tuple[int, ...]]
"""What an item's windows held right after an addition, the running one first, by length of the address prefix.

It has the lengths of `levels`; for a string series the one length is 0.
"""


class SeriesStore(Protocol):
    """Sliding windows."""

    def add(self, series: Series, item: bytes, amount: int) -> Standing:
        """Add to the running window of an item, and of every network that it is in.

        What is there from a time that is further ahead than all windows together is forgotten: the clock was wrong.
        """
        ...

    def count(self, series: Series, item: bytes, bits: int, first: int, last: int) -> int:
        """The sum over the windows first to last, both included, of all items whose first `bits` bits are the item's.

        String series: of the item alone, whatever bits says. Windows that the series does not have hold nothing.
        """
        ...

    def remove(self, series: Series, item: bytes) -> None:
        """Take an item out of all windows, its own and those of the networks that it is in."""
        ...

    def items(self, series: Series, item: bytes, bits: int) -> Iterator[tuple[bytes, Sequence[int]]]:
        """Items of a network (string series: all), each with its windows, the running one first. Not atomic.

        Items whose windows are all empty may be among them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Gauge:
    """A set of numbers by key, at most `most` of them, each forgotten `ttl` seconds after it was last changed."""

    name: str
    most: int
    ttl: float


class GaugeStore(Protocol):
    """Gauges. A key that is not there has the value 0."""

    def add(self, gauge: Gauge, key: bytes, amount: int) -> int:
        """Add to a key's value; the new value.

        A key that was not there is made; if there are too many then, those that were changed the longest ago go.
        """
        ...

    def get(self, gauge: Gauge, key: bytes) -> int:
        """A key's value; reading is no change."""
        ...

    def remove(self, gauge: Gauge, key: bytes) -> None:
        """Forget a key."""
        ...


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter: since: when it was made or last reset, Unix time. relaxed: how it was opened when it was made."""

    path: bytes
    value: int
    since: int
    relaxed: bool


class CounterStore(Protocol):
    """Counters by path. One that is not there has the value 0."""

    def add(self, path: bytes, amount: int, relaxed: bool = False) -> int:
        """Add to a counter, which is made if it is not there; the new value."""
        ...

    def read(self, path: bytes) -> int:
        """A counter's value."""
        ...

    def reset(self, path: bytes) -> None:
        """Make a counter 0, and make it if it is not there."""
        ...

    def unlink(self, path: bytes) -> bool:
        """Forget a counter; whether it was there."""
        ...

    def all(self) -> list[Counted]:
        """All of them, by path."""
        ...


class LockStore(Protocol):
    """Named locks, each held by one owner at most, until it is released, its lease ends or its process does."""

    def acquire(self, name: bytes, owner: bytes, lease: float) -> bool:
        """Try once to take a lock for so many seconds; whether it is the owner's now. It is not for who has it already.

        The process that takes it is the one that must live for it to be held, where a store can tell.
        """
        ...

    def release(self, name: bytes, owner: bytes) -> bool:
        """Give a lock back; False if it was not the owner's (any more)."""
        ...

    def release_all(self, owner: bytes) -> None:
        """Give back every lock that this process took for the owner."""
        ...


class SessionStore(Protocol):
    """Open sessions by the client's address (4 or 16 bytes). Those of a process that died are not counted."""

    def enter(self, address: bytes) -> dict[int, int]:
        """A session of this process has begun; how many there are now, this one included, by length of the prefix.

        It has the lengths of `levels`.
        """
        ...

    def leave(self, address: bytes) -> None:
        """A session of this process has ended."""
        ...

    def present(self, address: bytes, bits: int) -> int:
        """How many open sessions come from the network of the address's first `bits` bits."""
        ...


class Store(Protocol):
    """All of it."""

    @property
    def series(self) -> SeriesStore:
        """See SeriesStore."""
        ...

    @property
    def gauges(self) -> GaugeStore:
        """See GaugeStore."""
        ...

    @property
    def counters(self) -> CounterStore:
        """See CounterStore."""
        ...

    @property
    def locks(self) -> LockStore:
        """See LockStore."""
        ...

    @property
    def sessions(self) -> SessionStore:
        """See SessionStore."""
        ...

    def sweep(self, most: int) -> bool:
        """Take a bounded step of what needs doing now and then: looking at `most` records, free what has expired.

        Whether there is more to look at before the next round.
        """
        ...

    def close(self) -> None:
        """Give back what the process holds; its sessions and locks end."""
        ...
