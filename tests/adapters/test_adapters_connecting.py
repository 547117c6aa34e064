"""adapters.connecting: the addresses of a name one after the other, and the time that all of them have together."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lumilter.adapters.connecting import connected
from lumilter.config.address import SocketAddress

ADDRESS = SocketAddress.parse("inet:25@mx.test")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def resolve(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    """Every name has these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *question: found)


@pytest.mark.parametrize("code", [errno.ETIMEDOUT, errno.ECONNREFUSED, errno.EHOSTUNREACH])
def test_the_next_address_is_tried(code: int, listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel(socket.socket):
        def connect(self, place: Any) -> None:
            if place[0] == "192.0.2.1":
                raise OSError(code, os.strerror(code))
            super().connect(place)

    resolve(monkeypatch, ("192.0.2.1", 25), listener.getsockname())
    monkeypatch.setattr(socket, "socket", Kernel)
    with connected(ADDRESS, time.monotonic() + 60) as sock:
        assert sock.getpeername() == listener.getsockname()


def test_a_silent_address_has_its_share_of_the_time(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Kernel(socket.socket):
        def connect(self, place: Any) -> None:
            waits.append(self.gettimeout() or 0.0)
            if place[0] != "127.0.0.1":
                raise TimeoutError("timed out")
            super().connect(place)

    resolve(monkeypatch, ("192.0.2.1", 25), ("192.0.2.2", 25), listener.getsockname())
    monkeypatch.setattr(socket, "socket", Kernel)
    with connected(ADDRESS, time.monotonic() + 600):
        pass
    first, second, third = waits
    assert first <= 200 < second <= 300 < third <= 600


def test_the_last_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch)
    with pytest.raises(ConnectionError, match="no address"):
        connected(ADDRESS, time.monotonic() + 60)


def test_no_address_is_tried_when_time_is_up(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, listener.getsockname(), listener.getsockname())
    with pytest.raises(TimeoutError):
        connected(ADDRESS, time.monotonic() - 1)
