"""adapters.host_names: a name server that never answers holds up nobody beyond the deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lumilter.adapters import host_names
from lumilter.adapters.connecting import connected
from lumilter.adapters.host_names import resolved
from lumilter.adapters.http import Settings, WebClient
from lumilter.adapters.http_request import Request, WebError
from lumilter.adapters.scanners.contract import Sample, ScanError
from lumilter.config.address import SocketAddress
from support.patience import until
from support.scanners import scanner


class Silent:
    """In the place of getaddrinfo: numbers are answered at once, names when the gate opens. asked: the names."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self._own = socket.getaddrinfo

    def __call__(self, host: str, port: int, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0) -> Any:
        if flags & socket.AI_NUMERICHOST:
            return self._own(host, port, family, kind, proto, flags)
        self.asked.append(host)
        self.gate.wait(60)
        if host == "gone.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._own("127.0.0.1", port, family, kind)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    made = Silent()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.gate.set()
    until(lambda: not any(thread.name == "host-name" for thread in threading.enumerate()))


def test_the_deadline_holds(silent: Silent) -> None:
    address = SocketAddress("inet", host="slow.example", port=25)
    with pytest.raises(TimeoutError, match=r"slow\.example was not looked up in time"):
        connected(address, time.monotonic() + 0.2)


def test_a_scan_ends_in_time(silent: Silent) -> None:
    scan = scanner("rspamd", [SocketAddress("inet", host="slow.example", port=25)], timeout=0.2, retries=0)
    with pytest.raises(ScanError) as error:
        scan.scan(Sample((b"x",)), time.monotonic() + 60)
    assert error.value.word == "timeout"


def test_a_request_by_http_ends_in_time(silent: Silent) -> None:
    client = WebClient(Settings(timeout=0.3))
    with pytest.raises(WebError, match="no connection in time"):
        client.fetch(Request("GET", "http://slow.example/"), time.monotonic() + 60)
    client.close()


def test_whoever_asks_meanwhile_shares_the_look_up(silent: Silent) -> None:
    for _ in range(20):
        with pytest.raises(TimeoutError):
            resolved("slow.example", 25, socket.AF_INET, time.monotonic() + 0.01)
    assert silent.asked == ["slow.example"]
    found: list[Any] = []
    waiting = [
        threading.Thread(
            target=lambda: found.append(resolved("slow.example", 25, socket.AF_INET, time.monotonic() + 60))
        )
        for _ in range(3)
    ]
    for thread in waiting:
        thread.start()
    silent.gate.set()
    for thread in waiting:
        thread.join()
    assert [each[0][4] for each in found] == [("127.0.0.1", 25)] * 3


def test_a_silent_name_server_holds_so_many_threads(silent: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: not host_names._running)  # another test's
    monkeypatch.setattr(host_names, "_MOST", 3)
    for number in range(3):
        with pytest.raises(TimeoutError):
            resolved(f"{number}.example", 25, socket.AF_INET, time.monotonic() + 0.01)
    with pytest.raises(OSError, match=r"3\.example can't be looked up: 3 other names still are"):
        resolved("3.example", 25, socket.AF_INET, time.monotonic() + 60)
    with pytest.raises(TimeoutError):  # one of those is waited for as ever
        resolved("0.example", 25, socket.AF_INET, time.monotonic() + 0.01)
    silent.gate.set()
    until(lambda: not host_names._running)
    assert resolved("3.example", 25, socket.AF_INET, time.monotonic() + 60)
    assert sorted(silent.asked) == ["0.example", "1.example", "2.example", "3.example"]


def test_numbers_are_not_looked_up(silent: Silent) -> None:
    assert resolved("127.0.0.1", 25, socket.AF_INET, time.monotonic())[0][4] == ("127.0.0.1", 25)
    assert resolved("::1", 25, socket.AF_INET6, time.monotonic())[0][4][:2] == ("::1", 25)
    assert not silent.asked


def test_what_is_no_host(silent: Silent) -> None:
    silent.gate.set()
    with pytest.raises(socket.gaierror):
        resolved("gone.example", 25, socket.AF_INET, time.monotonic() + 60)


@pytest.mark.parametrize("name", ["a..example", "\udcff", "x" * 300])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(OSError, match=r"is no host name|not known|failure|look"):
        resolved(name, 25, socket.AF_INET, time.monotonic() + 60)


def test_without_threads(silent: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="can't start new thread"):
        patched.setattr(threading.Thread, "start", none)
        resolved("other.example", 25, socket.AF_INET, time.monotonic() + 60)
    silent.gate.set()
    assert resolved("other.example", 25, socket.AF_INET, time.monotonic() + 60)
