"""Where counters, windows, gauges and locks live, and what the daemon counts by itself.

The law: as in `config.schema`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import BOOLEAN, SIZE, TEXT, Kind, choice, got, list_of, seconds

ON_FAILURE = choice("open", "error")


@dataclass(frozen=True, slots=True)
class State:
    """What the workers of a machine share: audit series, counters, gauge caches, locks, open sessions."""

    directory: str = key(
        TEXT,
        "Where it is kept; one daemon a directory. What audit series persist survives a restart there. Empty is a "
        "temporary directory, and nothing survives.",
        "",
        example="/var/lib/lumilter/state",
        path=True,
    )
    size: int = key(
        SIZE,
        "Size of each of the two files in it, which are allocated whole. When one is full, items that are not in it "
        "yet are not counted until others have expired, and the log says so.",
        "128M",
    )
    on_failure: str = key(
        ON_FAILURE,
        'What scripts get while the state can\'t be reached or is full: "open" is the last value that was seen, or 0, '
        'and what they add is lost; "error" is an error at their line, with which [policy] on_error deals.',
        "open",
    )
    lock_lease: float = key(
        seconds(1),
        "Seconds after which a lock of msys.lock is free again though it was not given back.",
        60,
    )


@dataclass(frozen=True, slots=True)
class Series:
    """How one audit series differs from what its script and [state] say."""

    name: str = key(TEXT, "The name that the script gives it.", example="rcpt_valid")
    on_failure: str = key(ON_FAILURE, "As in [state], for this series.", "open")


def _monitor(value: object) -> tuple[int, int]:
    found = re.fullmatch(r"\s*([0-9]{1,7})\s*,\s*([0-9]{1,4})\s*", value) if isinstance(value, str) else None
    if not found or not 0 < int(found[1]) <= 31_536_000 or not 0 < int(found[2]) <= 4096:
        raise ValueError(f"expected {MONITOR.expected}, got {got(value)}")
    return int(found[1]), int(found[2])


MONITOR = Kind('"seconds,windows" such as "300,6"', _monitor)


@dataclass(frozen=True, slots=True)
class InboundAudit:
    """What the daemon counts for msys.audit.*: connections, receptions and rejections by client address."""

    monitors: tuple[tuple[int, int], ...] = key(
        list_of(MONITOR),
        'Each "seconds,windows": windows that long, and how many of them are kept. Scripts name them like that.',
        [],
        example=["300,6", "1800,4"],
    )
    persist: bool = key(BOOLEAN, "The counts survive a restart of the daemon.", False)
