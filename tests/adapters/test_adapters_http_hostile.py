"""adapters.http: servers that hang, drip, hang up, never end, or speak something else than HTTP."""

from __future__ import annotations

import gzip
import itertools
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lumilter.adapters.http import Request, Settings, WebClient, WebError
from support.http_server import http_server
from support.raw_server import raw_server, until_headers_end

Talk = Callable[[socket.socket], None]


def answering(*pieces: bytes) -> Talk:
    """Hang up after that answer."""

    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        for piece in pieces:
            sock.sendall(piece)

    return talk


def failing(talk: Talk, kind: str, text: str = ".", method: str = "GET", **settings: float) -> int:
    """A server that makes a request fail, in time; how many connections it took."""
    with raw_server(talk) as server:
        web = WebClient(Settings(max_response=1_000_000, **settings))  # type: ignore[arg-type]
        start = time.monotonic()
        with pytest.raises(WebError, match=text) as caught:
            web.fetch(Request(method, server.url), start + 30)
        assert time.monotonic() - start < 20
        assert caught.value.kind == kind
        return server.connections


def test_hangs_after_accept() -> None:
    failing(hang, "timeout", timeout=0.3)


def hang(sock: socket.socket) -> None:
    """Until the client goes away."""
    while sock.recv(65536):
        pass


def drip(head: bytes, drop: bytes) -> Talk:
    """A byte now and then, for ever."""

    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(head)
        while True:
            sock.sendall(drop)
            time.sleep(0.05)

    return talk


def test_drips_headers() -> None:
    failing(drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"), "timeout", timeout=0.5)


def test_drips_a_body() -> None:
    failing(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", b"x"), "timeout", timeout=0.5)


def test_drips_interim_answers() -> None:
    failing(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout", timeout=0.5)


def test_reads_nothing() -> None:
    def talk(sock: socket.socket) -> None:
        time.sleep(4)

    with raw_server(talk) as server:
        request = Request("PUT", server.url, body=b"x" * 30_000_000, timeout=2)
        with pytest.raises(WebError, match="no answer in time"):
            WebClient().fetch(request, time.monotonic() + 30)


def test_hangs_up_without_an_answer() -> None:
    assert failing(answering(), "protocol", "without sending") == 2  # a GET may be sent again
    assert failing(answering(), "protocol", "without sending", method="POST") == 1


def test_a_kept_connection_that_was_closed_meanwhile() -> None:
    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        time.sleep(0.05)

    with raw_server(talk) as server:
        web = WebClient()
        for _ in range(5):
            assert web.fetch(Request("GET", server.url), time.monotonic() + 30).body == b"ok"
            time.sleep(0.01)


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhalf", b"X-Half"],
    ids=["length", "chunked", "headers"],
)
def test_drops_in_the_middle(head: bytes) -> None:
    failing(answering(b"HTTP/1.1 200 OK\r\n" + head), "protocol")


@pytest.mark.parametrize(
    "answer",
    [
        b"\0" * 1000,
        random.Random(1).randbytes(5000),
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: something\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://a\x00b/\r\n\r\n",
    ],
    ids=lambda answer: answer[-20:].hex(),
)
def test_garbage(answer: bytes) -> None:
    with raw_server(answering(answer)) as server, pytest.raises(WebError):
        WebClient().fetch(Request("GET", server.url), time.monotonic() + 30)


def test_endless_headers() -> None:
    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in itertools.count():
            sock.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))

    failing(talk, "protocol")


def test_an_endless_body() -> None:
    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    failing(talk, "size", "larger than 1000000 bytes")


def test_a_body_that_says_it_has_a_gigabyte() -> None:
    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(1 << 14):
            sock.sendall(b"x" * 65536)

    failing(talk, "size")


def test_the_body_of_a_redirect_is_not_read() -> None:
    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nTransfer-Encoding: chunked\r\n\r\n")
        hang(sock)

    assert failing(talk, "redirects", timeout=20) == 6


def test_a_compressed_body_stays_compressed() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with raw_server(answering(head, bomb)) as server:
        assert WebClient().fetch(Request("GET", server.url), time.monotonic() + 30).body == bomb


def test_a_handshake_that_hangs() -> None:
    with raw_server(hang) as server:
        request = Request("GET", f"https://127.0.0.1:{server.port}/", connect_timeout=0.3)
        with pytest.raises(WebError, match="no connection in time"):
            WebClient().fetch(request, time.monotonic() + 30)


def test_a_digest_challenge_with_an_endless_body() -> None:
    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="x", nonce="y", qop="auth"\r\n\r\n')
        while True:
            sock.sendall(b"x" * 65536)

    with raw_server(talk) as server:
        request = Request("GET", server.url, credentials=("ann", "pass"), digest=True)
        with pytest.raises(WebError, match="larger"):
            WebClient(Settings(max_response=100_000)).fetch(request, time.monotonic() + 30)


def test_nothing_is_left_behind() -> None:
    """Requests that fail in every way: no descriptor stays open, and nobody else is held up."""

    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall([b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000][next(turn) % 3])

    def left() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    turn = itertools.count()
    web = WebClient(Settings(max_response=100, timeout=5, connections=4))
    with raw_server(talk) as server, http_server() as good:
        web.fetch(Request("GET", good.url + "/path"), time.monotonic() + 30)
        before = left()
        for _ in range(100):
            with pytest.raises(WebError):
                web.fetch(Request("POST", server.url), time.monotonic() + 30)
        server.open.clear()
        assert web.fetch(Request("GET", good.url + "/path"), time.monotonic() + 30).status == 200
        deadline = time.monotonic() + 20
        while left() > (before[0] + 2, before[1] + 2):
            assert time.monotonic() < deadline
            time.sleep(0.05)
