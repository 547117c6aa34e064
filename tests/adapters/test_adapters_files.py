"""adapters.files: paths and URIs, appends of several processes, limits, descriptors."""

from __future__ import annotations

import fcntl
import gc
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lumilter.adapters.files import FileError, Files, Limits, Settings
from lumilter.adapters.files.resources import split
from lumilter.adapters.http import NoWeb, WebClient
from support.http_server import http_server

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
WEB = NoWeb("nothing")


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


def read(name: str | Path, files: Files | None = None) -> bytes:
    return (files or Files()).read(str(name), WEB, soon())


def open_fds() -> int:
    """Ours; what earlier tests left may be closed at any time, so that there may be fewer a moment later."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_reading(tmp_path: Path) -> None:
    file = tmp_path / "a b%41"
    file.write_bytes(b"one\ntwo\0\xff\n\nlast")
    assert read(file) == file.read_bytes()
    assert read(f"file://{tmp_path}/a%20b%2541") == file.read_bytes()
    stream = Files().open(str(file), os.O_RDONLY, None, WEB, soon())
    assert stream.read_line(soon()) == b"one"
    assert stream.seek(0, os.SEEK_CUR) == 4
    assert stream.read(3, soon()) == b"two"
    assert [stream.read_line(soon()) for _ in range(4)] == [b"\0\xff", b"", b"last", None]
    assert (stream.read(5, soon()), stream.read_all(soon())) == (b"", b"")
    assert stream.seek(-4, os.SEEK_END) == 11
    assert stream.read_all(soon()) == b"last"
    stream.close()
    stream.close()
    for use in (lambda: stream.read(1, soon()), lambda: stream.seek(0, 0), lambda: stream.write(b"x", soon())):
        with pytest.raises(FileError, match="closed"):
            use()


def test_writing_and_modes(tmp_path: Path) -> None:
    file, umask = tmp_path / "new", os.umask(0)
    try:
        stream = Files().open(str(file), os.O_RDWR | os.O_CREAT, 0o604, WEB, soon())
        Files().open(str(tmp_path / "other"), APPEND, None, WEB, soon())
    finally:
        os.umask(umask)
    assert stream.write(b"hello world", soon()) == 11
    assert stream.seek(6, os.SEEK_SET) == 6
    assert stream.read(2, soon()) == b"wo"
    stream.write(b"XX", soon())
    assert file.read_bytes() == b"hello woXXd"
    assert (file.stat().st_mode & 0o777, (tmp_path / "other").stat().st_mode & 0o777) == (0o604, 0o640)


@pytest.mark.parametrize(
    ("name", "flags", "why"),
    [
        ("{}/none", os.O_RDONLY, "No such file"),
        ("{}", os.O_RDONLY, "neither a file"),
        ("{}/fifo", os.O_RDONLY, "neither a file"),
        ("{}/fifo", os.O_WRONLY, "No such device"),
        ("{}/socket", os.O_RDONLY, "No such device"),
        ("{}/a\0b", os.O_RDONLY, "null byte"),
        ("{}/file", 1 << 30, "no sum of"),
        ("{}/file", -1, "no sum of"),
        ("{}/file", os.O_CREAT | os.O_EXCL, "File exists"),
        ("file://elsewhere/x", os.O_RDONLY, "of this machine"),
        ("ftp://x", os.O_RDONLY, "ftp: is no scheme"),
        ("http://127.0.0.1/", os.O_WRONLY, "only be read"),
        ("http://127.0.0.1/", os.O_RDONLY, "nothing"),
        ("jlog:///tmp/x", os.O_RDONLY, "read by its subscribers"),
    ],
)
def test_what_can_t_be_opened(tmp_path: Path, name: str, flags: int, why: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        before = open_fds()
        with pytest.raises(FileError, match=why):
            Files().open(name.format(tmp_path), flags, None, WEB, soon())
        assert open_fds() <= before


def test_names(tmp_path: Path) -> None:
    assert split("relative:name.txt") == ("file", "relative:name.txt")
    assert split("FILE:/a") == ("file", "/a")
    assert split("file://localhost/a%2fb") == ("file", "/a/b")
    assert split("cluster:///a=>b") == ("jlog", "///a=>b")


def test_limits(tmp_path: Path) -> None:
    files = Files(Settings(Limits(1000)))
    file = tmp_path / "big"
    file.write_bytes(b"x" * 1001)
    for use in ("read_all", "read_line"):
        stream = files.open(str(file), os.O_RDONLY, None, WEB, soon())
        with pytest.raises(FileError, match="max_read"):
            getattr(stream, use)(soon())
    with pytest.raises(FileError, match="max_read"):
        stream.read(1001, soon())
    with pytest.raises(FileError, match="max_read"):
        read(file, files)
    with pytest.raises(FileError, match="no end"):
        read("/dev/zero")
    assert len(files.open("/dev/zero", os.O_RDONLY, None, WEB, soon()).read(1000, soon())) == 1000
    assert read("/proc/self/cmdline", files)


def test_descriptors_are_closed(tmp_path: Path) -> None:
    files, before = Files(), open_fds()
    for number in range(50):
        files.open(str(tmp_path / f"{number}"), APPEND, None, WEB, soon()).write(b"x", soon())
    assert open_fds() <= before
    kept = files.open(str(tmp_path / "kept"), APPEND, None, WEB, soon())
    files.close()
    assert open_fds() <= before
    with pytest.raises(FileError, match="closed"):
        kept.write(b"x", soon())


def test_descriptors_are_not_inherited(tmp_path: Path) -> None:
    stream = Files().open(str(tmp_path / "x"), APPEND, None, WEB, soon())
    assert not os.get_inheritable(stream._fd)  # type: ignore[attr-defined]


# --- appends ----------------------------------------------------------------------------------------------------------


def appender(path: str, number: int, lines: int) -> None:
    files = Files()
    for line in range(lines):
        stream = files.open(path, APPEND, 0o600, WEB, soon())
        text = f"{number}:{line}:".encode() + b"%d" % (number % 10) * (1 + (number * 7919 + line * 104729) % 30_000)
        stream.write(text + b"\n", soon())


def test_appends_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=appender, args=(str(path), number, 100)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    seen = set()
    for line in path.read_bytes().splitlines():
        number, count, rest = line.split(b":")
        seen.add((int(number), int(count)))
        assert set(rest) == {number[-1]}
        assert len(rest) == 1 + (int(number) * 7919 + int(count) * 104729) % 30_000
    assert seen == {(number, line) for number in range(4) for line in range(100)}


def test_appends_of_several_threads_with_one_handle(tmp_path: Path) -> None:
    stream = Files().open(str(tmp_path / "log"), APPEND, None, WEB, soon())
    lines = [b"%d" % number * 20_000 + b"\n" for number in range(8)]
    threads = [threading.Thread(target=lambda line=line: stream.write(line, soon())) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((tmp_path / "log").read_bytes().splitlines(keepends=True)) == lines


def test_a_lock_that_is_never_given_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    stream = Files().open(str(path), APPEND, None, WEB, soon())
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FileError, match="locked by another process"):
            stream.write(b"x\n", soon(0.1))
    assert stream.write(b"y\n", soon()) == 2
    assert path.read_bytes() == b"y\n"


def test_a_full_disk() -> None:
    stream = Files().open("/dev/full", os.O_WRONLY, None, WEB, soon())
    with pytest.raises(FileError, match="No space left"):
        stream.write(b"x", soon())


def test_an_append_that_fails_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import os, resource, time
from lumilter.adapters.files import FileError, Files
from lumilter.adapters.http import NoWeb
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
stream = Files().open({str(tmp_path / "log")!r}, {APPEND}, None, NoWeb(""), time.monotonic() + 60)
stream.write(b"a" * 599 + b"\\n", time.monotonic() + 60)
try:
    stream.write(b"b" * 599 + b"\\n", time.monotonic() + 60)
except FileError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in ran.stdout
    assert (tmp_path / "log").read_bytes() == b"a" * 599 + b"\n"


# --- http: ------------------------------------------------------------------------------------------------------------


def test_http(tmp_path: Path) -> None:
    web = WebClient()
    with http_server() as server:
        assert Files().read(server.url + "/redirect/1", web, soon()) == b"arrived"
        with pytest.raises(FileError, match="404 Not Found"):
            Files().read(server.url + "/status/404", web, soon())
        stream = Files().open(server.url + "/size/100", os.O_RDONLY, None, web, soon())
        assert (stream.read(30, soon()), stream.seek(10, os.SEEK_CUR)) == (b"x" * 30, 40)
        assert (stream.read_line(soon()), stream.read_line(soon())) == (b"x" * 60, None)
        assert stream.seek(-5, os.SEEK_END) == 95
        assert stream.read_all(soon()) == b"x" * 5
        for use in (lambda: stream.write(b"x", soon()), lambda: stream.seek(-1, os.SEEK_SET)):
            with pytest.raises(FileError):
                use()
        stream.close()
        with pytest.raises(FileError, match="closed"):
            stream.read(1, soon())


def test_offline_a_file_that_is_written_is_a_copy(tmp_path: Path) -> None:
    log, new, small = tmp_path / "log", tmp_path / "new", tmp_path / "small"
    log.write_bytes(b"before\n")
    small.write_bytes(b"keep")
    files = Files(offline=True)
    before = {path: path.stat().st_mtime_ns for path in (log, small)}
    for path in (log, new):
        stream = files.open(str(path), APPEND, None, WEB, soon())
        assert stream.write(b"line\n", soon()) == 5
    files.open(f"file://{small}", os.O_RDONLY | os.O_TRUNC, None, WEB, soon())
    assert (read(log, files), read(new, files), read(small, files)) == (b"before\nline\n", b"line\n", b"")
    assert log.read_bytes() == b"before\n" and small.read_bytes() == b"keep" and not new.exists()
    assert {path: path.stat().st_mtime_ns for path in (log, small)} == before
    assert files.open("/dev/null", os.O_WRONLY, None, WEB, soon()).write(b"x", soon()) == 1
    for path, flags, why in (
        (tmp_path / "none/x", APPEND, "No such file"),
        (tmp_path / "none", os.O_RDWR, "No such file"),
        (tmp_path, os.O_WRONLY, "Is a directory"),
        (log, APPEND | os.O_EXCL, "File exists"),
    ):
        with pytest.raises(FileError, match=why):
            files.open(str(path), flags, None, WEB, soon())
    with pytest.raises(FileError, match="--live"):
        files.open(f"jlog://{tmp_path}/jlog=>x", APPEND, None, WEB, soon())
    with (tmp_path / "large").open("wb") as large:
        large.truncate(65 << 20)
    with pytest.raises(FileError, match="too large"):
        files.open(str(tmp_path / "large"), APPEND, None, WEB, soon())
    files.close()
    assert read(log, files) == b"before\n"
