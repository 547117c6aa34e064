"""Placeholders: which there are, what a driver gets for them, and that any text at all is taken."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.datasources.contract import DatasourceError, Request
from lumilter.adapters.datasources.placeholders import as_text, filled, pieces, rendered

DIALECTS = ["sqlite", "postgresql", "mysql", "odbc"]


def shown(text: str, dialect: str = "sqlite", style: str = "qmark", **params: Any) -> tuple[str, Any]:
    return rendered(Request(text, params), dialect, style)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = ? and b = ?", ["?", "?"]),
        ("a = :a and b=$b_2", [":a", "$b_2"]),
        ("'?' = ? or 'it''s ?' = ?", ["?", "?"]),
        ('"a?" = ? and `b?` = ?', ["?", "?"]),
        ("-- ? :a\n? /* ? * :a */ ?", ["?", "?"]),
        ("a::int = :b::text and @x := 1", [":b"]),
        ("$1 and a[1:n] and x:y and a$b", []),
        ("time '10:30' = :t", [":t"]),
        ("'open ?", []),
        ("/* open ?", []),
        ("", []),
    ],
)
def test_where_they_are(dialect: str, text: str, found: list[str]) -> None:
    parts = pieces(text, dialect)
    assert [part for part, placeholder in parts if placeholder] == found
    assert "".join(part for part, _ in parts) == text


def test_where_dialects_differ() -> None:
    def found(text: str, dialect: str) -> list[str]:
        return [part for part, placeholder in pieces(text, dialect) if placeholder]

    assert found("'a\\'?' = ?", "mysql") == ["?"]
    assert found("'a\\' = ? or b = '?'", "sqlite") == ["?"]
    assert found("# ?\n?", "mysql") == ["?"]
    assert found("1 # ?", "postgresql") == ["?"]
    assert found("$$ ? $$ $q$ :a $$ $q$ ? e'\\'?' $$ ?", "postgresql") == ["?"]


def test_what_a_driver_gets() -> None:
    assert rendered(Request("a = ? % ?", {1: "x"}), "postgresql", "format") == ("a = %s %% %s", ("x", None))
    assert rendered(Request("a % 2", {1: "x"}), "postgresql", "format") == ("a % 2", None)
    assert shown("a = :x or b = $x or c = :y", x=1) == ("a = ? or b = ? or c = ?", (1, 1, None))
    assert shown("a = :x", style="named", x=1) == ("a = :p1", {"p1": 1})
    assert shown("a = :x % 2", style="pyformat", x=1) == ("a = %(p1)s %% 2", {"p1": 1})
    assert shown("a = :x", style="numeric", x=1) == ("a = :1", (1,))
    assert shown("a ? 'b' and c = :x", "postgresql", "format", x=1) == ("a ? 'b' and c = %s", (1,))
    assert rendered(Request("a = ? and :later", {1: 5}), "sqlite", "qmark") == ("a = ? and :later", (5,))
    with pytest.raises(DatasourceError, match="both"):
        shown("a = ? and b = :x", x=1)


TEXT = st.text(alphabet="?:$ab1'\"`\\-/*#\n%()[]=@ \u00e9\udcff", max_size=40)


@settings(max_examples=300, deadline=None)
@given(TEXT, st.dictionaries(st.sampled_from([1, 2, "a", "ab"]), st.text(max_size=5)), st.sampled_from(DIALECTS))
def test_any_text(text: str, params: dict[int | str, Any], dialect: str) -> None:
    try:
        statement, values = rendered(Request(text, params), dialect, "qmark")
    except DatasourceError:
        return
    if values is not None:
        assert len(statement) <= len(text) + 2 * len(values)
        assert set(values) <= {*params.values(), None}


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_a_value_is_never_text_of_the_statement(before: str, value: str) -> None:
    """SQLite agrees with us on where the placeholder is, whatever stands before it."""
    if any(letter in before for letter in "?:$@"):
        return
    statement, values = rendered(Request(f"{before} ?", {1: value}), "sqlite", "qmark")
    assert statement == f"{before} ?"
    assert values in (None, (value,))


def test_filled() -> None:
    values: dict[int | str, Any] = {"a": "x/y", "n": 5, "half": 0.5, "yes": True}
    assert filled("$a-${n}ths $half $yes $missing.$1 $$ $", values) == "x/y-5ths 0.5 true .$1 $$ $"
    assert filled("/$a", values, lambda value: value.upper()) == "/X/Y"
    assert as_text(1e20) == "1e+20"
    assert as_text(b"\xff") == "\udcff"
    assert as_text(2**60) == str(2**60)


def test_sqlite_and_we_agree_about_comments() -> None:
    statement, values = rendered(Request("select ? -- ?\n, '?', ? /* ? */", {1: 1, 2: 2}), "sqlite", "qmark")
    assert sqlite3.connect(":memory:").execute(statement, values or ()).fetchone() == (1, "?", 2)
