"""Objects between two processes: one line of JSON each, over a stream socket on a loop.

The law: never blocks. Who does not read what is written to it is cut off, so that no peer makes this process grow.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

from lumilter.loop import Loop

log = logging.getLogger(__name__)

_READ = 1 << 16
_LINE = 16 << 20
"""Bytes of one line; a snapshot of the metrics has some 50,000."""
_UNREAD = 64 << 20
"""Bytes that a peer may leave unread."""


class Channel:
    """One end. on_message: called with each object; on_end: called once, when the peer is gone or was cut off."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_message: Callable[[Channel, Any], None],
        on_end: Callable[[Channel], None],
    ) -> None:
        self._loop, self._socket = loop, sock
        self._on_message, self._on_end = on_message, on_end
        self._in, self._out = bytearray(), bytearray()
        self._closing = False
        self.open = True
        sock.setblocking(False)
        loop.watch(sock, self._read)

    def send(self, message: Any) -> None:
        """Queue an object; does nothing on a closed channel."""
        if not self.open or self._closing:
            return
        if len(self._out) > _UNREAD:
            log.warning("a peer that does not read is cut off")
            self._end()
            return
        self._out += json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"
        self._write()

    def close(self) -> None:
        """End it once everything was written; on_end is called then."""
        self._closing = True
        if self.open and not self._out:
            self._end()

    def finish(self) -> None:
        """Take what a peer said before it died, and close without another word."""
        while self.open and self._readable():
            pass
        self._out.clear()
        self.close()

    def flush(self, seconds: float) -> None:
        """Block until everything was written, for a process that ends right after."""
        if self.open and self._out:
            self._socket.settimeout(seconds)
            with contextlib.suppress(OSError):
                self._socket.sendall(self._out)
            self._out.clear()

    def abandon(self) -> None:
        """Close the descriptor and nothing else, in a process that inherited it."""
        self._socket.close()

    def _read(self) -> None:
        self._readable()

    def _readable(self) -> bool:
        """False where there was nothing to read."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._end()
            return False
        self._in += data
        if b"\n" in data:
            *lines, self._in = self._in.split(b"\n")
            for line in lines:
                self._take(line)
        elif len(self._in) > _LINE:
            self._end()
        return True

    def _take(self, line: bytearray) -> None:
        if not self.open:
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            log.warning("expected a line of JSON, got %r", bytes(line[:80]))
            self._end()
        else:
            self._on_message(self, message)

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end()
            return
        del self._out[:sent]
        if not self._out and self._closing:
            self._end()
        else:
            self._loop.watch(self._socket, self._read, self._write if self._out else None)

    def _end(self) -> None:
        if self.open:
            self.open = False
            self._loop.unwatch(self._socket)
            self._socket.close()
            self._on_end(self)
