"""The file that a program scans: it has the message, and goes even if the process is killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lumilter.adapters.scanners.message_file import message_file, sweep
from support.daemon import ENVIRONMENT

KILLED = """
import os, signal
from lumilter.adapters.scanners.message_file import message_file
with message_file([memoryview(b"x")]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Of temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_has_the_message_for_this_user_and_goes(directory: Path) -> None:
    with message_file([memoryview(b"ab"), memoryview(b""), memoryview(b"cd" * 100_000)]) as name:
        assert Path(name).read_bytes() == b"ab" + b"cd" * 100_000
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    assert not list(directory.iterdir())
    with pytest.raises(ZeroDivisionError), message_file([]):
        raise ZeroDivisionError
    assert not list(directory.iterdir())


def test_one_that_is_removed_meanwhile_is_no_error(directory: Path) -> None:
    with message_file([]) as name:
        Path(name).unlink()


def test_what_a_killed_process_left_is_swept_and_nothing_else(directory: Path) -> None:
    environment = {**ENVIRONMENT, "TMPDIR": str(directory)}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=environment)
    assert killed.returncode == -signal.SIGKILL
    (left,) = directory.iterdir()
    others = directory / "lumilter-scan-link", directory / "lumilter-scan-directory", directory / "lumilter-state"
    others[0].symlink_to(others[2])
    others[1].mkdir()
    others[2].touch()
    with message_file([]) as name:
        sweep()
        assert Path(name).exists()
        assert not left.exists()
        assert all(os.path.lexists(other) for other in others)
