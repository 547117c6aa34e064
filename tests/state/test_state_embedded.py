"""state.embedded: several processes on one directory, killed ones among them, and files that are full or held."""

from __future__ import annotations

import fcntl
import functools
import multiprocessing
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lumilter.state.contract import Series, StateError
from lumilter.state.embedded import EmbeddedStore
from lumilter.state.embedded.environment import PATIENCE, Environment
from state.conftest import Clock
from support.patience import until
from support.state_processes import CLIENTS, GAUGE, SHARED, count_up, each, exclude, hold, running

WORDS = Series("words", "string", 10, 3)
KEPT = Series("kept", "string", 3600, 3, keep=True)
SIZE = 8 << 20


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], EmbeddedStore]:
    return functools.partial(EmbeddedStore, tmp_path, SIZE)


@pytest.fixture
def store(make: Callable[[], EmbeddedStore]) -> Iterator[EmbeddedStore]:
    made = make()
    yield made
    made.close()


def tallies(tmp_path: Path) -> int:
    return sum(file.stat().st_size for file in tmp_path.glob("tally*"))


def test_processes_lose_nothing_of_each_other(
    tmp_path: Path, make: Callable[[], EmbeddedStore], store: EmbeddedStore
) -> None:
    files = each(lambda number: str(tmp_path / f"tally{number}"))
    with running(count_up, 3, make, files, 700, each(lambda number: number)) as processes:
        for process in processes:
            process.join(120)
            assert process.exitcode == 0
    assert store.series.count(SHARED, CLIENTS[0], 24, 0, 3) == 2100
    assert sum(store.series.count(SHARED, client, 32, 0, 3) for client in CLIENTS) == 2100
    assert store.gauges.get(GAUGE, b"key") == 2100
    assert store.counters.read(b"/shared") == 2100


def test_killed_processes_leave_whole_operations_and_stop_nobody(
    tmp_path: Path, make: Callable[[], EmbeddedStore], store: EmbeddedStore
) -> None:
    files = each(lambda number: str(tmp_path / f"tally{number}"))
    killed = 0
    for round_ in range(6):
        seeds = each(lambda number, round_=round_: 10 * round_ + number)
        before = tallies(tmp_path)
        with running(count_up, 2, make, files, 0, seeds) as processes:
            until(lambda before=before: tallies(tmp_path) > before + 200)
            time.sleep(0.003 * round_)
            for process in processes:
                process.kill()
                killed += 1
            store.counters.add(b"/own", 1)  # at once, whoever had the lock
    done = tallies(tmp_path)
    assert done <= store.counters.read(b"/shared") <= done + killed
    assert done <= store.gauges.get(GAUGE, b"key") <= done + killed
    total = store.series.count(SHARED, CLIENTS[0], 24, 0, 3)
    assert done <= total <= done + killed
    assert sum(store.series.count(SHARED, client, 32, 0, 3) for client in CLIENTS) == total
    assert store.series.count(SHARED, CLIENTS[0], 28, 0, 3) == total
    assert store.counters.read(b"/own") == 6


def test_a_dead_process_has_no_sessions_and_no_locks(
    tmp_path: Path, make: Callable[[], EmbeddedStore], store: EmbeddedStore
) -> None:
    address = CLIENTS[0]
    store.sessions.enter(address)
    with running(hold, 1, make, str(tmp_path / "tally"), address) as (process,):
        until((tmp_path / "tally").exists)
        assert store.sessions.present(address, 32) == 4
        assert not store.locks.acquire(b"held", b"me", 60)
        process.kill()
        process.join(30)
        until(lambda: store.sessions.present(address, 32) == 1, 5)
        assert store.sessions.present(address, 0) == 1
        assert store.locks.acquire(b"held", b"me", 60)
        assert store.sessions.enter(address)[24] == 2


def test_whoever_takes_a_dead_process_s_place_inherits_nothing(
    tmp_path: Path, make: Callable[[], EmbeddedStore]
) -> None:
    with running(hold, 1, make, str(tmp_path / "tally"), CLIENTS[0]) as (process,):
        until((tmp_path / "tally").exists)
        process.kill()
        process.join(30)
    store = make()
    assert store.sessions.present(CLIENTS[0], 0) == 0
    store.close()


def test_locks_exclude_processes(tmp_path: Path, make: Callable[[], EmbeddedStore]) -> None:
    shared = tmp_path / "number"
    shared.write_text("")
    files = each(lambda number: str(tmp_path / f"tally{number}"))
    with running(exclude, 3, make, files, 100, str(shared)) as processes:
        for process in processes:
            process.join(120)
            assert process.exitcode == 0
    assert shared.read_text() == "300"


def test_a_process_that_stopped_while_it_wrote_stops_nobody_for_long(tmp_path: Path, store: EmbeddedStore) -> None:
    other = os.open(tmp_path / "running.lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    begun = time.monotonic()
    with pytest.raises(StateError, match="held by another process"):
        store.counters.add(b"/a", 1)
    assert time.monotonic() - begun >= PATIENCE
    with pytest.raises(StateError, match="held by another process"):
        store.counters.add(b"/a", 1)
    assert store.counters.read(b"/a") == 0  # who reads waits for nobody
    fcntl.flock(other, fcntl.LOCK_UN)
    os.close(other)
    assert store.counters.add(b"/a", 1) == 1


def test_a_short_wait_is_waited(tmp_path: Path, store: EmbeddedStore) -> None:
    other = os.open(tmp_path / "running.lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    threading.Timer(0.02, os.close, (other,)).start()
    assert store.counters.add(b"/a", 1) == 1


def test_threads_of_a_process(store: EmbeddedStore) -> None:
    def work() -> None:
        for _ in range(500):
            store.counters.add(b"/a", 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.counters.read(b"/a") == 2000


def test_a_full_file_takes_nothing_new_until_something_has_expired(tmp_path: Path, clock: Clock) -> None:
    store = EmbeddedStore(tmp_path, 4 << 20, clock=clock)
    store.series.add(WORDS, b"first", 1)
    added = 0
    with pytest.raises(StateError, match=r"full: \[state\] size"):
        while added < 100_000:
            store.series.add(WORDS, b"number %d" % added, 1)
            added += 1
    assert added > 1000
    assert store.series.add(WORDS, b"first", 1) == {0: (2, 0, 0)}  # what is there goes on
    clock.now += 100
    while store.sweep(1000):
        pass
    assert [item for item, _ in store.series.items(WORDS, b"", 0)] == []
    until(lambda: _works(store), 5)
    assert (tmp_path / "running.mdb").stat().st_size == 4 << 20
    store.close()


def _works(store: EmbeddedStore) -> bool:
    try:
        store.series.add(WORDS, b"new", 1)
    except StateError:
        return False
    return True


def test_what_is_kept_and_what_is_not(tmp_path: Path, make: Callable[[], EmbeddedStore]) -> None:
    store = make()
    store.series.add(KEPT, b"a", 1)
    store.close()
    store = make()
    assert store.series.count(KEPT, b"a", 0, 0, 2) == 1
    store.close()
    (tmp_path / "without").mkdir()
    store = EmbeddedStore(tmp_path / "without", SIZE, keep=False)
    assert store.series.add(KEPT, b"a", 1) == {0: (1, 0, 0)}
    store.close()
    assert not (tmp_path / "without/kept.mdb").exists()


def test_only_one_process_sweeps(tmp_path: Path, make: Callable[[], EmbeddedStore], store: EmbeddedStore) -> None:
    while store.sweep(100):  # it is the sweeper from now on
        pass
    files = str(tmp_path / "tally")
    with running(_sweeps, 1, make, files) as (process,):
        process.join(60)
        assert process.exitcode == 0
    assert Path(files).read_text() == "False"


def _sweeps(make: Callable[[], EmbeddedStore], tally: str) -> None:
    store = make()
    for number in range(200):
        store.counters.add(b"/%d" % number, 1)
    Path(tally).write_text(str(store.sweep(100)))
    store.close()


def test_signals_do_not_disturb(store: EmbeddedStore) -> None:
    old = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(3000):
            store.counters.add(b"/a", 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert store.counters.read(b"/a") == 3000


def test_a_directory_that_can_t_be_used(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="can't be opened"):
        EmbeddedStore(tmp_path / "missing", SIZE)
    (tmp_path / "running.mdb").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StateError, match="is damaged"):
        EmbeddedStore(tmp_path, SIZE)


def _use(directory: Path) -> None:
    """All that reads and writes what is kept."""
    store = EmbeddedStore(directory, SIZE)
    for number in range(3000):
        store.series.add(KEPT, b"%d" % (number % 1000), 1)
    for _ in range(10):
        store.sweep(1000)
    assert len(list(store.series.items(KEPT, b"", 0))) == 1000
    store.close()


def _noise(file: Path) -> None:
    chance = random.Random(1)
    with file.open("r+b") as out:
        for _ in range(500):
            out.seek(2 * 4096 + chance.randrange(30 * 4096))
            out.write(chance.randbytes(1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_text("something else\n" * 1000),
        lambda file: os.truncate(file, 100),
        lambda file: os.truncate(file, 3 * 4096),
        lambda file: os.truncate(file, 20 * 4096),
        _noise,
    ],
)
def test_a_file_that_is_damaged_is_an_error_that_says_so(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    _use(tmp_path)
    damage(tmp_path / "kept.mdb")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_told, args=(tmp_path, queue))  # it might be ended by it
    process.start()
    assert re.fullmatch(r"StateError: .*kept\.mdb is damaged .*: move it away.*", queue.get(timeout=60))
    process.join(60)
    assert process.exitcode == 0


def _told(directory: Path, queue: multiprocessing.Queue[str]) -> None:
    try:
        _use(directory)
        queue.put("nothing")
    except Exception as error:
        queue.put(f"{type(error).__name__}: {error}")


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "kept.mdb").touch()
    _use(tmp_path)


def test_a_file_of_another_version_is_not_touched(tmp_path: Path) -> None:
    _use(tmp_path)
    environment = Environment(tmp_path, "kept", SIZE)
    environment.write(lambda txn: txn.put(b"v", b"2"))
    environment.close()
    with pytest.raises(StateError, match=r"kept\.mdb is of another version of lumilter: move it away"):
        EmbeddedStore(tmp_path, SIZE)
