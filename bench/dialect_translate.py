"""How fast Momentum's Lua is translated, on the demo's policy repeated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from lumilter.host.dialect import translate

POLICY = Path(__file__).parents[1] / "conf/demo/policy.lua"
ROUNDS = 5


def measure() -> Iterator[tuple[str, float, str]]:
    """The best of a few rounds, for a short and a long script."""
    policy = POLICY.read_bytes()
    for copies in (1, 50):
        source = b"".join(b"do\n" + policy + b"\nend\n" for _ in range(copies))
        best = min(_seconds(source) for _ in range(ROUNDS))
        lines = source.count(b"\n")
        yield f"translate {lines:,} lines", best * 1e3, "ms"
        yield f"translate {lines:,} lines", len(source) / best / 1e6, "MB/s"


def _seconds(source: bytes) -> float:
    start = time.perf_counter()
    translate(source, "policy.lua")
    return time.perf_counter() - start
