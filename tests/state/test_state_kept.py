"""state.kept: what persists, over the death of processes and of the machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lumilter.state import embedded, kept
from lumilter.state.contract import Series
from lumilter.state.embedded import EmbeddedStore

SIZE = 8 << 20
SERIES = Series("kept", "string", 86400, 3, keep=True)


def opened(directory: Path) -> EmbeddedStore:
    kept.make_ready(directory)
    return EmbeddedStore(directory, SIZE)


def count(store: EmbeddedStore) -> int:
    return store.series.count(SERIES, b"a", 0, 0, 2)


def another_boot(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "boot_id").write_text("another\n")
    monkeypatch.setattr(kept, "_BOOT", directory / "boot_id")


def test_the_same_boot_trusts_the_file_however_the_daemon_ended(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.series.add(SERIES, b"a", 1)
    store.close()
    store = opened(tmp_path)
    assert count(store) == 1
    store.close()


def test_where_the_boots_identifier_is_hidden_its_time_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept, "_BOOT", tmp_path / "hidden")
    store = opened(tmp_path)
    store.series.add(SERIES, b"a", 1)
    store.close()
    store = opened(tmp_path)
    assert count(store) == 1
    store.close()
    mark = tmp_path / "kept.boot"
    mark.write_text(str(int(mark.read_text()) - 60))
    store = opened(tmp_path)
    assert count(store) == 0
    store.close()
    assert "was not shut down in order" in caplog.text


def test_another_boot_trusts_it_if_the_daemon_ended_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    store.series.add(SERIES, b"a", 1)
    store.close()
    kept.put_away(tmp_path)
    another_boot(tmp_path, monkeypatch)
    store = opened(tmp_path)
    assert count(store) == 1
    store.close()


def test_else_the_last_snapshot_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "_SNAPSHOT", 0.05)
    store = opened(tmp_path)
    store.series.add(SERIES, b"a", 1)
    time.sleep(0.1)
    store.sweep(100)
    assert (tmp_path / "kept.snapshot").exists()
    store.series.add(SERIES, b"a", 1)
    store.close()
    with (tmp_path / "kept.mdb").open("r+b") as file:  # as after a power failure
        file.seek(4096)
        file.write(b"\xff" * 100_000)
    another_boot(tmp_path, monkeypatch)
    store = opened(tmp_path)
    assert count(store) == 1
    assert "those of the last snapshot" in caplog.text
    store.series.add(SERIES, b"a", 1)
    assert count(store) == 2
    store.close()


def test_and_without_one_it_begins_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(tmp_path)
    store.series.add(SERIES, b"a", 1)
    store.close()
    another_boot(tmp_path, monkeypatch)
    store = opened(tmp_path)
    assert count(store) == 0
    assert "are lost" in caplog.text
    store.close()


def test_a_snapshot_is_made_only_when_something_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_SNAPSHOT", 0.0)
    store = opened(tmp_path)
    store.series.add(SERIES, b"a", 1)
    store.sweep(100)
    first = (tmp_path / "kept.snapshot").stat()
    while store.sweep(100):
        pass
    assert (tmp_path / "kept.snapshot").stat().st_mtime_ns == first.st_mtime_ns
    store.series.add(SERIES, b"a", 1)
    store.sweep(100)
    assert (tmp_path / "kept.snapshot").stat().st_mtime_ns != first.st_mtime_ns
    store.close()
