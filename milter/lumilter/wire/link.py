"""One connection's socket on the event loop: bytes to its `Protocol`, events to its conversation, answers back.

The law: one event at a time. While its answer is outstanding the socket stays watched, which costs nothing because the
MTA waits too; what comes none the less, an end included, is looked at after the answer. So a client that vanishes is
told once, after the outstanding answer. Nothing is read as long as something can't be written.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import Protocol as Interface

from lumilter.session.events import Close, EndOfMessage, Event, Outcome
from lumilter.wire.content import Limits
from lumilter.wire.debts import TEMPFAIL
from lumilter.wire.handler import Conversation, Server
from lumilter.wire.packets import PROGRESS
from lumilter.wire.protocol import Protocol

log = logging.getLogger("lumilter.wire")

_READ = 100_000
"""Bytes that are read at a time: a body chunk and what comes with it. From 128 KiB on each read maps new memory."""
_PROGRESS = 10.0
"""Seconds after which an MTA that waits for the end of its message hears that it was not forgotten."""

_AT_ONCE = 1 << 18
"""Bytes that are put together to be sent: packets are many and small, a body's are large."""
_NOTHING_SENT = memoryview(b"")
_READING, _PAUSED, _WRITING = range(3)


class Timer(Interface):
    def cancel(self) -> None: ...


class Loop(Interface):
    """The part of the event loop that the wire uses; its law is in the loop's own file."""

    def watch(
        self, what: int, readable: Callable[[], None] | None, writable: Callable[[], None] | None = None
    ) -> None: ...

    def unwatch(self, what: int) -> None: ...

    def at(self, when: float, run: Callable[[], None]) -> Timer: ...

    def post(self, item: Callable[[], None]) -> None: ...


class Link:
    """waiting: an answer is outstanding. idle: 0 whenever the MTA gives a sign of life; whoever looks adds to it."""

    __slots__ = (
        *("_ahead", "_asking", "_conversation", "_fd", "_inet", "_loop", "_mode", "_on_end", "_outcome", "_protocol"),
        *("_server", "_socket", "_steps", "_timer", "_unsent", "idle", "waiting"),
    )

    def __init__(
        self, loop: Loop, connection: socket.socket, server: Server, limits: Limits, on_end: Callable[[Link], None]
    ) -> None:
        """connection: non-blocking. on_end: called when it is closed and all has been told."""
        self._loop = loop
        self._socket = connection
        self._fd = connection.fileno()
        self._inet = connection.family != socket.AF_UNIX
        self._server = server
        self._on_end = on_end
        self._conversation: Conversation | None = None
        self._protocol = Protocol(lambda: server.needs, limits)
        self._steps = self._protocol.run()
        next(self._steps)
        self._ahead: bytes | None = None
        """What came while an answer was outstanding."""
        self._unsent = _NOTHING_SENT
        self._outcome: Outcome | None = None
        self._asking = False
        self._timer: Timer | None = None
        self.waiting = False
        self.idle = 0
        self._mode = _READING
        loop.watch(self._fd, self._readable)

    def hang_up(self) -> None:
        """Give the MTA up."""
        self._close()
        if self.waiting:
            self._ahead = b""
        else:
            self._go_on(b"")

    # --- the socket --------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ)
            if self._inet:  # not kept by the kernel. An MTA writes twice in a row, and waits with the second (Nagle)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except BlockingIOError:
            return
        except OSError:  # reset
            data = b""
        self.idle = 0
        if self.waiting:
            self._ahead = data
            self._watch(_PAUSED)
        else:
            self._go_on(data)

    def _writable(self) -> None:
        self.idle = 0
        unsent, self._unsent = self._unsent, _NOTHING_SENT
        if not (self._send(unsent) and self._flush()):
            self._ahead = b""
        elif self._unsent:
            return
        self._watch(_READING if self._ahead is None else _PAUSED)
        if self._ahead is not None and not self.waiting:
            self._go_on(self._take_ahead())

    def _flush(self) -> bool:
        """Send the protocol's output, as far as that is possible now; False where the MTA is gone."""
        output = self._protocol.output
        while output and not self._unsent:
            size, count = 0, 0
            while count < len(output) and size < _AT_ONCE:
                size += len(output[count])
                count += 1
            data = output[0] if count == 1 else b"".join(output[:count])
            del output[:count]
            if not self._send(data):
                return False
        return True

    def _send(self, data: bytes | memoryview) -> bool:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._watch(_WRITING)
        return True

    def _watch(self, mode: int) -> None:
        if mode != self._mode and self._fd >= 0:
            self._mode = mode
            readable = self._readable if mode == _READING else None
            self._loop.watch(self._fd, readable, self._writable if mode == _WRITING else None)

    def _close(self) -> None:
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            self._socket.close()
            self._fd = -1

    # --- the conversation --------------------------------------------------------------------------------------------

    def _go_on(self, given: bytes | Outcome) -> None:
        """Give the protocol what it waits for, and go on until it waits for what is not there."""
        try:
            while True:
                event = self._steps.send(given)
                if event is None:
                    if not self._flush():
                        given = b""
                    elif self._ahead is None or self._unsent:
                        return
                    else:
                        given = self._take_ahead()
                    continue
                if self._protocol.over and self._fd >= 0:
                    self._flush()
                    self._close()
                outcome = self._ask(event)
                if outcome is None:
                    if not self._flush():
                        self._ahead = b""
                        self._watch(_PAUSED)
                    return
                given = outcome
        except StopIteration:
            self._close()
            self._on_end(self)

    def _take_ahead(self) -> bytes:
        ahead, self._ahead = self._ahead, None
        if ahead:
            self._watch(_READING)
        return ahead or b""

    def _ask(self, event: Event) -> Outcome | None:
        """The outcome, None where it comes later."""
        self._outcome = None
        self._asking = True
        try:
            if self._conversation is None:
                self._conversation = self._server.open()
            self._conversation.start(event, self._answer)
        except Exception:
            log.exception("%s was not handled, the rest of this connection is tempfailed", type(event).__name__)
            self._protocol.debts.broken = True
            self._outcome = TEMPFAIL
        self._asking = False
        kind = type(event)
        if kind is Close:
            self._conversation = None
        if self._outcome is None:
            self.waiting = True
            if kind is EndOfMessage:  # the only event at which all MTAs expect it
                self._timer = self._loop.at(time.monotonic() + _PROGRESS, self._progress)
        return self._outcome

    def _answer(self, outcome: Outcome) -> None:
        if self._asking:
            self._outcome = outcome
        elif self.waiting:
            self.waiting = False
            self.idle = 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._go_on(outcome)
        else:
            log.error("an event was answered twice: %s", outcome.action)

    def _progress(self) -> None:
        self._timer = None
        if self._fd < 0 or self._ahead == b"":
            return
        if not self._unsent:
            self._protocol.output.append(PROGRESS)
            if not self._flush():
                self._ahead = b""
                self._watch(_PAUSED)
                return
        self._timer = self._loop.at(time.monotonic() + _PROGRESS, self._progress)
