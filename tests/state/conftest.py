"""The stores that the contract is tried on.

The law: a new store is one more entry of STORES, and no test is written for one store alone in the contract's file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lumilter.state.contract import Store
from lumilter.state.embedded import EmbeddedStore
from lumilter.state.memory import MemoryStore
from lumilter.state.shared import Server, SharedStore
from support.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

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


STORES: dict[str, Callable[[Path, Server, Clock], Store]] = {
    "memory": lambda directory, server, clock: MemoryStore(clock),
    "embedded": lambda directory, server, clock: EmbeddedStore(directory, SIZE, clock=clock),
    "shared": lambda directory, server, clock: SharedStore(server, clock),
}


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    """The same, empty."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path, redis: RedisServer, clock: Clock) -> Iterator[Store]:
    made = STORES[request.param](tmp_path, redis.server(timeout=10), clock)
    yield made
    made.close()
