"""Which worker the timers fire in that every worker has.

The law: in one worker at a time (with [timers] workers = "all": in one of each index). A new one begins when the former
has said that none of its closures runs any more, or is gone: no closure ever runs in both.

    it tells a worker            it is told
    {"timers": true}   begin     {"timers": "paused"}   none runs any more
    {"timers": false}  stop
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Worker(Protocol):
    """As daemon.workforce has it."""

    index: int
    channel: Any


@dataclass(slots=True)
class _Place:
    """Who fires the timers of a place; pausing: it was told to stop."""

    worker: Worker
    pausing: bool = False


class Timekeeper:
    """Keeps the places."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}

    @property
    def workers(self) -> list[Worker]:
        """Who fires timers now, or did until it was told to stop."""
        return [place.worker for place in self._places.values()]

    def look(self, serving: Iterable[Worker], alive: Iterable[Worker], everywhere: bool) -> None:
        """Settle who fires timers. serving: who may; alive: who still runs; everywhere: as the configuration says."""
        wanted: dict[int, list[Worker]] = {}
        for worker in sorted(serving, key=lambda each: each.index):
            wanted.setdefault(worker.index if everywhere else 0, []).append(worker)
        living = list(alive)
        for key, place in list(self._places.items()):
            if place.worker not in living:
                del self._places[key]
            elif not place.pausing and place.worker not in wanted.get(key, ()):
                place.pausing = True
                place.worker.channel.send({"timers": False})
        if any(place.pausing for place in self._places.values()):
            return
        for key in wanted.keys() - self._places.keys():
            self._places[key] = _Place(wanted[key][0])
            wanted[key][0].channel.send({"timers": True})

    def paused(self, worker: Worker) -> None:
        """A worker says that none of its timers runs any more; look again after this."""
        for key, place in list(self._places.items()):
            if place.worker is worker and place.pausing:
                del self._places[key]

    @staticmethod
    def says(message: Mapping[str, Any]) -> bool:
        """Whether a worker's message is for `paused`."""
        return message.get("timers") == "paused"
