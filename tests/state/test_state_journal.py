"""state.journal: windows in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.errors import LumilterError
from lumilter.state.contract import Series
from lumilter.state.journal import Journal
from lumilter.state.memory import MemoryStore
from lumilter.state.places import Rules
from lumilter.state.state import State
from state.conftest import Clock

CLIENTS = Series("spam/clients", "cidr", 900, 4)
WORDS = Series("words", "string", 900, 4)


def test_a_window_is_written_once_when_it_is_over(tmp_path: Path, clock: Clock) -> None:
    clock.now = 1_800_000_000.0  # 2027-01-15T08:00:00
    store = MemoryStore(clock)
    journal = Journal(tmp_path / "log", store.series, clock)
    journal.series += [CLIENTS, WORDS]
    journal.step()
    store.series.add(CLIENTS, bytes([10, 0, 0, 1]), 3)
    store.series.add(CLIENTS, bytes([10, 0, 0, 2]), 1)
    store.series.add(WORDS, b'a "word", caf\xe9', 2)
    journal.step()
    assert not (tmp_path / "log").exists()
    clock.now += 900
    store.series.add(CLIENTS, bytes([10, 0, 0, 3]), 1)
    journal.step()
    journal.step()
    files = {file.name: file.read_bytes() for file in (tmp_path / "log").iterdir()}
    assert files == {
        "spam_clients.20270115T080000": b"10.0.0.1,3\n10.0.0.2,1\n",
        "words.20270115T080000": b'"a ""word"", caf\xe9",2\n',
    }
    clock.now += 900
    journal.step()
    assert (tmp_path / "log/spam_clients.20270115T081500").read_text() == "10.0.0.3,1\n"


def test_a_directory_that_can_t_be_written_is_logged(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log").write_text("a file")
    journal = Journal(tmp_path / "log", MemoryStore(clock).series, clock)
    journal.series.append(WORDS)
    journal.step()
    clock.now += 900
    journal.step()
    assert "the audit series words could not be written to a file" in caplog.text


def test_serialize_needs_a_place(tmp_path: Path) -> None:
    with pytest.raises(LumilterError, match="log_dir"):
        State().windows.define(WORDS, False, serialize=True)
    state = State(rules=Rules(log_dir=str(tmp_path)))
    assert state.windows.define(WORDS, False, serialize=True)
    assert state.windows.define(WORDS, False, serialize=True)
    assert state.windows.journal.series == [WORDS]
