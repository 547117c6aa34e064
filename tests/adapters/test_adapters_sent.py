"""adapters.sent: keys that are remembered, by many processes, across kills."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.sent import SentError, SentMemory
from lumilter.errors import LumilterError

MILTER = str(Path(__file__).parents[2] / "milter")


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


NEIGHBOUR = next(key(number) for number in range(1, 10_000) if key(number)[:2] == key(0)[:2])
"""A key in the directory of key(0)."""

KEYS = st.integers(0, 9).map(key)
STEPS = st.lists(
    st.tuples(st.just("add"), KEYS) | st.tuples(st.just("forget"), st.lists(KEYS, max_size=4)), max_size=20
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_it_is_a_set_for_all_who_use_the_directory(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        memories = [SentMemory(Path(directory) / "sent") for _ in range(2)]
        expected: set[object] = set()
        for number, (step, argument) in enumerate(steps):
            getattr(memories[number % 2], step)(argument)
            expected = expected | {argument} if step == "add" else expected - set(argument)  # type: ignore[call-overload]
        for memory in memories:
            assert {one for one in map(key, range(10)) if memory.has(one)} == expected


def test_keys_expire_and_are_reclaimed(tmp_path: Path) -> None:
    SentMemory(tmp_path, keep=100).add(key(0))
    SentMemory(tmp_path, keep=100).add(key(1))
    file = tmp_path / key(0)[:2] / key(0)
    then = time.time() - 101
    os.utime(file, (then, then))
    memory = SentMemory(tmp_path, keep=100)
    assert not memory.has(key(0))
    assert memory.has(key(1))
    memory.add(NEIGHBOUR)
    assert not file.exists()
    memory.add(key(0))
    assert memory.has(key(0))
    assert memory.has(NEIGHBOUR)


def test_adding_again_starts_the_time_again(tmp_path: Path) -> None:
    memory = SentMemory(tmp_path, keep=100)
    memory.add(key(0))
    then = time.time() - 99
    os.utime(tmp_path / key(0)[:2] / key(0), (then, then))
    memory.add(key(0))
    assert (tmp_path / key(0)[:2] / key(0)).stat().st_mtime > then + 50


@pytest.mark.parametrize("wrong", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_only_keys_are_keys(tmp_path: Path, wrong: str) -> None:
    memory = SentMemory(tmp_path)
    for call in (memory.has, memory.add, lambda one: memory.forget([one])):
        with pytest.raises(ValueError, match="SHA-256"):
            call(wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = SentMemory(tmp_path / "file")
    for call in (memory.has, memory.add, lambda one: memory.forget([one])):
        with pytest.raises(SentError, match="file") as caught:
            call(key(0))
        assert isinstance(caught.value, LumilterError)


def test_files_are_private(tmp_path: Path) -> None:
    SentMemory(tmp_path / "sent").add(key(0))
    modes = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.rglob("*"))]
    assert modes == [0o700, 0o700, 0o600]


def test_a_key_that_is_being_added_is_not_swept(tmp_path: Path) -> None:
    """Who adds and who sweeps hold the directory's lock against each other."""
    file = tmp_path / key(0)[:2] / key(0)
    SentMemory(tmp_path, keep=50).add(key(0))
    then = time.time() - 60
    os.utime(file, (then, then))
    lock = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)  # another process adds
        SentMemory(tmp_path, keep=50).add(NEIGHBOUR)
        assert file.exists()
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process sweeps
        adding = threading.Thread(target=SentMemory(tmp_path, keep=50).add, args=(key(0),))
        adding.start()
        adding.join(0.2)
        assert adding.is_alive()
        file.unlink()
    finally:
        os.close(lock)
    adding.join()
    assert SentMemory(tmp_path, keep=50).has(key(0))


ADDER = """
import hashlib, itertools, pathlib, sys
from lumilter.adapters.sent import SentMemory
memory = SentMemory(pathlib.Path(sys.argv[1]))
for number in itertools.count():
    key = hashlib.sha256(f"{sys.argv[2]} {number}".encode()).hexdigest()
    memory.add(key)
    print(key, flush=True)
"""


def test_what_was_added_survives_sigkill(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDER, str(tmp_path), str(number)],
            env={**os.environ, "PYTHONPATH": MILTER},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    added = []
    for number, process in enumerate(processes):
        assert process.stdout is not None
        added += [process.stdout.readline().strip() for _ in range(20 + 7 * number)]
        process.send_signal(signal.SIGKILL)
        added += [line.strip() for line in process.stdout if line.endswith("\n")]
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    memory = SentMemory(tmp_path)
    assert len(added) >= 3 * 20
    assert all(memory.has(one) for one in added)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) <= len(added) + 3
