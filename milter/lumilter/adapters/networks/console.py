"""Momentum's console command "cidrdb": what lists there are, and loading one again.

The law: a command gives lines, or raises LumilterError; it may block.

Source: manual, module cidrdb.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from lumilter.adapters.networks.lists import CidrList, CidrLists
from lumilter.errors import LumilterError

USAGE = "expected: cidrdb list, or cidrdb reload NAME"
_PATIENCE = 300.0
"""Seconds that loading may take."""


def cidrdb(lists: CidrLists, words: Sequence[str]) -> list[str]:
    """What the command, without its first word, prints."""
    match [words[0].lower() if words else "", *words[1:]]:
        case ["list"]:
            return [_line(entry) for entry in lists.all().values()] or ["no list is defined"]
        case ["reload", name]:
            entry = lists.get(name)
            if entry.fill is None:
                raise LumilterError(f"{name} is filled by scripts: there is nothing to load it from")
            return [f"{name}: {entry.load(time.monotonic() + _PATIENCE)} networks"]
    raise LumilterError(USAGE)


def _line(entry: CidrList) -> str:
    when = f"refresh in {max(0.0, entry.due - time.monotonic()):.0f} seconds" if entry.due else "no refresh"
    state = f"not loaded: {entry.problem}" if entry.problem else f"{entry.table.size + len(entry.added)} networks"
    return f"{entry.name} [{when}] {state}"
