"""cli.prompt: what can be completed. The rest is tried in a terminal (tests/daemon/test_daemon_console.py)."""

from __future__ import annotations

import pytest

from lumilter.cli.prompt import completions

NAMES = [
    "config get [SCOPE...] NAME",
    "config set [SCOPE...] NAME VALUE",
    "threads NAME queue",
    "threads stats",
    "my own",
]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["config", "my", "threads"]),
        ("  ", ["config", "my", "threads"]),
        ("c", ["config"]),
        ("config", ["config"]),
        ("config ", ["get", "set"]),
        ("config s", ["set"]),
        ("config set ", []),
        ("threads ", ["stats"]),
        ("threads io q", ["queue"]),
        ("my o", ["own"]),
        ("my own ", []),
        ("nothing ", []),
    ],
)
def test_completions(line: str, words: list[str]) -> None:
    assert completions(NAMES, line) == words
