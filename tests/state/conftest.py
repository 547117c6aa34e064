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


STORES: dict[str, Callable[[Path, Clock], Store]] = {
    "memory": lambda directory, clock: MemoryStore(clock),
    "embedded": lambda directory, clock: EmbeddedStore(directory, SIZE, clock=clock),
}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = STORES[request.param](tmp_path, clock)
    yield made
    made.close()
