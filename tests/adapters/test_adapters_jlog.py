"""adapters.files.jlog: what is written is what jlog.c writes and its readers find.

The bytes here were compared with those of the C library (2.6), which also read and wrote jlogs at the same time as this
writer: github.com/omniti-labs/jlog is in no distribution, so that comparison is not repeated here.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.files import FileError, Files
from lumilter.adapters.files.jlog import JlogWriter
from lumilter.adapters.http import NoWeb

MAGIC = 0x663A7318
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


def messages(path: Path) -> Iterator[bytes]:
    """As a reader finds them, segment by segment."""
    for segment in sorted(path.glob("????????")):
        content = segment.read_bytes()
        at = 0
        while at < len(content):
            magic, seconds, micro, length = struct.unpack_from("=IIII", content, at)
            assert (magic, micro < 1_000_000) == (MAGIC, True)
            assert abs(seconds - time.time()) < 600
            yield content[at + 16 : at + 16 + length]
            at += 16 + length
        assert at == len(content)


def limit_segments(path: Path, size: int) -> None:
    with (path / "metastore").open("r+b") as file:
        file.seek(4)
        file.write(struct.pack("=I", size))


def test_the_bytes(tmp_path: Path) -> None:
    path, umask = tmp_path / "log", os.umask(0)
    try:
        writer = JlogWriter(str(path), ("my subscriber",), True, 0o660)
        for message in (b"hello\n", b"", b"\0\xff"):
            assert writer.write(message, soon()) == len(message)
    finally:
        os.umask(umask)
    found = {file.name: file.read_bytes() for file in path.iterdir()}
    segment = found.pop("00000000")
    if sys.byteorder == "little":
        assert found == {
            "cp.6d792073756273637269626572": bytes(8),
            "metastore": bytes.fromhex("00000000000040000100000018733a66"),
        }
        assert segment[:4].hex() == "18733a66"
        assert segment[12:22].hex() == "0600000068656c6c6f0a"
    assert list(messages(path)) == [b"hello\n", b"", b"\0\xff"]
    assert path.stat().st_mode & 0o777 == 0o770
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o660}


def test_segments(tmp_path: Path) -> None:
    writer = JlogWriter(str(tmp_path / "log"), (), True, 0o600)
    limit_segments(tmp_path / "log", 100)
    for number in range(10):
        writer.write(b"%d" % number * 50, soon())
    assert sorted(file.name for file in (tmp_path / "log").iterdir()) == [
        *(f"{number:08x}" for number in range(6)), "metastore",
    ]  # fmt: skip
    assert [message[:1] for message in messages(tmp_path / "log")] == [b"%d" % number for number in range(10)]
    writer.write(b"x" * 1000, soon())
    assert struct.unpack("=I", (tmp_path / "log" / "metastore").read_bytes()[:4]) == (6,)


def test_a_segment_that_was_read_and_removed(tmp_path: Path) -> None:
    writer = JlogWriter(str(tmp_path / "log"), (), True, 0o600)
    limit_segments(tmp_path / "log", 10)
    writer.write(b"one", soon())
    (tmp_path / "log" / "00000000").unlink()
    writer.write(b"two", soon())
    assert list(messages(tmp_path / "log")) == [b"two"]


def test_subscribers(tmp_path: Path) -> None:
    path = tmp_path / "log"
    JlogWriter(str(path), ("a",), True, 0o600).write(b"1", soon())
    (path / "00000000").rename(path / "00000007")
    JlogWriter(str(path), ("b",), True, 0o600)
    assert (path / "cp.61").read_bytes() == bytes(8)
    assert (path / "cp.62").read_bytes() == struct.pack("=II", 7, 0)
    (path / "cp.61").write_bytes(struct.pack("=II", 9, 3))
    JlogWriter(str(path), ("a",), True, 0o600)
    assert (path / "cp.61").read_bytes() == struct.pack("=II", 9, 3)


def write(path: str, number: int, count: int) -> None:
    writer = JlogWriter(path, ("master",), True, 0o600)
    for message in range(count):
        writer.write(b"%d:%d:" % (number, message) + b"%d" % number * (message * 37 % 900), soon())


def test_several_processes_and_threads(tmp_path: Path) -> None:
    path = tmp_path / "log"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=write, args=(str(path), number, 300)) for number in range(3)]
    threads = [threading.Thread(target=write, args=(str(path), number, 300)) for number in range(3, 6)]
    for each in (*workers, *threads):
        each.start()
    while not (path / "metastore").exists():
        time.sleep(0.01)
    limit_segments(path, 5000)
    for each in (*workers, *threads):
        each.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    found: dict[int, list[int]] = {}
    for message in messages(path):
        number, count, rest = message.split(b":")
        assert rest == number * (int(count) * 37 % 900)
        found.setdefault(int(number), []).append(int(count))
    assert found == {number: list(range(300)) for number in range(6)}


def test_what_is_no_jlog(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name, create, why in (
        ("full", True, "something else in it"),
        ("file", True, "Not a directory"),
        ("none", False, "no jlog"),
        ("empty", False, "no jlog"),
        ("no/parent", True, "No such file"),
    ):
        with pytest.raises(FileError, match=why):
            JlogWriter(str(tmp_path / name), (), create, 0o600)
    JlogWriter(str(tmp_path / "empty"), (), True, 0o600).write(b"x", soon())
    assert list(messages(tmp_path / "empty")) == [b"x"]


@pytest.mark.parametrize(
    ("metastore", "why"),
    [
        (struct.pack("=IIII", 0, 4 << 20, 1, 0x15106A01), "compressed"),
        (struct.pack("=IIII", 0, 4 << 20, 1, 0x18733A66), "damaged, or of another byte order"),
        (struct.pack("=IIII", 0, 0, 1, MAGIC), "damaged"),
        (bytes(12), "has 12 bytes"),
    ],
)
def test_metastores_that_are_not_written_to(tmp_path: Path, metastore: bytes, why: str) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "metastore").write_bytes(metastore)
    with pytest.raises(FileError, match=why):
        JlogWriter(str(tmp_path / "log"), (), True, 0o600)


def test_a_lock_that_is_never_given_back(tmp_path: Path) -> None:
    writer = JlogWriter(str(tmp_path / "log"), (), True, 0o600)
    writer.write(b"x", soon())
    reader, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with (tmp_path / "log" / "00000000").open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(writing, b"1")
            time.sleep(60)
        os._exit(0)
    try:
        os.read(reader, 1)
        with pytest.raises(FileError, match="locked"):
            writer.write(b"y", soon(0.1))
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writing)
    writer.write(b"z", soon())
    assert list(messages(tmp_path / "log")) == [b"x", b"z"]


def test_uris(tmp_path: Path) -> None:
    files, web = Files(), NoWeb("nothing")
    for uri in (f"jlog://{tmp_path}/one=>master", f"cluster:/{tmp_path}/one=>master", f"jlog:{tmp_path}/one"):
        stream = files.open(uri, APPEND, 0o600, web, soon())
        stream.write(uri.encode(), soon())
        with pytest.raises(FileError, match="read by its subscribers"):
            stream.read(1, soon())
        with pytest.raises(FileError, match="read by its subscribers"):
            stream.read_line(soon())
        with pytest.raises(FileError, match="read by its subscribers"):
            stream.read_all(soon())
        with pytest.raises(FileError, match="no position"):
            stream.seek(0, 0)
        stream.close()
        with pytest.raises(FileError, match="closed"):
            stream.write(b"x", soon())
    assert len(list(messages(tmp_path / "one"))) == 3
    assert (tmp_path / "one" / "cp.6d6173746572").exists()
    with pytest.raises(FileError, match="read by its subscribers"):
        files.read(f"jlog:{tmp_path}/one", web, soon())
    files.open(f"cluster://{tmp_path}/two?subscribers=a,b,", APPEND, None, web, soon())
    assert {path.name for path in (tmp_path / "two").glob("cp.*")} == {"cp.61", "cp.62"}
