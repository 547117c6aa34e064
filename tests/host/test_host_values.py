"""host.values: any bytes, text and numbers there and back; what does not fit is refused in Lua's words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lumilter.api  # noqa: F401  (names the classes)
from lumilter.calls import ZeroBased
from lumilter.host.state import State
from lumilter.host.values import (
    Misfit,
    Opaque,
    Table,
    converter,
    from_wire,
    number_text,
    plain,
    to_lua,
    to_wire,
)
from lumilter.session.mail import Endpoint
from lumilter.session.strings import EcString

TEXT = st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@pytest.fixture(scope="module")
def state() -> Iterator[State]:
    yield State((), 64 << 20, frozenset(), jit=False)


@given(st.binary(max_size=100))
def test_any_bytes_survive(raw: bytes) -> None:
    wire = raw.decode("latin-1")
    assert to_wire(from_wire(wire)) == wire
    assert converter(bytes)(wire) == raw
    assert converter(str)(wire).encode("utf-8", "surrogateescape") == raw
    assert to_lua(raw, dict) == wire


@given(TEXT)
def test_any_text_survives(text: str) -> None:
    assert from_wire(to_wire(text)) == text
    assert converter(str)(to_lua(text, dict)) == text


@given(st.binary(max_size=100))
def test_a_lua_string_is_the_same_bytes(raw: bytes) -> None:
    state = State((), 0, frozenset(), jit=False)
    double = state.runtime.eval("function(s) return s .. s, #s end")
    twice, length = double(to_lua(raw, state.table))
    assert (twice.encode("latin-1"), length) == (raw + raw, len(raw))


@settings(max_examples=50)
@given(st.floats(allow_nan=False) | st.integers(-(2**53), 2**53))
def test_numbers_are_text_as_lua_writes_them(number: float) -> None:
    state = State((), 0, frozenset(), jit=False)
    assert number_text(number) == state.runtime.eval("tostring")(number)
    assert converter(float)(number) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("553", 553),
        (" 12 ", 12),
        ("0x10", 16),
        ("-1", -1),
        ("1e2", 100),
        ("1.9", 1),
        (1.9, 1),
        (-1.9, -1),
        (2**53, 2**53),
    ],
)
def test_what_is_a_number(value: object, number: int) -> None:
    assert converter(int)(value) == number


@pytest.mark.parametrize("value", ["", "1_000", "five", "\u0661", "0x", "1 2", None, True, Table(), Opaque("function")])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(Misfit, match="number expected, got "):
        converter(float)(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "inf", "nan"])
def test_no_integer(value: object) -> None:
    with pytest.raises(Misfit, match="integer expected"):
        converter(int)(value)


CASES: list[tuple[Any, Any, Any]] = [
    (str, 12, "12"),
    (str, 0.5, "0.5"),
    (str, EcString(b"caf\xe9"), "caf\udce9"),
    (str, Endpoint("inet", "192.0.2.1", 25), "192.0.2.1:25"),
    (bytes, EcString(b"caf\xe9"), b"caf\xe9"),
    (str | None, None, None),
    (str | bool, True, True),
    (str | bool, "true", "true"),
    (str | list[str], "a", "a"),
    (str | list[str], Table({1: "a", 2: "b", "x": "c"}), ["a", "b"]),
    (list[str], Table({0: "zeroth", 1: "first", 3: "after a hole"}), ["zeroth", "first"]),
    (list[str], Table(), []),
    (list[int], Table({1: "7"}), [7]),
    (dict[str, Any], Table({"a": Table({1: "caf\xc3\xa9"}), 2: True}), {"a": {1: "caf\u00e9"}, 2: True}),
    (dict[str, Any] | None, None, None),
    (EcString, EcString(b"x"), EcString(b"x")),
    (Any, "caf\xe9", "caf\udce9"),
]


@pytest.mark.parametrize(("annotation", "value", "converted"), CASES)
def test_conversions(annotation: Any, value: Any, converted: Any) -> None:
    assert converter(annotation)(value) == converted


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (str, None, "string expected, got nil"),
        (str, True, "string expected, got boolean"),
        (str, Table(), "string expected, got table"),
        (str, Opaque("function"), "string expected, got function"),
        (str | bool, Table(), "string expected, got table"),
        (str | list[str], Table({1: Table()}), "string expected, got table"),
        (list[str], "a", "table expected, got string"),
        (list[str], Table({1: None}), "string expected, got nil"),
        (dict[str, Any], 1, "table expected, got number"),
        (EcString, "x", "ec_string expected, got string"),
        (EcString, Endpoint(), "ec_string expected, got ec_sockaddr"),
        (bool, 1, "boolean expected, got number"),
    ],
)
def test_misfits(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(Misfit) as caught:
        converter(annotation)(value)
    assert str(caught.value) == message


def test_an_annotation_that_nothing_converts_to() -> None:
    with pytest.raises(TypeError, match="no conversion from Lua"):
        converter(Path("x"))


def test_tables_for_lua() -> None:
    assert to_lua(["a", b"\xff"], dict) == {1: "a", 2: "\xff"}
    assert to_lua(ZeroBased(["a", "b"]), dict) == {0: "a", 1: "b"}
    assert to_lua({"k": [1], 2: None}, dict) == {"k": {1: 1}, 2: None}
    assert to_lua(2**70, dict) == float(2**70)
    assert to_lua(True, dict) is True
    assert to_lua(None, dict) is None
    with pytest.raises(TypeError, match="can't go to Lua"):
        to_lua([object()], dict)


@given(
    st.recursive(TEXT | st.booleans() | st.integers(-100, 100), lambda inner: st.dictionaries(TEXT, inner, max_size=3))
)
def test_nested_values_come_back(value: Any) -> None:
    assert plain(to_lua(value, Table)) == value


def test_a_real_table_through_lua(state: State) -> None:
    table = to_lua({"list": ["caf\u00e9", 2], "flag": False}, state.table)
    read = state.runtime.eval("function(t) return t.list[1], #t.list, t.flag end")
    assert read(table) == ("caf\xc3\xa9", 2, False)
