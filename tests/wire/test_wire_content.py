"""A message's content: limits, the spool, a disk that is full."""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.session.events import Action, Outcome
from lumilter.wire.content import Content, Limits
from lumilter.wire.debts import TEMPFAIL

LINE = b"x" * 998 + b"\r\n"


def filled(limits: Limits, lines: int = 10) -> Content:
    content = Content(limits)
    content.add_header(b"Subject", b" x")
    for _ in range(lines):
        content.add_body(LINE)
    return content


def spool_files() -> int:
    """Deleted files that this process has open or mapped."""
    found = 0
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208
        path = Path("/proc/self/fd") / entry
        found += path.is_symlink() and "(deleted)" in str(path.readlink()) and "lumilter-spool" in str(path.readlink())
    return found + Path("/proc/self/maps").read_text().count("lumilter-spool")


@pytest.fixture
def spool(tmp_path: Path) -> str:
    directory = tmp_path / "lumilter-spool"
    directory.mkdir()
    return str(directory)


def test_a_body_up_to_the_limit_stays_in_memory(spool: str) -> None:
    content = filled(Limits(memory_body=10_000, spool=spool))
    assert content.body() == LINE * 10
    assert type(content.body()) is bytes


def test_a_longer_body_is_a_read_only_view_of_an_unlinked_file(spool: str) -> None:
    content = filled(Limits(memory_body=9_999, spool=spool), 100)
    body = content.body()
    assert isinstance(body, memoryview)
    assert body.readonly
    assert body == LINE * 100
    assert os.listdir(spool) == []  # noqa: PTH208
    assert spool_files() > 0
    content.clear()
    assert spool_files() == 0
    with pytest.raises(ValueError, match="released"):
        bytes(body)
    content.add_body(LINE)
    assert content.body() == LINE


def test_a_view_that_somebody_holds_lives_on(spool: str) -> None:
    content = filled(Limits(memory_body=1, spool=spool))
    body = content.body()
    assert isinstance(body, memoryview)
    part = body[:10]
    content.clear()
    assert part == LINE[:10]
    part.release()
    body.release()
    del body, part
    gc.collect()
    assert spool_files() == 0


def test_a_message_that_is_too_long_is_not_kept(spool: str) -> None:
    hit: list[str] = []
    answer = Outcome(Action.REJECT)
    limits = Limits(5_000, spool, message_size=50_000, on_message_size=answer, on_limit=hit.append)
    content = filled(limits, 49)
    assert content.outcome is None
    content.add_body(LINE)
    content.add_body(LINE)
    content.add_header(b"X", b"y")
    assert (content.outcome, content.headers, content.body(), hit) == (answer, [], b"", ["message_size"])
    assert spool_files() == 0
    content.clear()
    assert content.outcome is None


@pytest.mark.parametrize("action", [Action.TEMPFAIL, Action.REJECT])
def test_too_many_headers(action: Action) -> None:
    hit: list[str] = []
    answer = Outcome(action)
    content = Content(Limits(headers=1 << 20, on_headers=answer, on_limit=hit.append))
    taken = 0
    while content.outcome is None:
        content.add_header(b"X", b"")
        taken += 1
    assert 1_000 < taken < 10_000
    assert (content.outcome, content.headers, hit) == (answer, [], ["headers"])


def test_a_directory_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    hit: list[str] = []
    answer = Outcome(Action.ACCEPT)
    content = filled(Limits(memory_body=1, spool="/nonexistent", on_limit=hit.append, on_spool=answer))
    assert (content.outcome, content.body(), hit) == (answer, b"", ["spool"])
    assert caplog.text.count("can't be spooled") == 1


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 100 kB: a write is cut short, and the next one fails, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_is_full(spool: str, caplog: pytest.LogCaptureFixture) -> None:
    hit: list[str] = []
    content = filled(Limits(memory_body=1, spool=spool, on_limit=hit.append), 300)
    assert (content.outcome, content.body(), hit) == (TEMPFAIL, b"", ["spool"])
    assert caplog.text.count("can't be spooled") == 1
    assert spool_files() == 0
    content.clear()
    content.add_body(LINE * 2)
    assert content.body() == LINE * 2
