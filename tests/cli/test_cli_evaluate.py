"""`lumilter eval`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import Lumilter


@pytest.mark.parametrize(
    ("lua", "printed"),
    [
        ("1 + 1", "2"),
        ("1 != 2, 6 & 3, 0777", "true\n2\n511"),
        ("nil", "nil"),
        ("{a = 1}", '{\n  ["a"] = 1,\n}'),
        ("'caf\\195\\169'", '"caf\u00e9"'),
        ("print('hello')", "hello"),
        ("x = 5 print(x)", "5"),
        ("local t = {} for i = 1, 3 do t[i] = i end return #t", "3"),
        ("msys.asyncOk()", "true"),
        ("msys.sleep(0.001), 'slept'", 'nil\n"slept"'),
        ("1 -- a comment", "1"),
        ("answer", "42"),
        ("msys.core.VALIDATE_DONE", "1"),
        ("type(msys.core.string_new())", '"userdata"'),
        ("select('#', unpack({}))", "0"),
    ],
)
def test_values(lumilter: Lumilter, script: Callable[..., Path], lua: str, printed: str) -> None:
    ran = lumilter("eval", "-s", script("answer = 42 function mod:validate_ehlo() end"), lua)
    assert (ran.status, ran.out, ran.err) == (0, f"{printed}\n", "")


@pytest.mark.parametrize(
    ("lua", "says"),
    [
        ("1 +", "eval:1: "),
        ("error('on purpose')", "eval:1: on purpose"),
        ("\nnil .. 1", "eval:2: attempt to concatenate"),
        ("msys.expandMacro('%{s}')", "eval:1: msys.expandMacro: there is no session"),
        ("msys.mstore.load()", "eval:1: msys.mstore.load is not available"),
        ("while true do end", "instruction budget"),
    ],
)
def test_errors_are_70(lumilter: Lumilter, script: Callable[..., Path], lua: str, says: str) -> None:
    ran = lumilter("eval", "-s", script("function mod:validate_ehlo() end"), lua)
    assert (ran.status, ran.out) == (70, "")
    assert says in ran.err


def test_with_fixtures(lumilter: Lumilter, script: Callable[..., Path], tmp_path: Path) -> None:
    fixtures = tmp_path / "dns.json"
    fixtures.write_text('{"example.com": {"A": ["192.0.2.1"]}}')
    ran = lumilter(
        "eval", "-s", script("function mod:init() return true end"), "--fixtures", fixtures,
        "msys.dnsLookup('example.com')[1], select(2, msys.dnsLookup('other.example'))",
    )  # fmt: skip
    assert ran.status == 0
    assert ran.out.splitlines()[0] == '"192.0.2.1"'
    assert "other.example" in ran.out
