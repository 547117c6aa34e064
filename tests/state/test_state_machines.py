"""Any sequence of operations by several processes: every store gives what the plain model gives.

The law: the model is state.memory, which is no part of the others. Time is one that the test moves; test_state_embedded
and test_state_shared let real time pass.
"""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from lumilter.state.contract import Gauge, Series, Store
from lumilter.state.embedded import EmbeddedStore
from lumilter.state.memory import MemoryStore
from lumilter.state.shared import Server, SharedStore, sessions
from state.conftest import Clock
from support.redis_cluster import RedisCluster
from support.redis_server import RedisServer

CIDR = Series("clients", "cidr", 10, 4)
CIDR6 = Series("clients6", "cidr_ipv6", 10, 4)
WORDS = Series("words", "string", 7, 3)
KEPT = Series("kept", "cidr", 10, 2, keep=True)
GAUGE = Gauge("gauge", 3, 20.0)

V4 = st.sampled_from([bytes([10, a, 0, b]) for a in (0, 1, 129) for b in (1, 2, 130)])
V6 = st.sampled_from([bytes.fromhex("20010db8000000") + bytes([a, *bytes(7), b]) for a in (0, 9) for b in (1, 2)])
ITEMS = st.one_of(
    st.tuples(st.sampled_from([CIDR, KEPT]), V4),
    st.tuples(st.just(CIDR6), V6),
    st.tuples(st.just(WORDS), st.sampled_from([b"a", b"b", b"\xff"])),
)
WHO = st.integers(0, 1)
AMOUNT = st.integers(-5, 20)
KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])


def serve(make: Callable[[Clock], Store], connection: Connection) -> None:
    """A process with a store, which does what it is told."""
    clock = Clock()
    store = make(clock)
    connection.send("ready")
    while True:
        part, method, now, args = connection.recv()
        if part == "close":
            break
        if part == "empty":
            for env in store._envs:
                env.write(lambda txn, env=env: txn.drop(env.env.open_db(), delete=False))
            connection.send("empty")
            continue
        clock.now = now
        result = getattr(getattr(store, part), method)(*args) if part else getattr(store, method)(*args)
        connection.send([(item, list(counts)) for item, counts in result] if method == "items" else result)
    store.close()
    connection.send("closed")


class Process:
    """The test's end of one."""

    def __init__(self, make: Callable[[Clock], Store]) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=serve, args=(make, theirs), daemon=True)
        self.process.start()
        assert self.connection.recv() == "ready"

    def ask(self, part: str, method: str, now: float, *args: Any) -> Any:
        self.connection.send((part, method, now, args))
        assert self.connection.poll(60), "no answer"
        return self.connection.recv()

    def close(self) -> None:
        self.connection.send(("close", "", 0.0, ()))
        assert self.connection.recv() == "closed"
        self.process.join(30)


class Machine(RuleBasedStateMachine):
    """Two processes and the model. processes: made once, for all runs; reset: makes their store empty."""

    processes: list[Process]
    reset: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        type(self).reset()
        self.clock = Clock()
        self.model = MemoryStore(self.clock)
        self.open: dict[int, list[bytes]] = {0: [], 1: []}

    def both(self, who: int, part: str, method: str, *args: Any) -> Any:
        """Done by the model and by a process; what came of it has to be the same."""
        wanted = getattr(getattr(self.model, part), method)(*args)
        assert self.processes[who].ask(part, method, self.clock.now, *args) == wanted, (part, method, args)
        return wanted

    @rule(who=WHO, item=ITEMS, amount=AMOUNT)
    def add(self, who: int, item: tuple[Series, bytes], amount: int) -> None:
        self.both(who, "series", "add", *item, amount)

    @rule(who=WHO, item=ITEMS, part=st.integers(0, 128), first=st.integers(-1, 5), last=st.integers(-1, 5))
    def count(self, who: int, item: tuple[Series, bytes], part: int, first: int, last: int) -> None:
        bits = part * len(item[1]) * 8 // 128
        self.both(who, "series", "count", *item, bits, first, last)

    @rule(who=WHO, item=ITEMS)
    def remove(self, who: int, item: tuple[Series, bytes]) -> None:
        self.both(who, "series", "remove", *item)

    @rule(who=WHO, key=KEYS, amount=AMOUNT)
    def change_gauge(self, who: int, key: bytes, amount: int) -> None:
        self.both(who, "gauges", "add", GAUGE, key, amount)

    @rule(who=WHO, key=KEYS)
    def read_gauge(self, who: int, key: bytes) -> None:
        self.both(who, "gauges", "get", GAUGE, key)

    @rule(who=WHO, key=KEYS)
    def forget_gauge(self, who: int, key: bytes) -> None:
        self.both(who, "gauges", "remove", GAUGE, key)

    @rule(who=WHO, path=KEYS, amount=AMOUNT, relaxed=st.booleans())
    def change_counter(self, who: int, path: bytes, amount: int, relaxed: bool) -> None:
        self.both(who, "counters", "add", path, amount, relaxed)

    @rule(who=WHO, path=KEYS, method=st.sampled_from(["read", "reset", "unlink"]))
    def use_counter(self, who: int, path: bytes, method: str) -> None:
        self.both(who, "counters", method, path)

    @rule(who=WHO, name=KEYS, owner=st.sampled_from([b"one", b"two"]), lease=st.sampled_from([5.0, 30.0]))
    def acquire(self, who: int, name: bytes, owner: bytes, lease: float) -> None:
        self.both(who, "locks", "acquire", name, b"%s of %d" % (owner, who), lease)

    @rule(who=WHO, name=KEYS, owner=st.sampled_from([b"one", b"two"]))
    def release(self, who: int, name: bytes, owner: bytes) -> None:
        self.both(who, "locks", "release", name, b"%s of %d" % (owner, who))

    @rule(who=WHO, address=st.one_of(V4, V6))
    def enter(self, who: int, address: bytes) -> None:
        self.both(who, "sessions", "enter", address)
        self.open[who].append(address)

    @rule(who=WHO)
    def leave(self, who: int) -> None:
        if self.open[who]:
            self.both(who, "sessions", "leave", self.open[who].pop())

    @rule(who=WHO, address=st.one_of(V4, V6), part=st.integers(0, 128))
    def present(self, who: int, address: bytes, part: int) -> None:
        self.both(who, "sessions", "present", address, part * len(address) * 8 // 128)

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.5, 10.0, 25.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(who=WHO)
    def sweep(self, who: int) -> None:
        self.processes[who].ask("", "sweep", self.clock.now, 1000)

    @invariant()
    def counters_agree(self) -> None:
        assert self.processes[0].ask("counters", "all", self.clock.now) == self.model.counters.all()

    def teardown(self) -> None:
        for who, addresses in self.open.items():
            for address in addresses:
                self.processes[who].ask("sessions", "leave", self.clock.now, address)


def embedded(root: str, clock: Clock) -> Store:
    return EmbeddedStore(Path(root), 8 << 20, clock=clock)


def shared(server: Server, clock: Clock) -> Store:
    sessions.LEASE = 1e6  # the time that the test moves is not the time in which processes say that they live
    return SharedStore(server, clock)


def run(make: Callable[[Clock], Store], reset: Callable[[list[Process]], object]) -> None:
    made = [Process(make) for _ in range(2)]
    machine = type("Bound", (Machine,), {"processes": made, "reset": staticmethod(lambda: reset(made))})
    bounded = settings(
        max_examples=25,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    try:
        run_state_machine_as_test(machine, settings=bounded)
    finally:
        for process in made:
            process.close()


def test_embedded(tmp_path: Path) -> None:
    run(functools.partial(embedded, str(tmp_path)), lambda made: made[0].ask("empty", "", 0.0))


def test_shared(redis: RedisServer) -> None:
    run(functools.partial(shared, redis.server(timeout=10)), lambda made: redis.empty())


@pytest.mark.xdist_group("cluster")
def test_a_cluster(redis_cluster: RedisCluster) -> None:
    run(functools.partial(shared, redis_cluster.server(timeout=10)), lambda made: redis_cluster.empty())


@pytest.mark.parametrize("series", [CIDR, WORDS])
def test_the_model_itself(series: Series) -> None:
    """Against counting by hand: a list of additions."""
    clock = Clock()
    model = MemoryStore(clock)
    done: list[tuple[int, bytes, int]] = []
    item = bytes([10, 0, 0, 1])
    for step in range(50):
        clock.now += step % 5
        item = bytes([10, 0, step % 3, step % 7])
        model.series.add(series, item, step)
        done.append((int(clock.now) // series.interval, item, step))
    running = int(clock.now) // series.interval
    wanted = sum(amount for when, one, amount in done if running - when in (1, 2) and one == item)
    assert model.series.count(series, item, 32, 1, 2) == wanted
