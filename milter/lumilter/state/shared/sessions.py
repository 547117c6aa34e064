"""Open sessions in Redis: how many each process has, and sums over all of them.

The law: a process that has not been heard of for LEASE seconds is taken out of the sums by whoever asks next. One that
was taken out, or whose server has lost everything, tells of all its sessions again.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from concurrent.futures import Future
from typing import Any

from lumilter.state.keys import LEVELS, bounds, level_for
from lumilter.state.shared import scripts
from lumilter.state.shared.link import Link
from lumilter.state.shared.others import Now
from lumilter.state.shared.series import places, totals

LEASE = 15.0
_UNKNOWN = [-1]
"""The answer where the server does not know this process (any more)."""


class SharedSessions:
    """contract.SessionStore, and sessions whose beginning need not be waited for."""

    def __init__(self, link: Link, now: Now) -> None:
        self._link, self._now = link, now
        self._keys = [b"%s:{sessions}:alive" % link.server.prefix.encode()]
        self._slot = secrets.token_hex(8)
        self._own: Counter[bytes] = Counter()
        self._guard = threading.Lock()
        link.on_connect = self._again
        link.tick = self._beat
        self._again()  # the link may have connected already

    def enter(self, address: bytes) -> dict[int, int]:
        """See contract.SessionStore."""
        return self.place(address, self.submit(address))

    def submit(self, address: bytes) -> Future[Any]:
        """A beginning that is on its way."""
        with self._guard:
            self._own[address] += 1
            future = self._change(address, 1)
        future.add_done_callback(self._entered)
        return future

    def _entered(self, future: Future[Any]) -> None:
        if future.exception() is None and future.result() == _UNKNOWN:
            self._again()

    def place(self, address: bytes, future: Future[Any]) -> dict[int, int]:
        """How many sessions there were when that one began, it included. Raises StateError."""
        levels = LEVELS[len(address)]

        def read(answer: Any) -> dict[int, int]:
            return {} if answer == _UNKNOWN else dict(zip(levels, map(int, answer), strict=True))

        # Nothing: we have told of all meanwhile.
        return self._link.wait(future, read) or {bits: self.present(address, bits) for bits in levels}

    def leave(self, address: bytes) -> None:
        """See contract.SessionStore. Nobody waits for it."""
        with self._guard:
            self._own[address] -= 1
            if self._own[address] <= 0:
                del self._own[address]
            self._change(address, -1)

    def present(self, address: bytes, bits: int) -> int:
        """See contract.SessionStore."""
        level = level_for(len(address), bits)
        key, field = places(address)[LEVELS[len(address)].index(level)]
        name = b":%d%s" % (len(address), key)
        if level == bits:
            return self._link.ask(scripts.PRESENT, self._keys, self._now(), name, field, "one", read=int)
        low, high = (bound[: level // 8] for bound in bounds(address, bits))
        found = self._link.ask(scripts.PRESENT, self._keys, self._now(), name, "", "all", read=totals)
        return sum(count for one, count in found if low <= one[1:] <= high)

    def end(self) -> None:
        """This process has no sessions any more."""
        with self._guard:
            self._own.clear()
            self._link.submit(scripts.GONE, self._keys, self._now(), self._slot)

    def _change(self, address: bytes, by: int) -> Future[Any]:
        pairs = [part for key, field in places(address) for part in (b":%d%s" % (len(address), key), field)]
        return self._link.submit(scripts.ENTER, self._keys, self._now(), self._slot, by, *pairs)

    def _again(self) -> None:
        """Tell of all sessions."""
        with self._guard:
            self._link.submit(scripts.ALIVE, self._keys, self._now(), self._slot, int(LEASE * 1e6), "anew")
            for address, count in self._own.items():
                self._change(address, count)

    def _beat(self) -> None:
        """Say that this process lives. On the link's thread: the answer is not waited for."""
        future = self._link.submit(scripts.ALIVE, self._keys, self._now(), self._slot, int(LEASE * 1e6), "on")
        future.add_done_callback(self._heard)

    def _heard(self, future: Future[Any]) -> None:
        if future.exception() is None and future.result() == 0:
            self._again()
