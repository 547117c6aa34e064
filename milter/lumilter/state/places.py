"""The stores of a process, and what scripts get while one of them is away.

The law: the machine's store answers at once, so its work is done where it is asked for. The shared one's is a Later,
which waits on another thread. Whatever fails is said once (`outage`), and is an error to a script only by the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lumilter.state.contract import StateError, Store
from lumilter.state.memory import MemoryStore
from lumilter.state.outage import Outage

if TYPE_CHECKING:
    from lumilter.state.shared import SharedStore

T = TypeVar("T")

OPEN, ERROR = "open", "error"
SESSIONS, MONITORS, SERIES, GAUGES, COUNTERS, LOCKS = "sessions", "monitors", "series", "gauges", "counters", "locks"
"""What may be shared though no script asks for it."""


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """What the configuration says of one series; None is what it says of all."""

    on_failure: str | None = None
    shared: bool | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says. on_failure: OPEN or ERROR. shared: of SESSIONS, MONITORS, ... series: by name.

    lock_lease: seconds. monitors: interval and windows, as scripts name them: "300,6". survives: what is to persist
    does. log_dir: where series are written to files; "" is nowhere.
    """

    on_failure: str = OPEN
    shared: frozenset[str] = frozenset()
    series: Mapping[str, SeriesRule] = field(default_factory=dict)
    lock_lease: float = 60.0
    monitors: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    keep_monitors: bool = False
    survives: bool = True
    log_dir: str = ""


@dataclass(frozen=True, slots=True)
class Later(Generic[T]):
    """Something that must be waited for. run: waits, on any thread; raises StateError.

    finish: to be called on the loop's thread with what run returned and the turn in which the script goes on.
    """

    run: Callable[[], T]
    finish: Callable[[T, int], T] = lambda result, turn: result


class Places:
    """shared: None where none is configured."""

    def __init__(self, machine: Store | None = None, rules: Rules = Rules(), shared: SharedStore | None = None) -> None:
        self.machine: Store = machine or MemoryStore()
        self.shared = shared
        self.rules = rules
        self._outages = {False: Outage("the state of this machine"), True: Outage("the shared state")}

    def here(self, work: Callable[[], T], instead: T, rule: str = "") -> T:
        """What work on the machine's store returns, or what stands for it while that is away. Raises StateError."""
        return self._tried(False, work, lambda: instead, rule)

    def there(self, work: Callable[[], T], instead: Callable[[], T], rule: str = "") -> T:
        """The same for the shared store; it waits."""
        return self._tried(True, work, instead, rule)

    def _tried(self, shared: bool, work: Callable[[], T], instead: Callable[[], T], rule: str) -> T:
        try:
            result = work()
        except StateError as error:
            self._outages[shared].failed(error)
            if (rule or self.rules.on_failure) == ERROR:
                raise
            return instead()
        self._outages[shared].worked()
        return result

    def failures(self) -> tuple[int, int]:
        """Operations that failed since the process began: on the machine's store, on the shared one."""
        return self._outages[False].total, self._outages[True].total

    def sent(self, future: Any) -> None:
        """Watch over an operation of the shared store that nobody waits for."""

        def done(ended: Any) -> None:
            error = ended.exception()
            if error is None:
                self._outages[True].worked()
            else:
                self._outages[True].failed(error)

        future.add_done_callback(done)

    def close(self) -> None:
        """Give the stores back."""
        self.machine.close()
        if self.shared is not None:
            self.shared.close()
