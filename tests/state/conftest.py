"""The stores that the contract is tried on.

The law: a new store is one more entry of STORES, and no test is written for one store alone in the contract's file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lumilter.state.contract import Store
from lumilter.state.embedded import EmbeddedStore
from lumilter.state.memory import MemoryStore
from lumilter.state.shared import SharedStore
from support.redis_cluster import RedisCluster, redis_cluster
from support.redis_server import RedisServer, redis_server, valkey_server

__all__ = ["redis_cluster", "redis_server", "valkey_server"]

SIZE = 8 << 20


class Clock:
    """Unix time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Fixture = Callable[[str], Any]

STORES: dict[str, Callable[[Fixture, Path, Clock], Store]] = {
    "memory": lambda fixture, directory, clock: MemoryStore(clock),
    "embedded": lambda fixture, directory, clock: EmbeddedStore(directory, SIZE, clock=clock),
    "redis": lambda fixture, directory, clock: _shared(fixture("redis_server"), clock),
    "valkey": lambda fixture, directory, clock: _shared(fixture("valkey_server"), clock),
    "cluster": lambda fixture, directory, clock: _shared(fixture("redis_cluster"), clock),
}


def _shared(server: RedisServer | RedisCluster, clock: Clock) -> Store:
    server.empty()
    return SharedStore(server.server(timeout=10), clock)


@pytest.fixture(params=["redis_server", "valkey_server"])
def redis(request: pytest.FixtureRequest) -> RedisServer:
    """A server of either kind, empty."""
    server: RedisServer = request.getfixturevalue(request.param)
    server.empty()
    return server


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group("cluster") if name == "cluster" else ()) for name in STORES
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = STORES[request.param](request.getfixturevalue, tmp_path, clock)
    yield made
    made.close()
