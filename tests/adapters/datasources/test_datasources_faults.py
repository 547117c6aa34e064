"""Servers that are away, slow or silent, break off or talk nonsense: an error in time, and nothing is left behind."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lumilter.adapters.datasources.contract import Answer, DatasourceError, Request
from lumilter.adapters.datasources.datasource import Behaviour
from support.asking import NAME, Asked, asked
from support.mariadb import PASSWORD as MARIADB_PASSWORD
from support.mariadb import Mariadb
from support.openldap import PEOPLE, OpenLdap
from support.patience import until
from support.ports import free_port
from support.postgres import PASSWORD as POSTGRES_PASSWORD
from support.postgres import Postgres
from support.raw_server import raw_server
from support.relay import relay
from support.server_process import ServerProcess

KINDS = ["postgres", "mariadb", "openldap"]
HASTY = Behaviour(timeout=2, retry=0.2, connections=3)
TIMES = {"timeout": 2.0, "connect_timeout": 1.0, "connections": 3}

PATIENT = Behaviour(timeout=60, retry=0.2, connections=3)
LONG = {"timeout": 60.0, "connect_timeout": 30.0, "connections": 3}
"""For servers that are well: they answer in the end, however busy the machine is."""


@dataclass
class Peer:
    """A real server. uri(port): of it, or of somebody at another port. ask: what it answers with `answer`."""

    server: ServerProcess
    port: int
    uri: Callable[[int], str]
    ask: str
    answer: dict[str | int, Any]
    long: str
    """A query whose answer is long."""


@pytest.fixture(params=KINDS)
def peer(request: pytest.FixtureRequest) -> Peer:
    match request.param:
        case "postgres":
            postgres: Postgres = request.getfixturevalue("postgres_server")
            long = "select repeat('x', 1000) as x from generate_series(1, 90)"
            return Peer(
                postgres.server, postgres.port, lambda port: postgres.url(port=port), "select 1 as n", {"n": 1}, long
            )
        case "mariadb":
            mariadb: Mariadb = request.getfixturevalue("mariadb_server")
            long = "select repeat('x', 1000) as x from seq_1_to_90"
            return Peer(mariadb.server, mariadb.port, lambda port: mariadb.url(port), "select 1 as n", {"n": 1}, long)
        case _:
            ldap: OpenLdap = request.getfixturevalue("ldap_server")
            return Peer(
                ldap.server, ldap.port, lambda port: f"ldap://127.0.0.1:{port}", f"ldap:///{PEOPLE}?cn?one?(cn=ann)",
                {"cn": "ann"}, f"ldap:///{PEOPLE}??sub",
            )  # fmt: skip


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    for word in (POSTGRES_PASSWORD, MARIADB_PASSWORD, POSTGRES_PASSWORD.replace(";", "%3B")):
        assert word not in caplog.text


def failure(source: Asked, query: str, **how: Any) -> str:
    """The text of the error; it names the datasource and no password, and comes in time."""
    begun = time.monotonic()
    with pytest.raises(DatasourceError) as caught:
        source.answer(query, **how)
    assert time.monotonic() - begun < 30
    text = str(caught.value)
    assert text.startswith("ds: ")
    assert POSTGRES_PASSWORD not in text
    assert MARIADB_PASSWORD not in text
    return text


def recovers(source: Asked, peer: Peer, seconds: float = 60) -> None:
    """It answers again, before long."""
    until = time.monotonic() + seconds
    while True:
        try:
            assert source.rows(peer.ask) == [peer.answer]
            return
        except DatasourceError:
            assert time.monotonic() < until
            time.sleep(0.05)


def idle(source: Asked) -> bool:
    return bool(source.stats["busy"] == 0)


def test_a_server_that_is_away_and_comes_back(peer: Peer) -> None:
    with asked(peer.uri(peer.port), behaviour=HASTY, **TIMES) as source:
        recovers(source, peer)
        peer.server.stop()
        try:
            for _ in range(5):
                failure(source, peer.ask)
            assert not source.stats["places"][0]["up"]
        finally:
            peer.server.start()
        recovers(source, peer)
        assert source.stats["places"][0]["up"]


def test_a_server_that_restarts_between_two_queries(peer: Peer) -> None:
    with asked(peer.uri(peer.port), behaviour=PATIENT, **LONG) as source:
        assert source.rows(peer.ask) == [peer.answer]
        peer.server.stop()
        peer.server.start()
        assert source.rows(peer.ask) == [peer.answer]
        assert source.stats["places"][0]["failures"] == 0


def test_a_server_that_is_away_is_asked_once_in_a_while(peer: Peer) -> None:
    port = free_port()
    with asked(peer.uri(port), behaviour=Behaviour(retry=600)) as source:
        first = failure(source, peer.ask)
        for _ in range(200):
            assert failure(source, peer.ask).startswith(f"{first} (seen before")
        assert source.stats["places"][0]["failures"] == 1


def test_a_server_that_says_nothing(peer: Peer) -> None:
    with asked(peer.uri(peer.port), behaviour=HASTY, **TIMES) as source:
        recovers(source, peer)
        peer.server.freeze()
        try:
            for _ in range(4):
                failure(source, peer.ask, seconds=1)
            until(lambda: not source.stats["places"][0]["up"] or idle(source))
        finally:
            peer.server.thaw()
        until(lambda: idle(source))
        recovers(source, peer)


@pytest.mark.parametrize("at", [b"SET", b"elect"])
@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_server_that_falls_silent_while_a_connection_is_made(
    kind: str, at: bytes, request: pytest.FixtureRequest
) -> None:
    server: Postgres | Mariadb = request.getfixturevalue(f"{kind}_server")
    with relay(server.port) as between, asked(server.url(port=between.port), behaviour=HASTY, **TIMES) as source:
        between.mute_at = at
        for _ in range(3):
            failure(source, "select 1 as n", seconds=1)
        until(lambda: idle(source))
        between.mute_at, between.mute = b"", False
        between.hang_up()
        until(lambda: _answers(source))


def _answers(source: Asked) -> bool:
    try:
        return source.rows("select 1 as n") == [{"n": 1}]
    except DatasourceError:
        return False


def test_nobody_home_but_the_door_is_open(peer: Peer) -> None:
    """Connections are taken by the kernel, and nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with asked(peer.uri(port), behaviour=HASTY, **TIMES) as source:
            failure(source, peer.ask)
            failure(source, peer.ask, seconds=1)
            until(lambda: idle(source))


def test_an_answer_that_breaks_off(peer: Peer) -> None:
    with relay(peer.port) as between, asked(peer.uri(between.port), behaviour=HASTY, **TIMES) as source:
        recovers(source, peer)
        for length in (0, 1, 5, 20, 100, 300):
            between.cut_after = length
            between.hang_up()
            time.sleep(0.3)  # past `retry`
            failure(source, peer.long)
        between.cut_after = None
        recovers(source, peer)
        until(lambda: idle(source))


@pytest.mark.parametrize("garbage", [b"\xff" * 50_000, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_nonsense(peer: Peer, garbage: bytes) -> None:
    def talk(sock: socket.socket) -> None:
        sock.sendall(garbage)
        sock.recv(65536)
        sock.sendall(garbage)

    with raw_server(talk) as server, asked(peer.uri(server.port), behaviour=HASTY, **TIMES) as source:
        failure(source, peer.ask)
    with relay(peer.port) as between, asked(peer.uri(between.port), behaviour=HASTY, **TIMES) as source:
        recovers(source, peer)
        between.garbage = garbage
        failure(source, peer.long, seconds=3)
        between.garbage = b""
        between.hang_up()
        until(lambda: idle(source))
        recovers(source, peer)


def test_an_answer_that_trickles(peer: Peer) -> None:
    with relay(peer.port) as between, asked(peer.uri(between.port), behaviour=HASTY, **TIMES) as source:
        recovers(source, peer)
        between.trickle = 0.2
        assert "took too long" in failure(source, peer.long, seconds=2)
        between.trickle = 0
        between.hang_up()
        until(lambda: idle(source))
        recovers(source, peer)


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_statement_is_not_sent_twice(kind: str, request: pytest.FixtureRequest) -> None:
    server: Postgres | Mariadb = request.getfixturevalue(f"{kind}_server")
    with asked(server.url()) as direct, relay(server.port) as between:
        direct.execute("drop table if exists once")
        direct.execute("create table once (line varchar(20))")
        with asked(server.url(port=between.port), behaviour=PATIENT, **LONG) as source:
            source.answer("select 1")
            between.cut_at = b"insert into once"
            with pytest.raises(DatasourceError):
                source.execute("insert into once values ('x')")
            between.cut_at, between.mute = b"", False
            assert between.connections == 1
        until(lambda: bool(direct.rows("select line from once")))
        assert len(direct.rows("select line from once")) == 1


def test_more_queries_than_connections(postgres_server: Postgres) -> None:
    behaviour = Behaviour(timeout=4, connections=2)
    with asked(postgres_server.url(), behaviour=behaviour, timeout=4.0, connections=2) as source:
        futures: list[Future[Answer]] = [
            source.datasources.submit(NAME, Request(f"select pg_sleep(60), {number}"), time.monotonic() + 60)
            for number in range(40)
        ]
        until(lambda: source.stats["busy"] == 2)
        assert source.stats["queued"] <= 38
        texts = [str(future.exception(60)) for future in futures]
        assert {text.partition(" (")[0] for text in texts} <= {
            "ds: the query took too long", "ds: no connection was free in time",
        }  # fmt: skip
        assert sum("no connection" in text for text in texts) >= 30
        until(lambda: idle(source))
        assert source.rows("select 1 as n") == [{"n": 1}]


def test_a_query_that_many_want_is_asked_once(postgres_server: Postgres) -> None:
    with asked(postgres_server.url()) as source:
        request = Request("select pg_sleep(1), random() as n")
        futures = [source.datasources.submit(NAME, request, time.monotonic() + 60) for _ in range(20)]
        assert len({future.result(60).row(0)["n"] for future in futures}) == 1
        assert source.stats["pending"] == 19
        assert source.stats["misses"] == 1
        assert source.datasources.cached(NAME, request) is futures[0].result()


# --- several places ---------------------------------------------------------------------------------------------------


def numbered(directory: Path, number: int) -> str:
    uri = f"sqlite:{directory}/{number}.db"
    with asked(uri) as source:
        source.execute("create table here (n integer)")
        source.execute("insert into here values (?)", number)
    return uri


def test_failover_and_the_way_back(postgres_server: Postgres, tmp_path: Path) -> None:
    uris = [postgres_server.url(port=port) for port in (free_port(), postgres_server.port)]
    query = "select inet_server_port() as port"
    with asked(*uris, behaviour=PATIENT, **LONG) as source:
        for _ in range(5):
            assert source.rows(query) == [{"port": postgres_server.port}]
        assert [place["up"] for place in source.stats["places"]] == [False, True]
    with relay(postgres_server.port) as first, relay(postgres_server.port) as second:
        uris = [postgres_server.url(port=port) for port in (first.port, second.port)]
        with asked(*uris, behaviour=PATIENT, **LONG) as source:
            source.answer(query)
            assert (first.connections, second.connections) == (1, 0)
            first.cut_after = 0
            first.hang_up()
            source.answer(query)
            assert second.connections == 1
            first.cut_after = None
            time.sleep(0.3)  # past `retry`
            second.hang_up()
            source.answer(query)
            assert source.stats["places"][0]["up"]
            assert source.stats["places"][0]["queries"] == 2


def test_round_robin_skips_what_is_down(tmp_path: Path) -> None:
    uris = [numbered(tmp_path, number) for number in range(3)]
    with asked(*uris, behaviour=Behaviour(spread=True)) as source:
        assert [source.rows("select n from here")[0]["n"] for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    uris[1] = "sqlite:/nonexistent/x.db"
    with asked(*uris, behaviour=Behaviour(spread=True, retry=600)) as source:
        assert [source.rows("select n from here")[0]["n"] for _ in range(6)] == [0, 2, 2, 0, 2, 2]
        assert source.stats["places"][1]["failures"] == 1


def test_failover_goes_by_the_order(tmp_path: Path) -> None:
    uris = ["sqlite:/nonexistent/x.db", numbered(tmp_path, 1), numbered(tmp_path, 2)]
    with asked(*uris) as source:
        assert [source.rows("select n from here")[0]["n"] for _ in range(4)] == [1] * 4
        with pytest.raises(DatasourceError, match="no such table"):
            source.answer("select * from nowhere")  # a query's own error is no reason to ask elsewhere
        assert [place["queries"] for place in source.stats["places"]] == [0, 5, 0]


# --- nothing is left behind -------------------------------------------------------------------------------------------


def resident() -> int:
    """Kilobytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_ten_thousand_queries_and_failures_leave_nothing(postgres_server: Postgres, tmp_path: Path) -> None:
    away = postgres_server.url(port=free_port())
    quick = Behaviour(retry=0, connections=2, cache_size=50)
    with (
        raw_server(lambda sock: sock.sendall(b"nonsense")) as server,
        asked(f"sqlite:{tmp_path}/names.db", behaviour=quick) as local,
        asked(postgres_server.url(), behaviour=quick, connections=2) as remote,
        asked(away, behaviour=quick) as missing,
        asked(postgres_server.url(port=server.port), behaviour=quick) as broken,
    ):
        local.execute("create table names (line text)")

        def turn(number: int) -> None:
            source = remote if number % 10 == 0 else local
            request = Request(
                ("select ? as n", "select * from nowhere", "selec")[number % 3], {1: "x" * 500 + str(number)}
            )
            source.datasources.submit(NAME, request, time.monotonic() + 60).exception(60)
            if number % 100 == 0:
                for other in (missing, broken):
                    with pytest.raises(DatasourceError):
                        other.answer("select 1")

        for number in range(1000):
            turn(number)
        memory, open_files, threads = resident(), descriptors(), threading.active_count()
        for number in range(10_000):
            turn(number)
        assert resident() - memory < 6000
        assert descriptors() - open_files < 10
        assert threading.active_count() - threads < 5
        assert local.stats["entries"] <= 50
