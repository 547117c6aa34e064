"""Windows and leases while real time passes, in the stores that have a clock of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.state.contract import Gauge, Series, Store
from lumilter.state.embedded import EmbeddedStore
from lumilter.state.shared import SharedStore
from support.redis_server import RedisServer

SERIES = Series("real", "string", 1, 3)
GAUGE = Gauge("real", 5, 1.5)


@pytest.fixture(params=["embedded", "redis_server", "valkey_server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "embedded":
        made = EmbeddedStore(tmp_path, 8 << 20)
    else:
        server: RedisServer = request.getfixturevalue(request.param)
        server.empty()
        made = SharedStore(server.server(timeout=10))
    yield made
    made.close()


def test_what_is_counted_passes(store: Store) -> None:
    store.series.add(SERIES, b"a", 1)
    store.gauges.add(GAUGE, b"a", 1)
    assert store.locks.acquire(b"a", b"me", 1.5)
    begun = time.time()
    seen: set[tuple[int, ...]] = set()
    while time.time() < begun + 20:
        second = int(time.time())
        windows = tuple(store.series.count(SERIES, b"a", 0, window, window) for window in range(3))
        if int(time.time()) == second:  # else they moved while they were counted
            seen.add(windows)
        if (0, 0, 0) in seen and not store.gauges.get(GAUGE, b"a") and store.locks.acquire(b"a", b"you", 60):
            break
        time.sleep(0.05)
    else:
        pytest.fail(f"it did not pass: {seen}")
    assert seen <= {(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)}
    assert time.time() - begun > 1.4
    assert not store.locks.release(b"a", b"me")
    assert store.locks.release(b"a", b"you")
