"""state: networks as scripts write them, and console commands."""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import TEXT, soup
from lumilter.errors import LumilterError
from lumilter.state.console import COMMANDS
from lumilter.state.contract import Series
from lumilter.state.keys import AddressError, bounds, network, shown
from lumilter.state.places import Rules
from lumilter.state.state import State

PARTS = [
    "10.0.0.1",
    "/",
    "24",
    "255.255.255.0",
    "::",
    "[",
    "]",
    "2001:db8::1",
    "%",
    "ffff:",
    "localhost",
    "0",
    "-",
    ".",
]
WORDS = [
    "show", "ip", "all", "count_cidr", "add", "subtract", "delete_ip", "load", "help", "list", "increment", "reset",
    "unlink", "series", "words", "60,3", "connections", "300,2", "10.0.0.1", "10.0.0.0/8", "2001:db8::1", "0", "-1",
    "/a", "/proc/self/mem", "\0", "x" * 500, "\udce9",
]  # fmt: skip


@target(soup(PARTS, 6) | TEXT, st.sampled_from([None, bytes([192, 0, 2, 1]), bytes(16)]), examples=500)
def networks(text: str, own: bytes | None) -> None:
    """Any text is a network, or an AddressError."""
    try:
        found = network(text, own)
    except AddressError:
        return
    assert len(found.address) in (4, 16)
    assert 0 <= found.bits <= 8 * len(found.address)
    low, high = bounds(found.address, found.bits)
    assert low <= found.address <= high
    assert network(shown(found.address), None).address == found.address


@target(st.sampled_from(sorted(COMMANDS)), st.lists(st.sampled_from(WORDS) | TEXT, max_size=6), examples=300)
def commands(name: str, words: list[str]) -> None:
    """Any words are answered with lines, or with a LumilterError."""
    state = State(rules=Rules(monitors={"300,2": (300, 2)}))
    state.windows.define(Series("series", "cidr", 60, 3), False)
    state.windows.define(Series("words", "string", 60, 3), False)
    try:
        answer = COMMANDS[name](state, words)
    except LumilterError:
        return
    assert all(isinstance(line, str) for line in answer)
