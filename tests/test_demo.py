"""The demo runs, and every message in it is treated as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lumilter.config import load

ROOT = Path(__file__).parents[1]


def test_the_demo() -> None:
    ran = subprocess.run([sys.executable, ROOT / "scripts/demo.py"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "10 of 10" in ran.stdout


def test_its_configuration() -> None:
    config = load(ROOT / "conf/demo.toml")
    assert [script.name for script in config.scripts] == ["policy"]
    assert config.warnings == ()
