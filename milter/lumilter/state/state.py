"""The state that scripts work with: what they have defined, in which store it is, and what they get while that is away.

The law: what a script that adds and then counts finds is its own place in the line, whoever else adds at the same time:
as long as it did not wait in between (`turn`), a count of what it has just added to is answered from the addition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from lumilter.state.contract import Gauge, Series, Standing, StateError, Store
from lumilter.state.memory import MemoryStore
from lumilter.state.outage import Outage

T = TypeVar("T")

OPEN, ERROR = "open", "error"
CONNECTIONS, RECEPTIONS, REJECTIONS = "connections", "receptions", "rejections"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says. on_failure: OPEN or ERROR, for a series by its name and for everything else.

    lock_lease: seconds. monitors: interval and windows, as scripts name them: "300,6".
    """

    on_failure: str = OPEN
    series: Mapping[str, str] = field(default_factory=dict)
    lock_lease: float = 60.0
    monitors: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    keep_monitors: bool = False


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What was counted when a session began. present: sessions there were then, it included, by prefix length."""

    address: bytes
    present: Mapping[int, int]
    standings: Mapping[Series, Standing]


@dataclass(frozen=True, slots=True)
class _Last:
    """The last addition. turn: of the script that made it."""

    turn: int
    series: Series
    item: bytes
    standing: Standing


class State:
    """On the loop's thread, but for what says otherwise."""

    def __init__(self, machine: Store | None = None, rules: Rules = Rules()) -> None:
        self.machine: Store = machine or MemoryStore()
        self.rules = rules
        self.series: dict[str, Series] = {}
        """What scripts have defined."""
        self.gauges: dict[str, Gauge] = {}
        self._outage = Outage("the state of this machine")
        self._last: _Last | None = None
        self._arrivals: dict[object, _Arrival] = {}
        self._owned: dict[bytes, set[bytes]] = {}

    # --- series ------------------------------------------------------------------------------------------------------

    def add(self, series: Series, item: bytes, amount: int, turn: int) -> None:
        """Add to the running window. turn: a number that changes whenever another script runs. Raises StateError."""
        self._last = None
        standing = self._tried(lambda: self.machine.series.add(series, item, amount), None, self._rule(series))
        if standing is not None:
            self._last = _Last(turn, series, item, standing)

    def count(self, series: Series, item: bytes, bits: int, first: int, last: int, turn: int) -> int:
        """A sum over windows. Raises StateError."""
        own = self._last
        if own is not None and own.turn == turn and own.series == series and own.item == item and bits in own.standing:
            return sum(own.standing[bits][max(first, 0) : max(last + 1, 0)])
        return self._tried(lambda: self.machine.series.count(series, item, bits, first, last), 0, self._rule(series))

    def remove(self, series: Series, item: bytes) -> None:
        """Take an item out. Raises StateError."""
        self._last = None
        self._tried(lambda: self.machine.series.remove(series, item), None, self._rule(series))

    def _rule(self, series: Series) -> str:
        return self.rules.series.get(series.name, self.rules.on_failure)

    # --- gauges and counters -----------------------------------------------------------------------------------------

    def gauge_add(self, gauge: Gauge, key: bytes, amount: int) -> int:
        """Add to a key; the new value. Raises StateError."""
        return self._tried(lambda: self.machine.gauges.add(gauge, key, amount), 0)

    def gauge_get(self, gauge: Gauge, key: bytes) -> int:
        """A key's value. Raises StateError."""
        return self._tried(lambda: self.machine.gauges.get(gauge, key), 0)

    def gauge_remove(self, gauge: Gauge, key: bytes) -> None:
        """Forget a key. Raises StateError."""
        self._tried(lambda: self.machine.gauges.remove(gauge, key), None)

    def counter_add(self, path: bytes, amount: int, relaxed: bool) -> None:
        """Add to a counter. Raises StateError."""
        self._tried(lambda: self.machine.counters.add(path, amount, relaxed), 0)

    def counter_read(self, path: bytes) -> int:
        """A counter's value. Raises StateError."""
        return self._tried(lambda: self.machine.counters.read(path), 0)

    def counter_reset(self, path: bytes) -> None:
        """Make a counter 0. Raises StateError."""
        self._tried(lambda: self.machine.counters.reset(path), None)

    def counter_unlink(self, path: bytes) -> bool:
        """Forget a counter; whether it was there. Raises StateError."""
        return self._tried(lambda: self.machine.counters.unlink(path), False)

    # --- sessions ----------------------------------------------------------------------------------------------------

    def arrive(self, session: object, address: bytes | None) -> None:
        """A session has begun, from that address if it has one. Any thread; must not fail."""
        if address is None:
            return
        nothing: dict[int, int] = {}
        present = self._counted(lambda: self.machine.sessions.enter(address), nothing)
        standings = {series: self._audited(series, address) for series in self._monitored(CONNECTIONS, address)}
        self._arrivals[session] = _Arrival(address, present, standings)

    def depart(self, session: object, owner: bytes) -> None:
        """A session has ended, and with it its locks. Any thread; must not fail."""
        arrival = self._arrivals.pop(session, None)
        if arrival is not None and arrival.present:
            self._counted(lambda: self.machine.sessions.leave(arrival.address), None)
        if owner in self._owned:
            del self._owned[owner]
            self._counted(lambda: self.machine.locks.release_all(owner), None)

    def happened(self, session: object, event: str) -> None:
        """A message of the session was received or refused: RECEPTIONS or REJECTIONS. Any thread; must not fail."""
        arrival = self._arrivals.get(session)
        if arrival is not None:
            for series in self._monitored(event, arrival.address):
                self._audited(series, arrival.address)

    def present(self, address: bytes, bits: int, arriving: object = None) -> int:
        """Open sessions from a network. Raises StateError.

        arriving: a session that is only just being judged finds its own place in the line: those before it, and itself.
        """
        own = self._arrivals.get(arriving)
        if own is not None and own.address == address and bits in own.present:
            return own.present[bits]
        return self._tried(lambda: self.machine.sessions.present(address, bits), 0)

    def audited(
        self, event: str, monitor: str, address: bytes, bits: int, first: int, last: int, arriving: object = None
    ) -> int:
        """How often something happened. event: CONNECTIONS, RECEPTIONS or REJECTIONS. Raises StateError.

        monitor: one of the configuration's; KeyError if it is none. arriving: as in `present`.
        """
        series = self._monitor(event, monitor, address)
        own = self._arrivals.get(arriving)
        standing = own.standings.get(series) if own is not None and own.address == address else None
        if standing and bits in standing:
            return sum(standing[bits][max(first, 0) : max(last + 1, 0)])
        return self._tried(lambda: self.machine.series.count(series, address, bits, first, last), 0)

    def _monitored(self, event: str, address: bytes) -> list[Series]:
        return [self._monitor(event, monitor, address) for monitor in self.rules.monitors]

    def _monitor(self, event: str, monitor: str, address: bytes) -> Series:
        seconds, windows = self.rules.monitors[monitor]
        kind = "cidr" if len(address) == 4 else "cidr_ipv6"
        return Series(f"audit {event}", kind, seconds, windows, self.rules.keep_monitors)

    def _audited(self, series: Series, address: bytes) -> Standing:
        return self._counted(lambda: self.machine.series.add(series, address, 1), {})

    # --- locks -------------------------------------------------------------------------------------------------------

    def owns(self, name: bytes, owner: bytes) -> bool:
        """Whether the owner has taken the lock, and not given it back."""
        return name in self._owned.get(owner, ())

    def acquire(self, name: bytes, owner: bytes) -> bool:
        """Try once to take a lock. Any thread. Raises StateError, whatever the rules are."""
        if not self._tried(lambda: self.machine.locks.acquire(name, owner, self.rules.lock_lease), False, ERROR):
            return False
        self._owned.setdefault(owner, set()).add(name)
        return True

    def release(self, name: bytes, owner: bytes) -> bool:
        """Give a lock back; False if the owner does not have it (any more). Raises StateError."""
        names = self._owned.get(owner, set())
        names.discard(name)
        if not names:
            self._owned.pop(owner, None)
        return self._tried(lambda: self.machine.locks.release(name, owner), False, ERROR)

    # --- failures ----------------------------------------------------------------------------------------------------

    def _tried(self, work: Callable[[], T], instead: T, rule: str = "") -> T:
        """What work returns, or what stands for it while the store is away."""
        try:
            result = work()
        except StateError as error:
            self._outage.failed(error)
            if (rule or self.rules.on_failure) == ERROR:
                raise
            return instead
        self._outage.worked()
        return result

    def _counted(self, work: Callable[[], T], instead: T) -> T:
        """The same for what no script asked for."""
        return self._tried(work, instead, OPEN)

    def close(self) -> None:
        """Give the stores back."""
        self.machine.close()
