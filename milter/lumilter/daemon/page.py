"""Pages for monitoring by HTTP: /metrics for Prometheus, /health for load balancers and the like.

The law: GET and HEAD of a few fixed paths, one answer a connection. What a client sends is neither kept nor trusted,
and who is slow is cut off.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping

from lumilter.loop import Loop, Timer
from lumilter.wire.listener import Listener

Answer = Callable[[int, str, bytes], None]
"""Status, content type, body."""
Page = Callable[[Answer], None]

_HEAD = 8192
_SECONDS = 10.0
_CLIENTS = 32
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Pages:
    """The server. pages: by path."""

    def __init__(self, loop: Loop, listener: Listener, pages: Mapping[str, Page]) -> None:
        self._loop, self._listener, self.pages = loop, listener, pages
        self._clients: set[_Client] = set()
        loop.watch(listener.socket, self._accept)

    def close(self) -> None:
        """Take no more requests; the file of a Unix socket goes."""
        self._listener.remove()
        self._loop.unwatch(self._listener.socket)
        self._listener.socket.close()

    def abandon(self) -> None:
        """In a forked process: none of this is its own."""
        self._listener.socket.close()
        for client in self._clients:
            client.socket.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.socket.accept()
        except OSError:
            return
        if len(self._clients) >= _CLIENTS:
            connection.close()
            return
        self._clients.add(_Client(self._loop, connection, self.pages, self._clients.discard))


class _Client:
    def __init__(
        self, loop: Loop, connection: socket.socket, pages: Mapping[str, Page], gone: Callable[[_Client], None]
    ) -> None:
        self._loop, self.socket, self._pages, self._gone = loop, connection, pages, gone
        self._head, self._out = b"", b""
        self._timer: Timer = loop.at(time.monotonic() + _SECONDS, self._end)
        connection.setblocking(False)
        loop.watch(connection, self._read)

    def _read(self) -> None:
        try:
            data = self.socket.recv(_HEAD)
        except OSError:
            data = b""
        self._head += data
        if not data or len(self._head) > _HEAD:
            self._end()
        elif b"\r\n\r\n" in self._head or b"\n\n" in self._head:
            self._loop.unwatch(self.socket)
            self._answer()

    def _answer(self) -> None:
        words = self._head.split(None, 3)
        method = words[0] if words else b""
        path = words[1].partition(b"?")[0].decode("latin-1") if len(words) > 2 else ""
        page = self._pages.get(path)
        if method not in (b"GET", b"HEAD"):
            self._write(405 if words else 400, "text/plain", b"GET only\n")
        elif page is None:
            self._write(404, "text/plain", ("There are: " + " ".join(sorted(self._pages)) + "\n").encode())
        else:
            page(lambda status, kind, body: self._write(status, kind, body, head=method == b"HEAD"))

    def _write(self, status: int, kind: str, body: bytes, head: bool = False) -> None:
        if self.socket.fileno() < 0:
            return
        lines = (
            f"HTTP/1.1 {status} {_REASONS[status]}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        self._out = "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else body)
        self._send()

    def _send(self) -> None:
        try:
            self._out = self._out[self.socket.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError:
            self._out = b""
        if self._out:
            self._loop.watch(self.socket, None, self._send)
        else:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            self._end()

    def _end(self) -> None:
        if self.socket.fileno() >= 0:
            self._timer.cancel()
            self._loop.unwatch(self.socket)
            self.socket.close()
            self._gone(self)
