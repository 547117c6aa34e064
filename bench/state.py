"""What shared state costs: an addition with the count after it, by store, by number of processes, by number of keys.

    .venv/bin/python -m bench.state [--write] [--keys N]     # prints the tables, or renews bench/STATE.md

The law: a process does what a worker does, on a random client of 10,000: it adds to a cidr series of 6 windows, and
counts the client's /32 over all of them. Latencies are of the pair, in the process itself. Redis is a server of our own
on loopback. Growth is with that many different clients in one series; --keys bounds it.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

from lumilter.state.contract import Series, Store  # noqa: E402
from lumilter.state.embedded import EmbeddedStore  # noqa: E402
from lumilter.state.shared import Server, SharedStore  # noqa: E402
from lumilter.state.shared.series import places  # noqa: E402
from support.policy import policy  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402

PAGE = ROOT / "bench/STATE.md"
SERIES = Series("bench", "cidr", 300, 6)
CLIENTS = [bytes([10, 0, number >> 8, number & 255]) for number in range(10_000)]
SECONDS = 4.0
PROCESSES = (1, 2, 4)
KEYS = (1_000, 100_000, 10_000_000)
SIZE = 8 << 30

Make = Callable[[], Store]


def embedded(directory: str, size: int = 256 << 20) -> Store:
    """A store as a worker opens it."""
    return EmbeddedStore(Path(directory), size, keep=False)


def shared(server: Server) -> Store:
    """The same for Redis."""
    return SharedStore(server)


def pairs(make: Make, seconds: float, results: multiprocessing.Queue[list[int]], start: float, seed: int) -> None:
    """Add and count until the time is over; nanoseconds of each pair."""
    store, chance = make(), random.Random(seed)
    while time.time() < start:
        time.sleep(0.001)
    until, took = time.perf_counter() + seconds, []
    while (begun := time.perf_counter()) < until:
        client = chance.choice(CLIENTS)
        before = time.perf_counter_ns()
        store.series.add(SERIES, client, 1)
        store.series.count(SERIES, client, 32, 0, 5)
        took.append(time.perf_counter_ns() - before)
    assert begun >= until
    results.put(took)
    store.close()


def together(make: Make, processes: int) -> tuple[float, float, float]:
    """Pairs a second of all processes; median and 99th percentile in microseconds."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[int]] = context.Queue()
    start = time.time() + 2.0 + 0.5 * processes
    running = [context.Process(target=pairs, args=(make, SECONDS, results, start, seed)) for seed in range(processes)]
    for process in running:
        process.start()
    took = sorted(one for _ in running for one in results.get())
    for process in running:
        process.join()
    return len(took) / SECONDS, statistics.median(took) / 1e3, took[len(took) * 99 // 100] / 1e3


def in_lua(times: int = 20_000) -> float:
    """Microseconds of processor time of a pair in a script's loop, embedded, with the crossings from Lua and back."""
    text = f"""
function mod:init() msys.audit_series.define("bench", "cidr", 300, 6) return true end
function mod:validate_ehlo(str, ac)
  for i = 1, {times} do
    msys.audit_series.add("bench", ac)
    msys.audit_series.count("bench", {{ key = "/32", startv = 0, endv = 5 }})
  end
end
"""
    from lumilter.adapters.dns import FixtureResolver
    from lumilter.host.tasks import Limits
    from lumilter.services import Services
    from lumilter.session.events import Helo
    from lumilter.state.state import State

    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        services = Services(FixtureResolver({}), state=State(embedded(name)))
        limits = Limits(10**12, 600.0)
        with policy(Path(name), text, services=services, limits=limits) as running, running.conversation() as session:
            begun = time.process_time()
            session.handle(Helo("x"))
            seconds = time.process_time() - begun
            assert not running.errors
        services.state.close()
    return seconds / times * 1e6


def fill(store: Store, keys: int) -> None:
    """Add 1 for each of that many clients, as workers do."""
    last: Future[Any] | None = None
    for number in range(keys):
        address = (10 << 24 | number).to_bytes(4)
        if isinstance(store, SharedStore):
            last = store.series.submit(SERIES, address, 1)
            if number % 5000 == 4999:
                last.result(600)
        else:
            store.series.add(SERIES, address, 1)
    if last is not None:
        last.result(600)


def write(store: SharedStore, client: Any, keys: int) -> None:
    """What `fill` leaves in Redis, written as it is kept: adding 10,000,000 one by one takes half an hour."""
    base, running = store.series._base(SERIES), int(time.time()) // SERIES.interval
    sums: Counter[tuple[bytes, bytes]] = Counter()
    pipeline = client.pipeline(transaction=False)
    for network in range(0, keys, 256):
        clients = [(10 << 24 | number).to_bytes(4) for number in range(network, min(network + 256, keys))]
        *above, (key, _) = places(clients[0])
        sums.update(dict.fromkeys(above, len(clients)))
        one = f"{running} 1{' 0' * (SERIES.windows - 1)}"
        pipeline.hset(base + key, mapping={places(each)[-1][1]: one for each in clients})
        pipeline.expireat(base + key, (running + SERIES.windows) * SERIES.interval)
        if network % 25600 == 0:
            pipeline.execute()
    for (key, name), total in sums.items():
        pipeline.hset(base + key, name, f"{running} {total}{' 0' * (SERIES.windows - 1)}")
    pipeline.execute()
    for bits, wanted in ((0, keys), (24, 256), (32, 1)):
        assert store.series.count(SERIES, bytes([10, 0, 0, 1]), bits, 0, SERIES.windows - 1) == wanted


def grown(store: Store, keys: int, client: Any = None) -> Iterator[tuple[str, float, str]]:
    """Fill a series with that many clients, then measure. client: by which more than 100,000 are written to Redis."""
    begun = time.perf_counter()
    if isinstance(store, SharedStore) and keys > 100_000:
        write(store, client, keys)
        yield "filled at", float("nan"), ""
    else:
        fill(store, keys)
        yield "filled at", keys / (time.perf_counter() - begun), "/s"
    chance = random.Random(1)
    some = [(10 << 24 | chance.randrange(keys)).to_bytes(4) for _ in range(5000)]
    for what, work in (
        ("add", lambda client: store.series.add(SERIES, client, 1)),
        ("count /32", lambda client: store.series.count(SERIES, client, 32, 0, 5)),
        ("count /24", lambda client: store.series.count(SERIES, client, 24, 0, 5)),
        ("count /20", lambda client: store.series.count(SERIES, client, 20, 0, 5)),
        ("count /0", lambda client: store.series.count(SERIES, client, 0, 0, 5)),
    ):
        took = []
        for client in some:
            before = time.perf_counter_ns()
            work(client)
            took.append(time.perf_counter_ns() - before)
        yield what, statistics.median(took) / 1e3, "us"


def shown(value: float, unit: str) -> str:
    """A figure of a table."""
    if not unit:
        return ""
    return f"{value:,.0f} {unit}" if unit == "/s" else f"{value:,.1f} {unit}"


def tables(most: int) -> Iterator[str]:
    """The page, line by line."""
    yield "# Shared state"
    yield ""
    yield "An addition to an audit series and the count after it. Written by `python -m bench.state --write`; what it"
    yield "measures stands there. The machine had other work to do: figures are of the order of magnitude."
    yield ""
    yield "| store | processes | pairs a second | median | 99 % |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, RedisServer(Path(name) / "redis") as server:
        for store, make in (
            ("embedded", functools.partial(embedded, name)),
            ("Redis", functools.partial(shared, server.server(timeout=30))),
        ):
            for processes in PROCESSES:
                rate, median, late = together(make, processes)
                yield f"| {store} | {processes} | {rate:,.0f} | {median:.1f} us | {late:.1f} us |"
    yield ""
    yield f"From a script, embedded, one process: {in_lua():.1f} us of processor time for the pair, crossings included."
    yield ""
    yield "By number of clients in the series, neighbours, one process; medians. Size: pages in use; Redis: its memory."
    yield "More than 100,000 are written to Redis as it keeps them, so there is no rate for that."
    yield ""
    heads = ("store", "clients", "filled at", "add", "count /32", "count /24", "count /20", "count /0", "size")
    yield f"| {' | '.join(heads)} |"
    yield "| --- |" + " ---: |" * (len(heads) - 1)
    for keys in (keys for keys in KEYS if keys <= most):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
            store = EmbeddedStore(Path(name), max(64 << 20, keys * 400), keep=False)
            cells = [shown(value, unit) for _, value, unit in grown(store, keys)]
            yield f"| embedded | {keys:,} | {' | '.join(cells)} | {store.size() / 1e6:,.1f} MB |"
            store.close()
    for keys in (keys for keys in KEYS if keys <= most):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as name, RedisServer(Path(name) / "redis") as server:
            store = SharedStore(server.server(timeout=30))
            with server.client() as client:
                cells = [shown(value, unit) for _, value, unit in grown(store, keys, client)]
                used = client.info("memory")["used_memory"]
            yield f"| Redis | {keys:,} | {' | '.join(cells)} | {used / 1e6:,.1f} MB |"
            store.close()


def measure() -> Iterator[tuple[str, float, str]]:
    """For `python -m bench`: the pair, by store and processes."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, RedisServer(Path(name) / "redis") as server:
        makes = {"embedded": functools.partial(embedded, name), "Redis": functools.partial(shared, server.server())}
        for store, make in makes.items():
            for processes in PROCESSES:
                rate, median, _ = together(make, processes)
                yield f"add and count, {store}, {processes} processes", rate, "/s"
                yield f"add and count, {store}, {processes} processes, median", median, "us"
    yield "add and count, embedded, from a script", in_lua(), "us"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--keys", type=int, default=100_000, help="the most clients of a series")
    options = parser.parse_args()
    lines = []
    for line in tables(options.keys):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        PAGE.write_text("\n".join(lines) + "\n")
