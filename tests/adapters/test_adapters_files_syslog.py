"""adapters.files.syslog: what arrives at the log's socket, and what is refused."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.files import FileError, Files, Settings, SyslogSettings
from lumilter.adapters.http import NoWeb

WEB = NoWeb("nothing")


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def log(tmp_path: Path) -> Iterator[socket.socket]:
    """The system log's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "log"))
        sock.settimeout(60)
        yield sock


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(Settings(syslog=SyslogSettings(str(tmp_path / "log"), "policy", "mail")))


def test_a_line_is_an_entry(log: socket.socket, files: Files) -> None:
    stream = files.open("syslog://", os.O_WRONLY, None, WEB, soon())
    assert stream.write(b"one\ncaf\xe9\r\n\nlast", soon()) == 15
    assert [log.recv(1000) for _ in range(3)] == [b"<19>policy: one", b"<19>policy: caf\xe9", b"<19>policy: last"]
    stream.close()
    stream.close()
    with pytest.raises(FileError, match="closed"):
        stream.write(b"x", soon())


@pytest.mark.parametrize(
    ("uri", "number"),
    [("?facility=local0&priority=info", 134), ("?priority=WARNING", 20), ("?facility=auth", 35), ("?facility=kern", 3)],
)
def test_facility_and_priority(uri: str, number: int, log: socket.socket, files: Files) -> None:
    files.open(f"syslog://{uri}", os.O_WRONLY | os.O_APPEND, None, WEB, soon()).write(b"x", soon())
    assert log.recv(1000) == b"<%d>policy: x" % number


@pytest.mark.parametrize(
    ("uri", "flags", "why"),
    [
        ("syslog://?facility=post", os.O_WRONLY, "'post' is no facility"),
        ("syslog://?priority=high", os.O_WRONLY, "'high' is no priority"),
        ("syslog://?level=info", os.O_WRONLY, "level is neither"),
        ("syslog://", os.O_RDONLY, "can only be written"),
    ],
)
def test_refusals(uri: str, flags: int, why: str, log: socket.socket, files: Files) -> None:
    with pytest.raises(FileError, match=why):
        files.open(uri, flags, None, WEB, soon())
    with pytest.raises(FileError, match="can only be written"):
        files.read(uri, WEB, soon())


def test_no_log(tmp_path: Path, files: Files) -> None:
    with pytest.raises(FileError, match="log: No such file"):
        files.open("syslog://", os.O_WRONLY, None, WEB, soon())
    with pytest.raises(FileError, match="--live"):
        Files(offline=True).open("syslog://", os.O_WRONLY, None, WEB, soon())


def test_a_log_that_is_started_anew(log: socket.socket, files: Files, tmp_path: Path) -> None:
    stream = files.open("syslog://", os.O_WRONLY, None, WEB, soon())
    log.close()
    with pytest.raises(FileError, match="log: Connection refused"):  # it is not there yet
        stream.write(b"one", soon())
    (tmp_path / "log").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as new:
        new.bind(str(tmp_path / "log"))
        new.settimeout(60)
        stream.write(b"two\nthree", soon())
        assert [new.recv(1000) for _ in range(2)] == [b"<19>policy: two", b"<19>policy: three"]


def test_a_log_that_takes_nothing_and_a_line_that_is_too_long(log: socket.socket, files: Files) -> None:
    stream = files.open("syslog://", os.O_WRONLY, None, WEB, soon())
    with pytest.raises(FileError, match="Message too long"):
        stream.write(b"x" * (8 << 20), soon())
    with pytest.raises(FileError, match="timed out"):
        for _ in range(100_000):
            stream.write(b"x" * 1000, soon(0.2))
