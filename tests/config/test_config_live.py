"""config.live: keys by words, what is shown of them, and what changes while the daemon runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lumilter.config import Config, live
from lumilter.config.declare import Key, declared
from lumilter.config.sections.running import Pool
from lumilter.config.sections.scripts import Lua
from lumilter.errors import LumilterError

CONFIG = Config(lua=Lua(deadline=60), pools=(Pool("IO"), Pool("DNS", concurrency=2)))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("lua deadline", "deadline = 60"),
        ("LUA Deadline", "deadline = 60"),
        ("lua jit", "jit = false"),
        ("lua allow", "allow = []"),
        ("dns servers", "servers = []"),
        ("milter socket", 'socket = "unix:/run/lumilter/milter.sock"'),
        ("pool dns concurrency", "concurrency = 2"),
        ("policy on_error", 'on_error = "tempfail"'),
        ("control socket", 'socket = ""'),
    ],
)
def test_a_key_is_found_and_shown(words: str, text: str) -> None:
    assert str(live.find(CONFIG, words.split())) == text


@pytest.mark.parametrize(
    "words", ["", "lua", "deadline", "lua deadline x", "pool concurrency", "pool 0 concurrency", "x y"]
)
def test_what_is_no_key(words: str) -> None:
    assert live.find(CONFIG, words.split()) is None


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("lua deadline 7.5", 7.5),
        ("lua deadline = 7", 7.0),
        ("lua instructions 1000", 1000),
        ("log level debug", "debug"),
        ('log level "debug"', "debug"),
        ("policy on_error_text 'try later'", "try later"),
        ("pool IO concurrency 0", 0),
    ],
)
def test_changes(words: str, value: object) -> None:
    parts = words.split(" ", 3 if words.startswith("pool") else 2)
    parts = words.split() if "=" in words else parts
    changed, found = live.changed(CONFIG, parts)
    assert found.value == value
    again = live.find(changed, [word for word in parts[:-1] if word != "="])
    assert again is not None
    assert again.value == value
    assert live.find(CONFIG, [word for word in parts[:-1] if word != "="]).value != value  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("lua jit true", "does not change while the daemon runs"),
        ("pool IO backlog 3", "does not change while the daemon runs"),
        ("lua deadline soon", "expected a number of seconds, 0 or more"),
        ("lua deadline [1]", "expected a number of seconds, 0 or more, got a list"),
        ("log level loud", 'expected "debug" or'),
        ("nothing 1", "option 'nothing' is not known"),
        ("", "option '' is not known"),
    ],
)
def test_what_is_refused(words: str, problem: str) -> None:
    with pytest.raises(LumilterError) as caught:
        live.changed(CONFIG, words.split())
    assert problem in str(caught.value)


def test_what_can_be_set_exists() -> None:
    tables = {name: table for name, (_, table) in declared(Config).items() if not isinstance(table, Key)}
    for table, key in live.LIVE:
        assert key in declared(tables[table].of)


def test_no_secret_is_shown() -> None:
    found = live.find(CONFIG, ["lua", "deadline"])
    assert found is not None
    secret = replace(found, key=replace(found.key, secret=True))
    assert str(secret) == "deadline = (secret)"
    assert all("(secret)" in str(found) for _, found in live.keys(CONFIG) if found.key.secret)


def test_a_scope_is_shown() -> None:
    assert live.show(CONFIG, ["POOL", "dns"]) == [
        'pool dns name = "DNS"', "pool dns concurrency = 2", "pool dns backlog = 1000", "pool dns deadline = 300",
    ]  # fmt: skip
    assert live.show(CONFIG, ["nothing"]) == []
    assert len(live.show(CONFIG, [])) > 50
