"""What scripts ask of a hostile outside: the error that was expected, nobody else held up, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "outside.py"


@pytest.mark.parametrize(
    ("times", "faults"),
    [(300, ["down", "drops", "garbage", "callback", "xml", "json", "files"]),
     (60, ["slow", "gigabyte", "certificate", "redirects"])],
    ids=["quick", "slow"],
)  # fmt: skip
def test_every_fault(times: int, faults: list[str]) -> None:
    """In a process of its own, because descriptors and memory are counted."""
    ran = subprocess.run([sys.executable, PROGRAM, str(times), *faults], capture_output=True, text=True, timeout=250)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [line.partition(":")[0] for line in ran.stdout.splitlines()] == faults
