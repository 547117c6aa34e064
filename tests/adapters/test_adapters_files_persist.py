"""adapters.files.persist: what is there is read, what has gone is read from its copy."""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import Path

import pytest

from lumilter.adapters.files import FileError, Files, Settings
from lumilter.adapters.http import NoWeb, WebClient
from support.http_server import http_server

WEB = NoWeb("nothing")


def soon() -> float:
    return time.monotonic() + 60


def test_a_server_that_goes_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = Files(Settings(persist=str(tmp_path / "kept")))
    with http_server() as server:
        uri = f"persist://{server.url}/size/100"
        assert files.read(uri, WebClient(), soon()) == b"x" * 100
    web = WebClient()  # without a connection
    with caplog.at_level(logging.WARNING):
        assert files.read(uri, web, soon()) == b"x" * 100
        assert files.open(uri, os.O_RDONLY, None, web, soon()).read(5, soon()) == b"xxxxx"
    assert caplog.text.count("the copy is used") == 2
    with pytest.raises(FileError):
        files.read(f"persist://{server.url}/size/200", web, soon())


def test_the_copy_is_what_was_read_last(tmp_path: Path) -> None:
    source, kept = tmp_path / "source", tmp_path / "kept"
    files = Files(Settings(persist=str(kept)))
    uri = f"persist:file://{source}"
    for content in (b"old", b"new", b"new"):
        source.write_bytes(content)
        assert files.read(uri, WEB, soon()) == content
    source.unlink()
    assert files.read(uri, WEB, soon()) == b"new"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert [stat.S_IMODE(copy.stat().st_mode) for copy in kept.iterdir()] == [0o600]


def test_where_no_copy_can_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    uri = f"persist://{source}"
    with pytest.raises(FileError, match=r"\[files\] persist"):
        Files().read(uri, WEB, soon())
    assert Files(Settings(persist=str(source / "none"))).read(uri, WEB, soon()) == b"content"
    assert "no copy could be kept" in caplog.text
    assert Files(Settings(persist=str(tmp_path / "kept")), offline=True).read(uri, WEB, soon()) == b"content"
    assert not (tmp_path / "kept").exists()


def test_the_log_tells_no_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = Files(Settings(persist=str(tmp_path / "kept")))
    with http_server() as server:
        place = server.url.removeprefix("http://")
        uri = f"persist://http://user:hidden@{place}/size/5?token=hidden"
        assert files.read(uri, WebClient(), soon()) == b"xxxxx"
    assert files.read(uri, WebClient(), soon()) == b"xxxxx"
    assert f"persist:http://{place}/size/5: " in caplog.text
    assert "hidden" not in caplog.text


def test_it_is_for_reading(tmp_path: Path) -> None:
    files = Files(Settings(persist=str(tmp_path), programs=True))
    with pytest.raises(FileError, match="can only be read"):
        files.open(f"persist://{tmp_path}/x", os.O_WRONLY | os.O_CREAT, None, WEB, soon())
    for inner in ("pipe:///bin/cat", "syslog://", "jlog:///x", "persist:" * 10_000):
        with pytest.raises(FileError):
            files.read(f"persist://{inner}", WEB, soon())
    assert not list(tmp_path.iterdir())
