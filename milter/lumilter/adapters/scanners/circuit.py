"""Which servers of a scanner are asked: one that failed several times in a row is left alone for a while.

The law: any thread; a server that is left alone is asked again by one scan at a time, and is back with its first
answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any


class Circuit:
    """One server. failures: in a row that open it, 0 never; pause: seconds until it is tried again."""

    def __init__(self, server: Any, failures: int, pause: float) -> None:
        self.server = server
        self._most, self._pause = failures, pause
        self._failed = 0
        self._open_until = 0.0
        self._trial = False

    @property
    def is_open(self) -> bool:
        """Whether the server is left alone."""
        return self._most > 0 and self._failed >= self._most

    def lets_through(self, now: float) -> bool:
        """Whether a scan may ask the server now; if it is the one that tries, nobody else may until it has ended."""
        if not self.is_open:
            return True
        if self._trial or now < self._open_until:
            return False
        self._trial = True
        return True

    def answered(self) -> None:
        """It works."""
        self._failed, self._trial = 0, False

    def failed(self, now: float) -> None:
        """It does not."""
        self._failed += 1
        self._trial = False
        if self.is_open:
            self._open_until = now + self._pause

    def given_back(self) -> None:
        """It was not asked after all, or its answer says nothing about it."""
        self._trial = False


class Circuits:
    """All servers of a scanner, asked in turn."""

    def __init__(self, servers: Sequence[Any], failures: int, pause: float) -> None:
        self._circuits = [Circuit(server, failures, pause) for server in servers]
        self._turn = 0
        self._lock = threading.Lock()

    def take(self, without: Sequence[Circuit] = ()) -> Circuit | None:
        """The next server that may be asked; None if there is none. It is to be told how that ended."""
        with self._lock:
            now, count = time.monotonic(), len(self._circuits)
            self._turn = (self._turn + 1) % count
            turn = [self._circuits[(self._turn + at) % count] for at in range(count)]
            turn.sort(key=lambda circuit: circuit.is_open)  # those that work first
            return next((c for c in turn if c not in without and c.lets_through(now)), None)

    def answered(self, circuit: Circuit) -> bool:
        """Whether it was open before."""
        with self._lock:
            was_open = circuit.is_open
            circuit.answered()
            return was_open

    def failed(self, circuit: Circuit) -> bool:
        """Whether it has just been opened."""
        with self._lock:
            was_open = circuit.is_open
            circuit.failed(time.monotonic())
            return circuit.is_open and not was_open

    def given_back(self, circuit: Circuit) -> None:
        """See Circuit.given_back."""
        with self._lock:
            circuit.given_back()

    def open(self) -> int:
        """How many servers are left alone."""
        with self._lock:
            return sum(circuit.is_open for circuit in self._circuits)

    def __len__(self) -> int:
        return len(self._circuits)
