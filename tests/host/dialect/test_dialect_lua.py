"""Runs the Lua files beside this one: the dialect as a script's author sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dialect_script import Script

HERE = Path(__file__).parent
FILES = sorted(path.name for path in HERE.glob("*.lua") if path.name != "check.lua")


def test_there_are_files() -> None:
    assert FILES


@pytest.mark.parametrize("name", FILES)
def test_file(script: Script, name: str) -> None:
    script.run((HERE / "check.lua").read_bytes())
    script.run((HERE / name).read_bytes(), name.encode())
    count, failures = script.run("return outcome()")
    assert failures == b""
    assert count > 0
