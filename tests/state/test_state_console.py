"""state.console: the commands of the inbound_audit module, and counter."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.errors import LumilterError
from lumilter.state.console import COMMANDS, CommandError, counter, inbound_audit
from lumilter.state.contract import Series
from lumilter.state.keys import packed
from lumilter.state.memory import MemoryStore
from lumilter.state.places import Rules
from lumilter.state.presence import RECEPTIONS, REJECTIONS
from lumilter.state.state import State
from state.conftest import Clock


@pytest.fixture
def state(clock: Clock) -> State:
    made = State(MemoryStore(clock), Rules(monitors={"300,2": (300, 2)}))
    assert made.windows.define(Series("series", "cidr", 60, 3), False)
    assert made.windows.define(Series("words", "string", 60, 3), False)
    return made


def test_show_ip(state: State, clock: Clock) -> None:
    for number in range(3):
        state.presence.arrive(number, packed(f"10.0.0.{number}"))
    state.presence.happened(1, RECEPTIONS)
    clock.now += 300
    state.presence.happened(1, RECEPTIONS)
    state.presence.happened(2, REJECTIONS)
    assert inbound_audit(state, ["show", "ip", "10.0.0.0/8"]) == [
        "Connections 300/0: 0", "Connections 300/1: 3", "Connections 300/2: 0",
        "Receptions 300/0: 1", "Receptions 300/1: 1", "Receptions 300/2: 0",
        "Rejections 300/0: 1", "Rejections 300/1: 0", "Rejections 300/2: 0",
    ]  # fmt: skip
    assert inbound_audit(state, ["show", "ip", "10.0.0.1"])[1] == "Connections 300/1: 1"
    assert inbound_audit(state, ["show", "ip", "2001:db8::/32"])[1] == "Connections 300/1: 0"
    assert inbound_audit(state, ["show", "all"]) == [
        "10.0.0.0,connections,300,0,1,0",
        "10.0.0.1,connections,300,0,1,0",
        "10.0.0.2,connections,300,0,1,0",
        "10.0.0.1,receptions,300,1,1,0",
        "10.0.0.2,rejections,300,1,0,0",
    ]


def test_series_are_changed_and_counted(state: State, clock: Clock) -> None:
    assert inbound_audit(state, ["add", "series", "60,3", "10.0.0.1", "5"]) == ["done"]
    assert inbound_audit(state, ["subtract", "series", "60, 3", "10.0.0.2", "2"]) == ["done"]
    assert inbound_audit(state, ["count_cidr", "10.0.0.0/8", "series", "60,3", "0", "2"]) == ["3"]
    clock.now += 60
    assert inbound_audit(state, ["count_cidr", "10.0.0.1", "series", "60,3", "0", "0"]) == ["0"]
    assert inbound_audit(state, ["count_cidr", "10.0.0.1", "series", "60,3", "1", "1"]) == ["5"]
    assert inbound_audit(state, ["delete_ip", "10.0.0.1", "series", "60,3"]) == ["done"]
    assert inbound_audit(state, ["count_cidr", "10.0.0.0/8", "series", "60,3", "0", "2"]) == ["-2"]
    assert inbound_audit(state, ["add", "words", "60,3", "word", "1"]) == ["done"]
    assert inbound_audit(state, ["count_cidr", "word", "words", "60,3", "0", "0"]) == ["1"]
    assert inbound_audit(state, ["add", "connections", "300,2", "10.0.0.9", "7"]) == ["done"]
    assert inbound_audit(state, ["show", "ip", "10.0.0.9"])[0] == "Connections 300/0: 7"
    assert inbound_audit(state, ["add", "connections", "300,2", "2001:db8::1", "2"]) == ["done"]
    assert inbound_audit(state, ["show", "ip", "2001:db8::/32"])[0] == "Connections 300/0: 2"


def test_a_file_is_loaded(state: State, tmp_path: Path) -> None:
    (tmp_path / "series").write_text("10.0.0.1,4\n10.0.0.2,3\n")
    state.places.rules = Rules(log_dir=str(tmp_path))
    assert inbound_audit(state, ["load", "series"]) == ["2 loaded"]
    assert inbound_audit(state, ["count_cidr", "10.0.0.0/24", "series", "60,3", "0", "0"]) == ["7"]
    (tmp_path / "other").write_text('"a,b",2\n')
    assert inbound_audit(state, ["load", "words", str(tmp_path / "other")]) == ["1 loaded"]
    assert inbound_audit(state, ["count_cidr", "a,b", "words", "60,3", "0", "0"]) == ["2"]
    (tmp_path / "bad").write_text("10.0.0.1,4\nnothing\n")
    with pytest.raises(CommandError, match="line 2 of"):
        inbound_audit(state, ["load", "series", str(tmp_path / "bad")])
    with pytest.raises(CommandError, match="No such file"):
        inbound_audit(state, ["load", "series", str(tmp_path / "missing")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["what"], "no such command"),
        (["show"], "no such command"),
        (["show", "ip", "nothing"], "neither an address"),
        (["add", "series", "60,4", "10.0.0.1", "1"], 'no series "series" of "60,4"; there are: connections 300,2;'),
        (["add", "series", "60,3", "10.0.0.1", "x"], "no whole number"),
        (["add", "series", "60,3", "2001:db8::1", "1"], "does not count 2001:db8::1"),
        (["load", "none"], "there is no series"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(state: State, words: list[str], message: str) -> None:
    with pytest.raises(LumilterError, match=message):
        inbound_audit(state, words)


def test_counters(state: State, clock: Clock) -> None:
    assert counter(state, ["increment", "/vendor/sample"]) == ["1"]
    assert counter(state, ["add", "/vendor/sample", "1023"]) == ["1024"]
    listed = counter(state, ["list"])
    assert listed[0] == "VALUE       RESET_TIME       SEMANTICS COUNTER"
    assert listed[1].split()[0::2] == ["1024", "strict"]
    assert listed[1].endswith("/vendor/sample")
    assert listed[-1] == "1 counters listed."
    assert counter(state, ["reset", "/vendor/sample"]) == ["done"]
    assert counter(state, ["unlink", "/vendor/sample"]) == ["done"]
    for words, message in (
        (["unlink", "/vendor/sample"], "no counter"),
        (["add", "x", "1"], "no path"),
        (["x"], "no such"),
    ):
        with pytest.raises(CommandError, match=message):
            counter(state, words)


def test_help_names_every_command(state: State) -> None:
    for command in COMMANDS.values():
        assert command(state, ["help"]) == command(state, [])
