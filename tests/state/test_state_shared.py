"""state.shared: a real Redis 7 that processes share, that is killed, hangs and comes back; TLS, users, clusters."""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.state.contract import Gauge, Series, StateError
from lumilter.state.shared import Server, SharedStore, sessions
from state.conftest import Clock
from support.certificates import Authority
from support.patience import until
from support.postfix import free_port
from support.redis_server import RedisServer
from support.state_processes import CLIENTS, GAUGE, SHARED, count_up, each, exclude, hold, running

WORDS = Series("words", "string", 10, 3)
BRIEF = Series("brief", "cidr", 1, 2)


def works(store: SharedStore) -> bool:
    try:
        store.counters.add(b"/works", 1)
    except StateError:
        return False
    return True


@pytest.fixture
def store(redis: RedisServer) -> Iterator[SharedStore]:
    made = SharedStore(redis.server(timeout=5))
    yield made
    made.close()


def tallies(tmp_path: Path) -> int:
    return sum(file.stat().st_size for file in tmp_path.glob("tally*"))


def test_processes_lose_nothing_of_each_other(tmp_path: Path, redis: RedisServer, store: SharedStore) -> None:
    files = each(lambda number: str(tmp_path / f"tally{number}"))
    make = functools.partial(SharedStore, redis.server(timeout=10))
    with running(count_up, 3, make, files, 300, each(lambda number: number)) as processes:
        for process in processes:
            process.join(120)
            assert process.exitcode == 0
    assert store.series.count(SHARED, CLIENTS[0], 24, 0, 3) == 900
    assert sum(store.series.count(SHARED, client, 32, 0, 3) for client in CLIENTS) == 900
    assert store.gauges.get(GAUGE, b"key") == 900
    assert store.counters.read(b"/shared") == 900


def test_locks_exclude_processes(tmp_path: Path, redis: RedisServer) -> None:
    shared = tmp_path / "number"
    shared.write_text("")
    files = each(lambda number: str(tmp_path / f"tally{number}"))
    with running(exclude, 3, functools.partial(SharedStore, redis.server(timeout=10)), files, 50, str(shared)) as some:
        for process in some:
            process.join(120)
            assert process.exitcode == 0
    assert shared.read_text() == "150"


def test_a_killed_process_loses_only_what_was_on_its_way(
    tmp_path: Path, redis: RedisServer, store: SharedStore
) -> None:
    files = each(lambda number: str(tmp_path / f"tally{number}"))
    make = functools.partial(SharedStore, redis.server(timeout=10))
    with running(count_up, 2, make, files, 0, each(lambda number: number)) as processes:
        until(lambda: tallies(tmp_path) > 200)
        for process in processes:
            process.kill()
            process.join(30)
    done = tallies(tmp_path)
    assert done <= store.counters.read(b"/shared") <= done + 2
    total = store.series.count(SHARED, CLIENTS[0], 24, 0, 3)
    assert done <= total <= done + 2
    assert sum(store.series.count(SHARED, client, 32, 0, 3) for client in CLIENTS) == total


def test_a_dead_process_s_sessions_end_with_its_lease(
    tmp_path: Path, redis: RedisServer, store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LEASE", 2.0)
    address = CLIENTS[0]
    store.sessions.enter(address)
    with running(
        hold, 1, functools.partial(_with_lease, redis.server(timeout=10), 2.0), str(tmp_path / "t"), address
    ) as (process,):
        until((tmp_path / "t").exists)
        assert store.sessions.present(address, 32) == 4
        time.sleep(2.5)
        assert store.sessions.present(address, 32) == 4  # it says that it lives
        process.kill()
        process.join(30)
        until(lambda: store.sessions.present(address, 32) == 1, 30)
    assert store.sessions.present(address, 0) == 1
    assert store.sessions.enter(address)[24] == 2


def _with_lease(server: object, seconds: float) -> SharedStore:
    sessions.LEASE = seconds
    return SharedStore(server)  # type: ignore[arg-type]


def test_a_server_that_was_killed_comes_back_by_itself(redis: RedisServer, store: SharedStore) -> None:
    address = CLIENTS[0]
    store.sessions.enter(address)
    store.sessions.enter(address)
    assert store.counters.add(b"/a", 1) == 1
    redis.kill()
    with pytest.raises(StateError, match=r"Redis at 127\.0\.0\.1"):
        store.counters.add(b"/a", 1)
    begun = time.monotonic()
    for _ in range(1000):  # nobody waits for it
        with pytest.raises(StateError):
            store.counters.add(b"/a", 1)
    assert time.monotonic() - begun < 5
    store.sessions.leave(address)
    redis.start()
    until(lambda: works(store), 10)
    assert store.counters.add(b"/a", 1) == 1  # what it had is lost
    until(lambda: store.sessions.present(address, 32) == 1, 10)  # what is open is not


def test_sessions_are_counted_from_the_first_on_and_after_the_server_forgot(
    redis: RedisServer, store: SharedStore
) -> None:
    address = CLIENTS[0]
    other = SharedStore(redis.server(timeout=5))
    other.sessions.submit(address)
    assert other.sessions.present(address, 32) == 1
    with redis.client() as client:
        client.flushall()
    other.sessions.submit(address)
    until(lambda: other.sessions.present(address, 32) == 2, 20)
    assert store.sessions.present(address, 24) == 2
    other.close()
    until(lambda: store.sessions.present(address, 32) == 0, 20)


def test_a_server_that_hangs_costs_one_wait(redis: RedisServer) -> None:
    store = SharedStore(redis.server(timeout=0.5))
    store.counters.add(b"/a", 1)
    redis.signal(signal.SIGSTOP)
    begun = time.monotonic()
    for _ in range(1000):
        with pytest.raises(StateError):
            store.counters.add(b"/a", 1)
    assert time.monotonic() - begun < 20
    redis.signal(signal.SIGCONT)
    until(lambda: works(store), 10)
    store.close()


def test_under_load_a_killed_server_costs_what_was_on_its_way(redis: RedisServer) -> None:
    store = SharedStore(redis.server(timeout=5))
    done = 0
    for number in range(2000):
        if number == 1000:
            redis.kill()
            redis.start()
        try:
            value = store.counters.add(b"/a", 1)
        except StateError:
            time.sleep(0.01)
            continue
        done += 1
    assert done > 1000
    assert value <= 1000  # it began anew
    store.close()


def test_scripts_that_the_server_forgot_are_told_it_again(redis: RedisServer, store: SharedStore) -> None:
    assert store.counters.add(b"/a", 1) == 1
    with redis.client() as client:
        client.script_flush()
    assert store.counters.add(b"/a", 1) == 2
    assert store.counters.read(b"/a") == 2


def test_redis_forgets_what_has_expired(redis: RedisServer, store: SharedStore) -> None:
    with redis.client() as client:
        store.series.add(BRIEF, CLIENTS[0], 1)
        store.series.add(Series("brief words", "string", 1, 2), b"a", 1)
        store.gauges.add(Gauge("brief", 3, 1.0), b"a", 1)
        assert store.locks.acquire(b"brief", b"me", 1.0)

        def there() -> list[bytes]:
            return [key for key in client.scan_iter() if b"{sessions}" not in key]

        assert len(there()) == 5 + 1 + 3 + 1
        until(lambda: not there(), 20)


def test_clients_that_have_gone_leave_a_busy_network(redis: RedisServer, clock: Clock) -> None:
    store = SharedStore(redis.server(timeout=10), clock)
    series = Series("v6", "cidr_ipv6", 10, 2)
    prefix = bytes.fromhex("20010db8000000000000000000")
    for number in range(3000):
        store.series.submit(series, prefix + number.to_bytes(3), 1)
        if number % 100 == 0:
            clock.now += 10
    assert store.series.count(series, prefix + (0).to_bytes(3), 64, 0, 1) == 199
    with redis.client() as client:
        (key,) = client.keys("*:128:*")
        assert client.hlen(key) < 1500
    store.close()


def test_users_and_passwords(tmp_path: Path) -> None:
    rules = "user lumilter on >secret ~lumilter:* +@all -@dangerous"
    acl = tmp_path / "users.acl"
    acl.write_text(f"user default off\n{rules}\n")
    with RedisServer(tmp_path / "redis", "--aclfile", str(acl), user="lumilter", password="secret") as server:
        store = SharedStore(server.server())
        assert store.counters.add(b"/a", 1) == 1
        assert store.series.add(WORDS, b"a", 1) == {0: (1, 0, 0)}
        store.close()
        store = SharedStore(server.server(password="wrong"))
        with pytest.raises(StateError) as refused:
            store.counters.add(b"/a", 1)
        assert "wrong" not in str(refused.value)
        assert "secret" not in repr(server.server())
        store.close()


def test_tls(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", tls=Authority.make(tmp_path)) as server:
        store = SharedStore(server.server(timeout=5))
        assert store.counters.add(b"/a", 1) == 1
        store.close()
        for wrong in ({"host": "127.0.0.1"}, {"ca": ""}):  # not the certificate's name, and nobody's whom we trust
            store = SharedStore(server.server(timeout=5, **wrong))
            with pytest.raises(StateError, match="certificate verify failed"):
                store.counters.add(b"/a", 1)
            store.close()


def test_nobody_there() -> None:
    store = SharedStore(Server(port=free_port()))
    with pytest.raises(StateError, match=r"Redis at 127\.0\.0\.1"):
        store.counters.add(b"/a", 1)
    store.close()
