"""HTTP requests: one answer for one request, within a time, a size and a number of redirects.

The law: any thread may ask; it blocks until the answer, at most until the deadline, and raises WebError for everything
that goes wrong after a request was accepted. What a request is made of is checked before (`http_request`); httpx and
httpcore are only imported by `http_transport`, with the first request. Nothing is remembered from one request to the
next but open connections: no cookies, no credentials.
"""

from __future__ import annotations

import contextlib
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lumilter.adapters.http_request import Head, Request, Tls, WebError

if TYPE_CHECKING:
    from lumilter.adapters.http_transport import Exchange, Sender

__all__ = ["Answer", "Exchanging", "NoWeb", "Request", "Settings", "Tls", "Web", "WebClient", "WebError"]

_SENDERS = 16
"""Kinds of connections (TLS settings, proxies) whose connections are kept."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every request is held to. timeout: seconds for one request, redirects and all; connect_timeout: for one
    connection, its TLS handshake included. max_response: bytes of a body. connections: open ones to all servers, of
    one kind; keep: seconds that an idle one is kept. ca_file: certificates that are trusted besides the system's.
    proxy: URL, "" is none; no_proxy: hosts and domains that are asked directly. deny: networks that are never
    connected to.
    """

    timeout: float = 30.0
    connect_timeout: float = 10.0
    max_response: int = 10 << 20
    max_redirects: int = 5
    connections: int = 50
    keep: float = 30.0
    ca_file: str = ""
    proxy: str = ""
    no_proxy: tuple[str, ...] = ()
    deny: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    user_agent: str = "lumilter"


@dataclass(frozen=True, slots=True)
class Answer:
    """status, reason and headers of the last response, in the order of the answer; body: the bytes as they came."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Exchanging(Protocol):
    """A request whose answer has begun. heads: of the redirects, then of the answer. most: bytes of its body."""

    heads: tuple[Head, ...]
    most: int

    def chunk(self) -> bytes:
        """The next piece of the body; empty is the end. Raises WebError."""
        ...

    def close(self) -> None:
        """Give it up; again is nothing."""
        ...


class Web(Protocol):
    """Whoever makes HTTP requests; any thread."""

    def fetch(self, request: Request, deadline: float) -> Answer:
        """The whole answer. deadline: a time.monotonic() value. Raises WebError."""
        ...

    def open(self, request: Request, deadline: float) -> Exchanging:
        """The answer once its headers are there; to be closed. Raises WebError."""
        ...

    def close(self) -> None:
        """Close the connections that nobody uses; requests after it open new ones."""
        ...


class WebClient:
    """Asks real servers. One for a worker, made after the fork."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._senders: OrderedDict[tuple[Tls, str], Sender] = OrderedDict()
        self._lock = threading.Lock()

    def fetch(self, request: Request, deadline: float) -> Answer:
        """See Web."""
        exchange = self.open(request, deadline)
        with contextlib.closing(exchange):
            body = b"".join(pieces(exchange))
        head = exchange.heads[-1]
        return Answer(head.status, head.reason, head.headers, body)

    def open(self, request: Request, deadline: float) -> Exchange:
        """See Web."""
        settings = self.settings
        seconds = settings.timeout if request.timeout is None else request.timeout
        until = min(deadline, time.monotonic() + seconds)
        proxy = self._proxy_for(request)
        return self._sender(request.tls, proxy).send(request, until)

    def load(self) -> None:
        """Make what sends ordinary requests, for which the first one would wait else."""
        self._sender(Tls(), self.settings.proxy)

    def close(self) -> None:
        """See Web."""
        with self._lock:
            senders, self._senders = list(self._senders.values()), OrderedDict()
        for sender in senders:
            sender.close()

    def _proxy_for(self, request: Request) -> str:
        if request.proxy is not None:
            return request.proxy
        host = request.host
        direct = any(
            host == name.lower() or host.endswith("." + name.lower().lstrip(".")) for name in self.settings.no_proxy
        )
        return "" if direct else self.settings.proxy

    def _sender(self, tls: Tls, proxy: str) -> Sender:
        from lumilter.adapters.http_transport import Sender

        with self._lock:
            sender = self._senders.get((tls, proxy))
            if sender is None:
                sender = self._senders[tls, proxy] = Sender(self.settings, tls, proxy)
                if len(self._senders) > _SENDERS:  # who uses it still holds it; its sockets close with it
                    self._senders.popitem(last=False)
            else:
                self._senders.move_to_end((tls, proxy))
            return sender


def pieces(exchange: Exchanging) -> Iterator[bytes]:
    """The body, piece by piece."""
    while piece := exchange.chunk():
        yield piece


@dataclass(frozen=True, slots=True)
class NoWeb:
    """Where requests are not made: why not, for the script."""

    why: str = "no HTTP requests are made here"
    refuse: Callable[[str], WebError] = field(default=lambda why: WebError("refused", why), repr=False)

    def fetch(self, request: Request, deadline: float) -> Answer:
        """See Web."""
        raise self.refuse(self.why)

    def open(self, request: Request, deadline: float) -> Exchanging:
        """See Web."""
        raise self.refuse(self.why)

    def close(self) -> None:
        """See Web."""
