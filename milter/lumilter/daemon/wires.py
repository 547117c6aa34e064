"""The two wires, as a worker runs them.

The law: a Wire is served and run once, in the main thread; `run` returns when the last connection has ended or was
cut.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

from lumilter.config import Config
from lumilter.daemon.engine import Engine
from lumilter.loop import Loop, Timer
from lumilter.session import verdict
from lumilter.session.events import Outcome
from lumilter.session.verdict import OnError
from lumilter.wire.content import Limits
from lumilter.wire.server import MilterServer

log = logging.getLogger("lumilter.worker")


class Wire(Protocol):
    """Connections of MTAs, served by an engine."""

    @property
    def open(self) -> int:
        """Connections at this moment."""
        ...

    def serve(self, engine: Engine, ready: Callable[[], None]) -> None:
        """Begin; ready is called when MTAs are answered."""
        ...

    def run(self) -> int:
        """Until the end; the number of connections that were cut."""
        ...

    def drain(self, until: float, last: bool) -> None:
        """Take no new connections, cut the open ones at `until` (of time.monotonic()); on the loop's thread.

        last: take what waits to be accepted first, because nobody else will.
        """
        ...


class PythonWire:
    """The milter protocol in Python, on the loop itself."""

    def __init__(self, config: Config, loop: Loop, listener: socket.socket, on_limit: Callable[[str], None]) -> None:
        self._config, self._loop, self._listener, self._on_limit = config, loop, listener, on_limit
        self._server: MilterServer
        self._engine: Engine
        self._timer: Timer | None = None
        self._until = 0.0
        self._cut = 0

    @property
    def open(self) -> int:
        return self._server.open

    def serve(self, engine: Engine, ready: Callable[[], None]) -> None:
        self._engine = engine
        self._server = MilterServer(
            self._loop,
            self._listener,
            engine,
            timeout=self._config.milter.timeout,
            max_sessions=self._config.limits.sessions,
            refuse=_too_many(self._config),
            limits=_of_a_message(self._config, self._on_limit),
        )
        ready()

    def run(self) -> int:
        self._loop.run()
        return self._cut

    def drain(self, until: float, last: bool) -> None:
        self._until = until
        if self._timer is None:
            self._server.drain(self._drained, last)
        else:
            self._timer.cancel()
        self._timer = self._loop.at(until, self._cut_all)

    def _cut_all(self) -> None:
        self._cut = self._server.cut()
        if self._cut:
            log.warning("%d connections are cut: they did not end in time", self._cut)
            self._engine.host.give_up()  # a connection has ended when its hook has

    def _drained(self) -> None:
        host = self._engine.host
        host.drive(host.teardown(self._until), lambda answer: self._loop.stop())


class LibmilterWire:
    """libmilter through pymilter: its threads hand events to the loop, which runs on a thread of its own."""

    def __init__(self, config: Config, loop: Loop, listener: socket.socket, on_limit: Callable[[str], None]) -> None:
        from lumilter.wire import drain, serve

        self._on_limit = on_limit
        self._serve, self._empty_queue = serve.serve, drain.empty_queue
        self._config, self._loop, self._listener = config, loop, listener
        self._stop_in, self._stop_out = os.pipe()
        self._engine: Engine
        self._ready: Callable[[], None]
        self._until = 0.0
        loop.start()

    @property
    def open(self) -> int:
        return len(self._engine.sessions)

    def serve(self, engine: Engine, ready: Callable[[], None]) -> None:
        self._engine, self._ready = engine, ready

    def run(self) -> int:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        cut = self._serve(
            None,
            self._engine,
            fd=self._listener.fileno(),
            timeout=self._config.milter.timeout,
            on_ready=self._ready,
            on_signal={number: functools.partial(_as_before, signal.getsignal(number)) for number in numbers},
            stop=self._stop_in,
            deadline=lambda: self._until - time.monotonic(),
            limits=_of_a_message(self._config, self._on_limit),
            max_sessions=self._config.limits.sessions,
            refuse=_too_many(self._config),
        )
        self._engine.stop(self._until)
        self._loop.stop()
        return cut

    def drain(self, until: float, last: bool) -> None:
        self._until = until
        if last:
            self._empty_queue(self._listener, until)
        os.write(self._stop_out, b"\0")


def _too_many(config: Config) -> Outcome:
    return _refused(config, config.limits.on_sessions, "too many connections")


def _of_a_message(config: Config, on_limit: Callable[[str], None]) -> Limits:
    limits = config.limits
    return Limits(
        limits.memory_body,
        limits.spool,
        limits.message_size,
        _refused(config, limits.on_message_size, "the message is too large"),
        on_limit,
        limits.headers,
        _refused(config, limits.on_headers, "the headers of the message are too large"),
        _refused(config, limits.on_spool, "there is no room for the message"),
        limits.packet,
        _refused(config, limits.on_packet, "a header of the message is too large"),
    )


def _refused(config: Config, action: str, text: str) -> Outcome:
    """Where everybody is in shadow nothing is refused."""
    return verdict.refused(OnError.ACCEPT if config.shadow.enabled else OnError(action), text)


def _as_before(handler: Any) -> None:
    """What a signal does without libmilter."""
    if callable(handler):
        handler()


def make_wire(
    config: Config, loop: Loop, listener: socket.socket, on_limit: Callable[[str], None]
) -> PythonWire | LibmilterWire:
    """The wire that [milter] wire names."""
    if config.milter.wire == "libmilter":
        return LibmilterWire(config, loop, listener, on_limit)
    return PythonWire(config, loop, listener, on_limit)
