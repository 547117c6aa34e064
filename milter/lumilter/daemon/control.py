"""The control socket: what `lumilter ctl` asks of a running daemon.

The law: a client sends one line, {"verb": "status", "args": {...}}, and reads lines until {"end": exit status}:
objects with "text" (printed as it is), "data" (for the client to show) or "error". A verb is a function that is given
the Request; it answers now or later, and nothing that a client does or fails to do holds up the supervisor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from lumilter.daemon.channel import Channel
from lumilter.loop import Loop
from lumilter.wire.listener import Listener

log = logging.getLogger("lumilter.control")

EX_USAGE = 64
_CLIENTS = 32
"""Clients at the same time; more are turned away."""


class Request:
    """One client's request. on_end: called when the client is gone, for what goes on until then (trace)."""

    def __init__(self, channel: Channel, verb: str, args: Mapping[str, Any]) -> None:
        self._channel = channel
        self.verb, self.args = verb, args
        self.on_end: Callable[[], None] = lambda: None

    def text(self, text: str) -> None:
        self._channel.send({"text": text})

    def data(self, data: Any) -> None:
        self._channel.send({"data": data})

    def end(self, status: int = 0, error: str = "") -> None:
        """The last word: an exit status, with an error message where it is not 0."""
        if error:
            self._channel.send({"error": error})
        self._channel.send({"end": status})
        self._channel.close()


Verb = Callable[[Request], None]


class Control:
    """The server. verbs: by name; otherwise: for all others."""

    def __init__(self, loop: Loop, listener: Listener, verbs: Mapping[str, Verb], otherwise: Verb) -> None:
        self._loop, self._listener, self._verbs, self._otherwise = loop, listener, verbs, otherwise
        self._clients: dict[Channel, Request | None] = {}
        loop.watch(listener.socket, self._accept)

    def close(self) -> None:
        """Take no more requests; the file goes."""
        self._listener.remove()
        self._loop.unwatch(self._listener.socket)
        self._listener.socket.close()

    def abandon(self) -> None:
        """In a forked process: none of this is its own."""
        self._listener.socket.close()
        for client in self._clients:
            client.abandon()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.socket.accept()
        except OSError:
            return
        if len(self._clients) >= _CLIENTS:
            connection.close()
            return
        self._clients[Channel(self._loop, connection, self._asked, self._gone)] = None

    def _asked(self, channel: Channel, message: Any) -> None:
        if self._clients[channel] is not None:
            return  # one request a connection
        verb = message.get("verb") if isinstance(message, dict) else None
        args = message.get("args") if isinstance(message, dict) else None
        request = self._clients[channel] = Request(channel, str(verb), args if isinstance(args, dict) else {})
        run = self._verbs.get(request.verb, self._otherwise)
        try:
            run(request)
        except Exception as error:
            log.exception("%s failed", request.verb)
            request.end(70, f"internal error: {error}")

    def _gone(self, channel: Channel) -> None:
        request = self._clients.pop(channel, None)
        if request:
            request.on_end()
