"""Processes that use a store as workers do, to be counted and killed.

The law: what a process did is in its own file of tallies, one byte written after each operation, so that it can be
known of a process that was killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from lumilter.state.contract import Gauge, Series, Store

SHARED = Series("shared", "cidr", 3600, 4)
GAUGE = Gauge("gauge", 1000, 3600.0)
CLIENTS = [bytes([192, 0, 2, last]) for last in range(8)]

_CONTEXT = multiprocessing.get_context("spawn")


def count_up(make: Callable[[], Store], tally: str, times: int, seed: int) -> None:
    """Add 1 to the series, the gauge and the counter, `times` times (0: until killed)."""
    store, chance = make(), random.Random(seed)
    with Path(tally).open("ab", buffering=0) as file:
        done = 0
        while not times or done < times:
            store.series.add(SHARED, chance.choice(CLIENTS), 1)
            store.gauges.add(GAUGE, b"key", 1)
            store.counters.add(b"/shared", 1)
            file.write(b"x")
            done += 1
    store.close()


def hold(make: Callable[[], Store], tally: str, address: bytes) -> None:
    """Have three sessions and a lock until killed."""
    store = make()
    for _ in range(3):
        store.sessions.enter(address)
    assert store.locks.acquire(b"held", b"holder", 3600)
    Path(tally).write_bytes(b"x")
    while True:
        signal.pause()


def exclude(make: Callable[[], Store], tally: str, times: int, shared: str) -> None:
    """Increment the number in a file under a lock, without any other protection."""
    store, owner = make(), b"%d" % os.getpid()
    for _ in range(times):
        while not store.locks.acquire(b"file", owner, 60):
            time.sleep(0.001)
        number = int(Path(shared).read_text() or 0)
        Path(shared).write_text(str(number + 1))
        assert store.locks.release(b"file", owner)
    Path(tally).write_bytes(b"x")
    store.close()


@contextlib.contextmanager
def running(work: Callable[..., None], count: int, *args: object) -> Iterator[list[BaseProcess]]:
    """So many processes that do it; killed at the end if they are still there."""
    processes = [_CONTEXT.Process(target=work, args=tuple(a(n) if callable(a) and getattr(a, "each", False) else a
                                                          for a in args)) for n in range(count)]  # fmt: skip
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join(30)


def each(make: Callable[[int], object]) -> Callable[[int], object]:
    """An argument that is different for each process."""
    make.each = True  # type: ignore[attr-defined]
    return make
