"""state.shared: what a Redis may answer instead of doing what it was asked for, and one that is none."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lumilter.state.contract import Gauge, Series, StateError, Store
from lumilter.state.shared import Server, SharedStore
from support.redis_server import RedisServer

WORDS, CLIENTS = Series("words", "string", 3600, 3), Series("clients", "cidr", 3600, 3)
GAUGE = Gauge("gauge", 10, 3600.0)
ADDRESS = bytes([192, 0, 2, 1])


@pytest.fixture
def store(redis: RedisServer) -> Iterator[SharedStore]:
    made = SharedStore(redis.server(timeout=5))
    yield made
    made.close()


def until_added(store: SharedStore) -> int:
    limit = time.monotonic() + 60
    while True:
        try:
            return store.counters.add(b"/a", 1)
        except StateError:
            assert time.monotonic() < limit
            time.sleep(0.05)


def test_one_without_memory_is_asked_on(redis: RedisServer, store: SharedStore) -> None:
    assert store.counters.add(b"/a", 1) == 1
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(StateError, match=r"OOM|maxmemory"):
            store.counters.add(b"/a", 1)
        assert store.link.server == redis.server(timeout=5)
        client.config_set("maxmemory", 0)
    assert store.counters.add(b"/a", 1) == 2, "it is asked at once: nobody waits for it"


def test_one_that_only_reads_is_left_for_who_took_its_place(redis: RedisServer, store: SharedStore) -> None:
    assert store.counters.add(b"/a", 1) == 1
    with redis.client() as client:
        before = client.info("stats")["total_connections_received"]
        client.replicaof("127.0.0.1", 1)  # nobody: it is a replica from now on, as the name may be another's
        with pytest.raises(StateError, match="read only replica"):
            store.counters.add(b"/a", 1)
        client.replicaof("NO", "ONE")
        assert until_added(store) == 2
        assert client.info("stats")["total_connections_received"] > before, "by a new connection"


def test_a_password_that_is_asked_for_later(redis: RedisServer, store: SharedStore) -> None:
    assert store.counters.add(b"/a", 1) == 1
    with redis.client() as client:
        try:
            client.acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+secret"], keys=["*"])
            client.client_kill_filter(_type="normal", skipme=True)
            limit = time.monotonic() + 60
            with pytest.raises(StateError, match="Authentication required"):
                while time.monotonic() < limit:
                    time.sleep(0.05)
                    with pytest.raises(StateError) as refused:
                        store.counters.add(b"/a", 1)
                    if "Authentication" in str(refused.value):
                        raise refused.value
        finally:
            client.acl_setuser("default", enabled=True, nopass=True, keys=["*"])
    assert until_added(store) == 2


def test_what_is_kept_there_is_of_another_kind(redis: RedisServer, store: SharedStore) -> None:
    store.counters.add(b"/a", 1)
    store.series.add(WORDS, b"a", 1)
    with redis.client() as client:
        (words,) = (key for key in client.scan_iter() if b":s:a" in key)
        client.set(words, "nonsense")
        client.set(b"lumilter:{counters}", "nonsense")
    with pytest.raises(StateError, match=r"WRONGTYPE|wrong kind"):
        store.counters.read(b"/a")
    with pytest.raises(StateError):
        store.series.add(WORDS, b"a", 1)
    assert store.series.add(WORDS, b"b", 1) == {0: (1, 0, 0)}


@contextmanager
def answering(answer: bytes) -> Iterator[Server]:
    """A server that is none: it gives the same to every command, PING and what makes a connection excepted."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while True:
                head = self.rfile.readline()
                if not head.startswith(b"*"):
                    return
                words = []
                for _ in range(int(head[1:])):
                    words.append(self.rfile.read(int(self.rfile.readline()[1:])))
                    self.rfile.read(2)
                usual = {b"PING": b"+PONG\r\n", b"CLIENT": b"+OK\r\n", b"SCRIPT": b"$1\r\nx\r\n"}
                self.wfile.write(usual.get(words[0].upper(), answer))

    class Tcp(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            """The other end has gone."""

    with Tcp(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Server(port=server.server_address[1], timeout=5)
        server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        b"+OK\r\n",
        b"$-1\r\n",
        b"*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
        b"$3\r\n\xff\xfe\xfd\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-BUSY Redis is busy running a script\r\n",
        b"-NOSCRIPT No matching script\r\n",
        b"-ERR unknown command\r\n",
    ],
)
def test_answers_that_are_none(answer: bytes) -> None:
    with answering(answer) as server:
        store: Store = SharedStore(server)
        for ask in (
            lambda: store.series.add(CLIENTS, ADDRESS, 1),
            lambda: store.series.add(WORDS, b"a", 1),
            lambda: store.series.count(CLIENTS, ADDRESS, 24, 0, 2),
            lambda: store.series.count(CLIENTS, ADDRESS, 20, 0, 2),
            lambda: store.gauges.add(GAUGE, b"a", 1),
            lambda: store.gauges.get(GAUGE, b"a"),
            lambda: store.counters.add(b"/a", 1),
            lambda: store.counters.all(),
            lambda: store.locks.acquire(b"a", b"me", 5.0),
            lambda: store.sessions.enter(ADDRESS),
            lambda: store.sessions.present(ADDRESS, 20),
        ):
            with pytest.raises(StateError, match=r"Redis at 127\.0\.0\.1"):
                print(ask())
        store.close()
