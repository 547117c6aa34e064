"""adapters.filesystems: snapshots against the system's own, their age, and file systems that do not answer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from lumilter.adapters import filesystems
from lumilter.adapters.filesystems import Filesystems, Record, Statvfs
from lumilter.errors import LookupFailed, LumilterError


def test_the_figures_are_the_system_s(tmp_path: Path) -> None:
    system = os.statvfs(tmp_path)
    found = Record(str(tmp_path), 10).refresh(time.monotonic() + 10)
    assert found.kilobytes_total == system.f_blocks * system.f_frsize // 1024
    assert found.objects_total == system.f_files
    assert 0 < found.kilobytes_available <= found.kilobytes_total
    assert 0 <= found.objects_available <= found.objects_total


def test_a_snapshot_is_good_for_the_smallest_interval(tmp_path: Path) -> None:
    service = Filesystems()
    record = service.subscribe(str(tmp_path), 3600)
    assert record.latest() is None
    first = record.refresh(time.monotonic() + 10)
    assert record.latest() is first
    assert record.refresh(time.monotonic() + 10) is first
    assert service.subscribe(str(tmp_path), 0.001) is record
    time.sleep(0.01)
    assert record.latest() is None
    assert record.refresh(time.monotonic() + 10) is not first
    assert service.subscribe(str(tmp_path), 0).interval == 0.001
    assert service.record(str(tmp_path)) is record
    assert service.record("/elsewhere") is None
    assert service.subscribe("/other", 0).interval == filesystems.DEFAULT_INTERVAL


def test_what_does_not_answer_is_waited_for_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hanging, asked = threading.Event(), []
    system = os.statvfs

    def statvfs(path: bytes) -> os.statvfs_result:
        asked.append(path)
        if len(asked) == 2:
            hanging.wait(30)
        return system(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    record = Record(str(tmp_path), 0.001)
    before = record.refresh(time.monotonic() + 10)
    time.sleep(0.01)
    thread = threading.Thread(target=lambda: record.refresh(time.monotonic() + 30))
    thread.start()
    while len(asked) < 2:
        time.sleep(0.001)
    assert record.latest() is before  # nobody waits for what is being asked
    with pytest.raises(LookupFailed, match="no answer of the file system in time"):
        record.refresh(time.monotonic() + 0.01)
    hanging.set()
    thread.join()
    assert asked == [os.fsencode(tmp_path)] * 2
    assert isinstance(record.refresh(time.monotonic() + 10), Statvfs)


@pytest.mark.parametrize(("path", "interval"), [("a\0b", 1), ("/tmp", -1), ("/tmp", float("nan")), ("/tmp", 1e300)])
def test_what_can_t_be_subscribed_to(path: str, interval: float) -> None:
    with pytest.raises(LumilterError):
        Filesystems().subscribe(path, interval)


def test_subscriptions_are_bounded() -> None:
    service = Filesystems()
    for number in range(filesystems._PATHS):
        service.subscribe(f"/{number}", 1)
    with pytest.raises(LumilterError, match="are subscribed to already"):
        service.subscribe("/more", 1)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LookupFailed, match="No such file or directory"):
        Record(str(tmp_path / "gone"), 1).refresh(time.monotonic() + 10)
