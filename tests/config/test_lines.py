"""The line scanner against tomllib (the same paths) and against a writer that knows where it put each key."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.config.lines import Path, key_lines


def paths(value: Any, path: Path = ()) -> set[Path]:
    """Every path in what tomllib returned."""
    children: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} - {()} | {inner for name, child in children for inner in paths(child, (*path, name))}


def agree(text: str) -> dict[Path, int]:
    lines = key_lines(text)
    assert set(lines) == paths(tomllib.loads(text))
    return lines


def test_tables_and_dotted_keys() -> None:
    text = """top = 1
# [comment]
[ a . "b.c" ]  # table
d.e . 'f g' = 2
x = 3
[a]
y = 4
"""
    lines = agree(text)
    assert lines["top",] == 1
    assert lines["a", "b.c"] == 3
    assert lines["a", "b.c", "d", "e", "f g"] == 4
    assert lines["a", "y"] == 7


def test_arrays_of_tables_count_their_elements() -> None:
    text = """[[script]]
name = "a"

[[script]]
name = "b"
[[script.part]]
x = 1
[[script.part]]
x = 2
[script.tail]
y = 3
[[script]]
[[script.part]]
x = 4
"""
    lines = agree(text)
    assert lines["script", 0, "name"] == 2
    assert lines["script", 1, "name"] == 5
    assert lines["script", 1, "part", 1, "x"] == 9
    assert lines["script", 1, "tail", "y"] == 11
    assert lines["script", 2, "part", 0, "x"] == 14


@pytest.mark.parametrize(
    "string",
    [
        r'"a \" [b] # \\"',
        r"'C:\'",
        '"""one\nx = 1\n[y]"""',
        '"""quotes "" inside\n"a" \\""" and """"',
        '""""begins\nends"""""',
        '""""""',
        "'''it''s\n[z]'''''",
        "''''''",
        '"""back \\\n   slash"""',
    ],
)
def test_a_string_hides_what_is_in_it(string: str) -> None:
    text = f"before = 1\nvalue = {string}\nafter = 2\n"
    lines = agree(text)
    assert lines["after",] == 3 + string.count("\n")


def test_lists_and_inline_tables() -> None:
    text = """a = [ # comment ]
  1, [2,
  3], { x = "}", y.z = [
  4 ] },
]
b = 1979-05-27 07:32:00
c = { }
d = []
"""
    lines = agree(text)
    assert lines["a", 1, 1] == 3
    assert lines["a", 2, "y", "z", 0] == 4
    assert lines["b",] == 6
    assert lines["d",] == 8


def test_windows_line_ends_and_no_last_line_end() -> None:
    assert agree("[a]\r\nb = 1\r\n\r\nc = 2") == {("a",): 1, ("a", "b"): 2, ("a", "c"): 4}


KEYS = st.sampled_from(["a", "b-c", "1", '"a.b"', '"q\\"\\u00e9"', "'[x]'", '"="'])
SCALARS = st.sampled_from(
    ["1", "-2.5", "true", "1979-05-27 07:32:00", '"x"', "'#'", '"""\n[a]\n"b" = 1\n"""', "'''\n]\n'''", '"\\\\"', "inf"]
)
BLANKS = st.sampled_from(["", " ", "\n", "# ] }\n", "\r\n  "])


@st.composite
def lists(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(values, max_size=3))
    return "[" + ",".join(draw(BLANKS) + item + draw(BLANKS) for item in items) + draw(BLANKS) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(st.tuples(KEYS, KEYS, values), max_size=2, unique_by=lambda item: item[0]))
    return "{" + ", ".join(f"{key}.{inner} = {value}" for key, inner, value in items) + "}"


VALUES = st.recursive(SCALARS, lambda values: lists(values) | inline_tables(values), max_leaves=5)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[int, list[int]]]:
    """A document whose statements carry a marker key; where[table][n] is the line of the nth marker of that table."""
    text, where = "", {}
    for index, header in enumerate(draw(st.lists(st.sampled_from(["[t{}]", "[[t]]", '["t{}" . x ]']), max_size=4))):
        text += draw(BLANKS) + header.format(index) + draw(st.sampled_from(["\n", "  # [z]\n", "\r\n"]))
        where[index] = []
        for n, value in enumerate(draw(st.lists(VALUES, max_size=4))):
            text += draw(BLANKS)
            where[index].append(text.count("\n") + 1)
            text += f"m{n} . {draw(KEYS)} = {value}\n"
    return text, where


@settings(max_examples=200, deadline=None)
@given(documents())
def test_any_document(document: tuple[str, dict[int, list[int]]]) -> None:
    text, where = document
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a key was drawn twice
    lines = agree(text)
    markers = sorted(line for path, line in lines.items() if str(path[-1])[0] == "m" and len(path) in (2, 3))
    assert markers == sorted(line for table in where.values() for line in table)
