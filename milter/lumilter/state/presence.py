"""Who is connected, and how many connections, receptions and rejections there were: what the daemon counts by itself.

The law: everything is counted on the machine and, where a shared store is configured, in that as well, which nobody
waits for. A session finds, as long as its arrival is being judged, the numbers that its own arrival made.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from lumilter.state.contract import Series, Standing
from lumilter.state.keys import LEVELS
from lumilter.state.places import MONITORS, OPEN, SESSIONS, Later, Places

CONNECTIONS, RECEPTIONS, REJECTIONS = "connections", "receptions", "rejections"


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What was counted when a session began. present: sessions there were then, it included, by prefix length.

    entered, added: the same in the shared store, on their way.
    """

    address: bytes
    present: Mapping[int, int]
    standings: Mapping[Series, Standing]
    entered: Future[Any] | None
    added: Mapping[Series, Future[Any]]


class Presence:
    """Any thread, but for what says otherwise. What counts must not fail."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._arrivals: dict[object, _Arrival] = {}

    # --- counting ----------------------------------------------------------------------------------------------------

    def arrive(self, session: object, address: bytes | None) -> None:
        """A session has begun, from that address if it has one."""
        self.depart(session)  # one that says twice that it begins is still one
        if address is None:
            return
        machine, shared = self._places.machine, self._places.shared
        nothing: dict[int, int] = {}
        present = self._places.here(lambda: machine.sessions.enter(address), nothing, OPEN)
        entered = shared.sessions.submit(address) if shared else None
        if entered is not None:
            self._places.sent(entered)
        standings, added = {}, {}
        for series in self._monitored(CONNECTIONS, address):
            standings[series], future = self._count(series, address)
            if future is not None:
                added[series] = future
        self._arrivals[session] = _Arrival(address, present, standings, entered, added)

    def depart(self, session: object) -> None:
        """A session has ended."""
        arrival = self._arrivals.pop(session, None)
        if arrival is None:
            return
        if arrival.present:
            self._places.here(lambda: self._places.machine.sessions.leave(arrival.address), None, OPEN)
        if arrival.entered is not None and self._places.shared is not None:
            self._places.shared.sessions.leave(arrival.address)

    def happened(self, session: object, event: str) -> None:
        """A message of the session was received or refused: RECEPTIONS or REJECTIONS."""
        arrival = self._arrivals.get(session)
        if arrival is not None:
            for series in self._monitored(event, arrival.address):
                self._count(series, arrival.address)

    def _count(self, series: Series, address: bytes) -> tuple[Standing, Future[Any] | None]:
        nothing: Standing = {}
        standing = self._places.here(lambda: self._places.machine.series.add(series, address, 1), nothing, OPEN)
        if self._places.shared is None:
            return standing, None
        future = self._places.shared.series.submit(series, address, 1)
        self._places.sent(future)
        return standing, future

    # --- asking ------------------------------------------------------------------------------------------------------

    def present(self, address: bytes, bits: int, cluster: bool, arriving: object = None) -> Later[int] | int:
        """Open sessions from a network. cluster: of all machines. Raises StateError.

        arriving: a session that is only just being judged finds its own place in the line: those before it, and itself.
        """
        own, places = self._arrivals.get(arriving), self._places
        if own is not None and (own.address != address or bits not in LEVELS[len(address)]):
            own = None

        def machine() -> int:
            if own is not None and own.present:
                return own.present[bits]
            return places.machine.sessions.present(address, bits)

        if places.shared is None or not (cluster or SESSIONS in places.rules.shared):
            return places.here(machine, 0)
        store = places.shared.sessions

        def shared() -> int:
            if own is not None and own.entered is not None:
                return store.place(address, own.entered)[bits]
            return store.present(address, bits)

        return Later(lambda: places.there(shared, lambda: places.here(machine, 0)))

    def audited(
        self,
        event: str,
        monitor: str,
        address: bytes,
        bits: int,
        first: int,
        last: int,
        cluster: bool,
        arriving: object,
    ) -> Later[int] | int:
        """How often something happened. event: CONNECTIONS, RECEPTIONS or REJECTIONS. Raises StateError.

        monitor: one of the configuration's; KeyError if it is none. cluster, arriving: as in `present`.
        """
        series, places = self._monitor(event, monitor, address), self._places
        own = self._arrivals.get(arriving)
        if own is not None and (own.address != address or bits not in LEVELS[len(address)]):
            own = None

        def total(standing: Standing) -> int:
            return sum(standing[bits][max(first, 0) : max(last + 1, 0)])

        def machine() -> int:
            if own is not None and own.standings.get(series):
                return total(own.standings[series])
            return places.machine.series.count(series, address, bits, first, last)

        if places.shared is None or not (cluster or MONITORS in places.rules.shared):
            return places.here(machine, 0)
        store = places.shared.series

        def shared() -> int:
            if own is not None and series in own.added:
                return total(store.standing(series, address, own.added[series]))
            return store.count(series, address, bits, first, last)

        return Later(lambda: places.there(shared, lambda: places.here(machine, 0)))

    def monitors(self, address: bytes) -> list[tuple[str, str, Series]]:
        """What is counted of an address: event, monitor, series."""
        events = (CONNECTIONS, RECEPTIONS, REJECTIONS)
        return [(e, m, self._monitor(e, m, address)) for e in events for m in self._places.rules.monitors]

    def _monitored(self, event: str, address: bytes) -> list[Series]:
        return [self._monitor(event, monitor, address) for monitor in self._places.rules.monitors]

    def _monitor(self, event: str, monitor: str, address: bytes) -> Series:
        """The running window, and as many before it as the monitor says: `show ip` in the manual lists 0 to 4 of 4."""
        seconds, windows = self._places.rules.monitors[monitor]
        kind = "cidr" if len(address) == 4 else "cidr_ipv6"
        return Series(f"audit {event}", kind, seconds, windows + 1, self._places.rules.keep_monitors)
