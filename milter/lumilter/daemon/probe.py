"""Ask our own milter socket whether anybody answers there, as an MTA would: connect, negotiate, quit.

The law: never blocks, and answers once. A worker counts no session for it, because no client is named.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from lumilter.loop import Loop

_OFFER = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
"""Version 6, every action and every step that Postfix 3.7 offers."""
_QUIT = struct.pack("!Ic", 1, b"Q")


class Probe:
    """One attempt, within so many seconds. answer: called with "" if a worker negotiated, else with what went wrong."""

    def __init__(self, loop: Loop, listener: socket.socket, seconds: float, answer: Callable[[str], None]) -> None:
        self._loop, self._answer = loop, answer
        self._got = b""
        self._socket = socket.socket(listener.family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._timer = loop.at(time.monotonic() + seconds, lambda: self._end(f"no answer within {seconds:g} s"))
        try:
            self._socket.connect(_reachable(listener.getsockname()))
        except BlockingIOError as error:
            if listener.family == socket.AF_UNIX:  # EAGAIN: nobody takes connections any more
                self._later(f"its queue is full: {error}")
                return
        except OSError as error:
            self._later(str(error))
            return
        loop.watch(self._socket, None, self._connected)

    def abandon(self) -> None:
        """Close the descriptor and nothing else, in a process that inherited it."""
        self._socket.close()

    def _later(self, problem: str) -> None:
        self._loop.post(lambda: self._end(problem))

    def _connected(self) -> None:
        try:
            self._socket.sendall(_OFFER)
        except OSError as error:
            self._end(str(error))
        else:
            self._loop.watch(self._socket, self._readable)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(4096)
        except OSError as error:
            self._end(str(error))
            return
        self._got += data
        if not data:
            self._end("the connection was closed instead of negotiated")
        elif len(self._got) >= 5:
            negotiated = self._got[4:5] == b"O"
            if negotiated:
                self._socket.send(_QUIT)
            self._end("" if negotiated else f"expected a negotiation, got {self._got[:20]!r}")

    def _end(self, problem: str) -> None:
        if self._socket.fileno() >= 0:
            self._timer.cancel()
            self._loop.unwatch(self._socket)
            self._socket.close()
            self._answer(problem)


def _reachable(name: object) -> str | bytes | tuple[object, ...]:
    """A listener's own name as an address to connect to."""
    if isinstance(name, tuple):
        wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        return (wildcard.get(str(name[0]), name[0]), *name[1:])
    return name  # type: ignore[return-value]  # the path of a Unix socket
