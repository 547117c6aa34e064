"""The store of several machines: Redis 7, or what speaks its protocol and runs its scripts.

The law: to be opened after the fork. What waits for the server is not called on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable

from lumilter.state.shared.link import Argument, Link
from lumilter.state.shared.others import SharedCounters, SharedGauges, SharedLocks
from lumilter.state.shared.series import SharedSeries
from lumilter.state.shared.server import Server
from lumilter.state.shared.sessions import SharedSessions

__all__ = ["Server", "SharedStore"]


class SharedStore:
    """contract.Store. clock: gives Unix time in seconds; None is the server's."""

    def __init__(self, server: Server, clock: Callable[[], float] | None = None) -> None:
        def now() -> Argument:
            return "" if clock is None else int(clock() * 1e6)

        self.link = Link(server)
        self.series = SharedSeries(self.link, now)
        self.gauges = SharedGauges(self.link, now)
        self.counters = SharedCounters(self.link, now)
        self.locks = SharedLocks(self.link, now)
        self.sessions = SharedSessions(self.link, now)

    def sweep(self, most: int) -> bool:
        """See contract.Store: Redis does it."""
        return False

    def close(self) -> None:
        """See contract.Store."""
        self.sessions.end()
        self.link.close()
