"""adapters.networks.console: the command cidrdb."""

from __future__ import annotations

import re
import time

import pytest

from lumilter.adapters.networks.console import USAGE, cidrdb
from lumilter.adapters.networks.lists import CidrList, CidrLists, Report
from lumilter.adapters.networks.table import Builder
from lumilter.errors import LookupFailed, LumilterError


def lists() -> CidrLists:
    def fill(into: Builder, report: Report, deadline: float) -> None:
        if into.size == 0 and not here:
            raise LookupFailed("gone")
        into.add(False, 10 << 24, 8, "x")

    here = [1]
    made = CidrLists()
    made.put(CidrList("blocked", "rbldnsd", fill, 60, due=time.monotonic() + 60))
    made.put(CidrList("bare", "empty"))
    made.get("bare").add("10.0.0.0/8", True)
    made.here = here  # type: ignore[attr-defined]
    return made


def test_lists_and_when_they_are_loaded() -> None:
    made = lists()
    first, second = cidrdb(made, ["LIST"])
    assert re.fullmatch(r"blocked \[refresh in (59|60) seconds\] 0 networks", first)
    assert second == "bare [no refresh] 1 networks"
    assert cidrdb(CidrLists(), ["list"]) == ["no list is defined"]


def test_reload() -> None:
    made = lists()
    assert cidrdb(made, ["reload", "blocked"]) == ["blocked: 1 networks"]
    assert made.get("blocked").find("10.0.0.1") == "x"
    made.here.clear()  # type: ignore[attr-defined]
    with pytest.raises(LookupFailed, match="gone"):
        cidrdb(made, ["reload", "blocked"])
    assert cidrdb(made, ["list"])[0].endswith("not loaded: gone")
    with pytest.raises(LumilterError, match="filled by scripts"):
        cidrdb(made, ["reload", "bare"])
    with pytest.raises(LumilterError, match="no CIDR list is called 'other'"):
        cidrdb(made, ["reload", "other"])


@pytest.mark.parametrize("words", [[], ["reload"], ["list", "x"], ["flush"]])
def test_usage(words: list[str]) -> None:
    with pytest.raises(LumilterError, match=USAGE):
        cidrdb(lists(), words)
