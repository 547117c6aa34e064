"""The milter protocol served on the event loop, without libmilter: the listener and all its connections.

The law: everything happens on the loop's thread, and nothing blocks. The listener is shared with other processes: what
one worker does not take, another one does.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable

from lumilter.session.events import Outcome
from lumilter.wire.content import Limits
from lumilter.wire.debts import TEMPFAIL
from lumilter.wire.handler import Server
from lumilter.wire.link import Link, Loop, Timer
from lumilter.wire.refusing import Refusing

log = logging.getLogger("lumilter.wire")

_AT_ONCE = 2
"""Connections that are accepted in one turn of the loop: with many, one worker would get a burst for itself."""
_SWEEPS = 4
"""Looks at all connections within the time that an MTA may be silent."""
_PAUSE = 1.0
"""Seconds without accepting, when the process has no descriptor left."""


class MilterServer:
    """Answers MTAs from its construction on.

    listener: listening; it is made non-blocking, and closed by `drain` and `cut`. server: whoever answers; its
    conversations' `start` is called. timeout: seconds that an MTA may be silent before its connection is given up, a
    quarter more at most.

    max_sessions: connections at a time, 0 is no limit; the others are answered with `refuse`, and counted as "sessions"
    by limits.on_limit. limits: of one message.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        server: Server,
        *,
        timeout: float,
        max_sessions: int = 0,
        refuse: Outcome = TEMPFAIL,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
    ) -> None:
        self._loop = loop
        self._listener: socket.socket | None = listener
        self._server = server
        self._limits = limits
        self._max_sessions = max_sessions
        self._refusing = Refusing(refuse)
        self._links: set[Link] = set()
        self._refused: set[Link] = set()
        self._full = False
        self._on_empty: Callable[[], None] | None = None
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:  # accepted sockets inherit both
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._period = timeout / _SWEEPS
        self._sweeping: Timer = loop.at(time.monotonic() + self._period, self._sweep)
        loop.watch(listener.fileno(), self._accept)

    @property
    def open(self) -> int:
        """Connections that have not ended; one has when its conversation has answered Close."""
        return len(self._links)

    def drain(self, on_empty: Callable[[], None], last: bool = False) -> None:
        """Accept no more; on_empty is posted to the loop when the last connection has ended.

        last: accept what waits first, because no other process has the listener.
        """
        while last and self._accept_one():
            pass
        self._stop_accepting()
        self._on_empty = on_empty
        self._if_empty()

    def cut(self) -> int:
        """Accept no more and close all connections; how many there were.

        Conversations are told as if the MTAs had vanished, where an answer is outstanding after that.
        """
        self._stop_accepting()
        links = list(self._links)
        for link in links:
            link.hang_up()
        return len(links)

    # --- connections -------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        if self._listener is None:
            return False
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            log.error("no connection is accepted for %g s: %s", _PAUSE, error)
            self._loop.unwatch(self._listener.fileno())
            self._loop.at(time.monotonic() + _PAUSE, self._accept_again)
            return False
        connection.setblocking(False)
        self._take(connection)
        return True

    def _accept_again(self) -> None:
        if self._listener is not None:
            self._loop.watch(self._listener.fileno(), self._accept)

    def _take(self, connection: socket.socket) -> None:
        full = 0 < self._max_sessions <= len(self._links) - len(self._refused)
        if full and not self._full:
            log.warning("%d connections are open: more are answered without the scripts", self._max_sessions)
        self._full = full
        if not full:
            self._links.add(Link(self._loop, connection, self._server, self._limits, self._ended))
            return
        self._limits.on_limit("sessions")
        link = Link(self._loop, connection, self._refusing, self._limits, self._ended)
        self._links.add(link)
        self._refused.add(link)

    def _ended(self, link: Link) -> None:
        self._links.discard(link)
        self._refused.discard(link)
        self._if_empty()

    def _if_empty(self) -> None:
        if self._on_empty is not None and not self._links:
            self._loop.post(self._on_empty)
            self._on_empty = None

    def _stop_accepting(self) -> None:
        if self._listener is not None:
            self._loop.unwatch(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _sweep(self) -> None:
        """Give up the MTAs that have been silent for too long: one look at all now and then, no timer for each."""
        if self._listener is None and not self._links:
            return
        for link in list(self._links):
            if link.waiting:
                continue
            link.idle += 1
            if link.idle > _SWEEPS:
                log.warning("an MTA has been silent for %g s, its connection is closed", self._period * _SWEEPS)
                link.hang_up()
        self._sweeping = self._loop.at(time.monotonic() + self._period, self._sweep)
