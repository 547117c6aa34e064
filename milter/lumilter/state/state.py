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

    def close(self) -> None:
        """Give the stores back."""
        self.machine.close()
