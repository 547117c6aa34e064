"""state.shared: a real Redis Cluster of three nodes, whose slots move and whose nodes die."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from lumilter.state.contract import Gauge, Series, StateError
from lumilter.state.places import Places
from lumilter.state.shared import SharedStore
from support.patience import until
from support.redis_cluster import RedisCluster
from support.state_processes import CLIENTS, GAUGE, SHARED

pytestmark = pytest.mark.xdist_group("cluster")

MANY = [Series(f"words {number}", "string", 3600, 3) for number in range(60)]
"""On all nodes, whatever the hash of their names."""


@pytest.fixture
def cluster(redis_cluster: RedisCluster) -> RedisCluster:
    redis_cluster.empty()
    return redis_cluster


@pytest.fixture
def store(cluster: RedisCluster) -> Iterator[SharedStore]:
    made = SharedStore(cluster.server(timeout=10))
    yield made
    made.close()


def test_what_an_operation_needs_is_on_one_node(cluster: RedisCluster, store: SharedStore) -> None:
    for series in MANY:
        store.series.add(series, b"item", 1)
    store.series.add(SHARED, CLIENTS[0], 1)
    store.series.add(Series("six", "cidr_ipv6", 3600, 3), bytes(16), 1)
    store.gauges.add(GAUGE, b"key", 1)
    store.counters.add(b"/path", 1)
    assert store.locks.acquire(b"lock", b"me", 60)
    store.sessions.enter(CLIENTS[0])
    kept = cluster.keys()
    assert all(kept), "something is on each node"
    tags = [{key.split(b"{")[1].split(b"}")[0] for key in node} for node in kept]
    assert sum(map(len, tags)) == len(set().union(*tags)) == len(MANY) + 6


def test_operations_for_several_nodes_go_out_together(store: SharedStore) -> None:
    futures = [store.series.submit(series, b"item", 1) for _ in range(20) for series in MANY]
    for future in futures:
        future.result(60)
    assert [store.series.count(series, b"item", 0, 0, 2) for series in MANY] == [20] * len(MANY)


def test_items_of_all_nodes_are_found(store: SharedStore) -> None:
    for number in range(50):
        store.series.add(MANY[0], b"item %d" % number, number + 1)
    assert sum(counts[0] for _, counts in store.series.items(MANY[0], b"", 0)) == 50 * 51 // 2


def test_scripts_that_the_nodes_forgot_are_told_them_again(cluster: RedisCluster, store: SharedStore) -> None:
    store.counters.add(b"/path", 1)
    for node in cluster.nodes:
        with node.client() as client:
            client.script_flush()
    assert [store.series.add(series, b"item", 1)[0][0] for series in MANY] == [1] * len(MANY)


def test_the_access_list_of_the_documentation_is_enough(cluster: RedisCluster) -> None:
    rules = ("on", ">secret", "~lumilter:*", "+@all", "-@dangerous")
    for node in cluster.nodes:
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", "lumilter", *rules)
    store = SharedStore(cluster.server(timeout=10, user="lumilter", password="secret"))
    assert [store.series.add(series, b"item", 1)[0][0] for series in MANY] == [1] * len(MANY)
    assert len(list(store.series.items(MANY[0], b"", 0))) == 1
    store.close()


def test_a_slot_that_moves_takes_its_counts_along(tmp_path: Path) -> None:
    with RedisCluster(tmp_path) as cluster:
        store = SharedStore(cluster.server(timeout=10))
        for series in MANY:
            store.series.add(series, b"item", 1)
        first = cluster.keys()[0]
        slots = {key_slot(key) for key in first if b"{sessions}" not in key}
        for slot in slots:  # MOVED
            cluster.move(slot, 1)
        assert [store.series.add(series, b"item", 1)[0][0] for series in MANY] == [2] * len(MANY)
        assert not {key for key in cluster.keys()[0] if key_slot(key) in slots}
        store.close()


def test_while_a_slot_moves_nothing_is_counted_twice_or_in_two_places(tmp_path: Path) -> None:
    near, far = CLIENTS[0], bytes([10, 9, 8, 7])
    with RedisCluster(tmp_path) as cluster:
        store = SharedStore(cluster.server(timeout=10))
        for client in (near, far, near):
            store.series.add(SHARED, client, 1)
        store.series.add(MANY[0], b"item", 1)
        assert store.gauges.add(GAUGE, b"key", 1) == 1
        slots = {key_slot(key) for key in set().union(*cluster.keys()) if b"{sessions}" not in key}
        for slot in slots:
            cluster.move(slot, (cluster.owner(slot) + 1) % 3, 1)  # one of its keys has gone; ASK leads to it
        assert store.series.count(SHARED, near, 32, 0, 3) == 2
        assert [store.series.count(SHARED, far, bits, 0, 3) for bits in (0, 8, 16, 24, 32)] == [3, 1, 1, 1, 1]
        with pytest.raises(StateError, match="during rehashing of slot"):
            store.series.add(SHARED, near, 1)
        with pytest.raises(StateError, match="during rehashing of slot"):
            store.gauges.add(GAUGE, b"key", 1)
        assert store.series.add(MANY[0], b"item", 1) == {0: (2, 0, 0)}
        assert store.series.add(MANY[0], b"new", 1) == {0: (1, 0, 0)}
        for slot in slots:
            cluster.move(slot, (cluster.owner(slot) + 1) % 3)
        assert store.series.add(SHARED, near, 1)[0][0] == 4
        assert store.gauges.add(GAUGE, b"key", 1) == 2
        assert [store.series.count(MANY[0], item, 0, 0, 2) for item in (b"item", b"new")] == [2, 1]
        store.close()


def test_what_can_not_be_done_while_a_slot_moves_holds_up_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[str] = []
    sleep = time.sleep

    def noted(seconds: float) -> None:
        slept.append(threading.current_thread().name)
        sleep(seconds)

    with RedisCluster(tmp_path) as cluster:
        store = SharedStore(cluster.server(timeout=10))
        store.series.add(SHARED, CLIENTS[0], 1)
        (slot,) = {key_slot(key) for key in set().union(*cluster.keys()) if b"{sessions}" not in key}
        cluster.move(slot, (cluster.owner(slot) + 1) % 3, 1000)  # all keys have gone, and the slot has not
        monkeypatch.setattr(time, "sleep", noted)
        assert store.series.add(SHARED, CLIENTS[0], 1)[0][0] == 2
        for _ in range(3):
            with pytest.raises(StateError, match="during rehashing of slot"):
                store.series.add(SHARED, bytes([10, 9, 8, 7]), 1)  # needs keys that are nowhere
        assert "redis" not in slept
        cluster.move(slot, (cluster.owner(slot) + 1) % 3)
        assert store.series.add(SHARED, bytes([10, 9, 8, 7]), 1)[0][0] == 3
        store.close()


def test_while_a_node_is_down_all_of_it_is_away_and_then_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisCluster(tmp_path) as cluster:
        store = SharedStore(cluster.server(timeout=0.5))
        places = Places(shared=store)

        def add(series: Series) -> int:
            return places.there(lambda: store.series.add(series, b"item", 1)[0][0], lambda: -1)

        assert [add(series) for series in MANY] == [1] * len(MANY)
        cluster.nodes[1].kill()
        begun = time.monotonic()
        got = Counter(add(series) for _ in range(20) for series in MANY)
        assert got[-1] > 1000, "nothing goes on without one of its nodes"
        assert time.monotonic() - begun < 20, "and nobody waits for it"
        said = [record.message for record in caplog.records if record.name == "lumilter.state"]
        assert len(said) == 1
        assert "nothing more is said until that is over" in said[0]
        cluster.nodes[1].start()
        cluster.settled()
        until(lambda: add(MANY[0]) > 0)
        assert all(add(series) > 0 for series in MANY)
        places.close()


@pytest.mark.parametrize("told", [0, 1])
def test_a_replica_takes_the_place_of_a_node_that_died_whichever_is_configured(tmp_path: Path, told: int) -> None:
    with RedisCluster(tmp_path, replicas=1) as cluster:
        first, *_, replica = cluster.nodes
        store = SharedStore(cluster.nodes[told].server(cluster=True, timeout=0.5))
        for series in MANY:
            store.series.add(series, b"item", 1)
        with first.client() as client:
            client.wait(1, 10000)
        first.kill()
        cluster.take_over(replica)

        def works() -> bool:
            try:
                return [store.series.count(series, b"item", 0, 0, 2) for series in MANY] == [1] * len(MANY)
            except StateError:
                return False

        until(works)
        with replica.client() as client:
            assert client.info("replication")["role"] == "master"
        assert [store.series.add(series, b"item", 1)[0][0] for series in MANY] == [2] * len(MANY)
        store.close()


def test_a_node_that_hangs_costs_one_wait(tmp_path: Path) -> None:
    with RedisCluster(tmp_path) as cluster:
        store = SharedStore(cluster.server(timeout=0.5))
        futures = [store.series.submit(series, b"item", 1) for series in MANY]
        for future in futures:
            future.result(60)
        cluster.nodes[1].signal(signal.SIGSTOP)
        begun = time.monotonic()
        futures = [store.series.submit(series, b"item", 1) for _ in range(20) for series in MANY]
        ended = [future.exception(60) is None for future in futures]
        assert not all(ended)
        assert time.monotonic() - begun < 20
        cluster.nodes[1].signal(signal.SIGCONT)

        def standing() -> list[int]:
            try:
                return [store.series.count(series, b"item", 0, 0, 2) for series in MANY]
            except StateError:
                return []

        until(lambda: bool(standing()))
        done = Counter(number % len(MANY) for number, good in enumerate(ended) if good)
        asked = 1 + 20
        for number, value in enumerate(standing()):
            assert 1 + done[number] <= value <= asked, "what was reported done is, and nothing is twice"
        store.close()


def test_gauges_of_one_cache_are_on_one_node(store: SharedStore) -> None:
    small = Gauge("small", 2, 3600.0)
    assert [store.gauges.add(small, key, 1) for key in (b"a", b"b", b"c", b"a")] == [1, 1, 1, 1]
