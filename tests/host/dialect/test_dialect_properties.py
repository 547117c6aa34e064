"""Properties: lines, values and robustness for sources that nobody thought of."""

from __future__ import annotations

import math
from typing import Any

import pytest
from dialect_script import Script
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lupa import luajit21
from precedence_reference import LuaFailure, Unsupported, evaluate

from lumilter.errors import DialectError
from lumilter.host.dialect import translate

NUMBERS = st.one_of(
    st.integers(0, 100).map(str),
    st.sampled_from(["0xFF", "010", "0.5", "2147483648", "4294967295", "1099511627776", "1e19", "3.75", "'12'"]),
)
NAMES = st.sampled_from(["true", "false", "nil"])
STOCK_BINARY = ["+", "-", "*", "/", "%", "^", "..", "==", "~=", "<", "<=", ">", ">=", "and", "or"]
BINARY = [*STOCK_BINARY, "|", "&", "^^", "<<", ">>", "\\", "!=", "|", "&", "<<"]


def expressions(binary: list[str], unary: list[str], atoms: st.SearchStrategy[str]) -> Any:
    """Flat lists of tokens; only a group brings parentheses."""

    def extend(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
        operand = st.tuples(st.lists(st.sampled_from(unary), max_size=2), inner).map(lambda t: [*t[0], *t[1]])
        chain = st.lists(st.tuples(st.sampled_from(binary), operand), min_size=1, max_size=5)
        flat = st.tuples(operand, chain).map(lambda t: [*t[0], *(x for op, v in t[1] for x in (op, *v))])
        return st.one_of(flat, flat.map(lambda tokens: ["(", *tokens, ")"]))

    return st.recursive(atoms.map(lambda atom: [atom]), extend, max_leaves=12)


def run(script: Script, source: str, *, translated: bool = True) -> tuple[str, object]:
    try:
        result = script.run(source) if translated else script.compile(source.encode())()
    except luajit21.LuaError:
        return "error", None
    return ("nan", None) if isinstance(result, float) and math.isnan(result) else ("value", result)


ARITHMETIC = ["+", "-", "*", "%", "^", "|", "&", "^^", "<<", ">>", "\\"]
# Half of the examples are numbers all the way, because most mixed ones end in an error at once.
NUMERIC = expressions(ARITHMETIC, ["-", "~"], NUMBERS)
MIXED = expressions(BINARY, ["-", "~", "!", "not"], st.one_of(NUMBERS, NUMBERS, NUMBERS, NAMES))


@settings(max_examples=200, deadline=None)
@given(st.one_of(NUMERIC, MIXED))
def test_value_is_that_of_the_priority_table(shared: Script, tokens: list[str]) -> None:
    try:
        expected = evaluate(tokens)
        kind = "nan" if isinstance(expected, float) and math.isnan(expected) else "value"
    except LuaFailure:
        kind, expected = "error", None
    except Unsupported:
        assume(False)
    got = run(shared, "return " + " ".join(tokens))
    assert got == (kind, None if kind == "nan" else expected)


STOCK_ATOMS = st.sampled_from(["1", "2.5", "0x1F", "'a'", '"7"', "[[x]]", "nil", "true", "#t", "t.x", "t['y']", "f(1)"])


@settings(max_examples=100, deadline=None)
@given(expressions(STOCK_BINARY, ["-", "not", "#"], STOCK_ATOMS), st.sampled_from(["pairs(t)", "ipairs(t)", "next, t"]))
def test_stock_source_means_the_same(shared: Script, tokens: list[str], explist: str) -> None:
    expression = " ".join(tokens)
    head = "local t, f = { x = 3, y = 'z', 5 }, function(...) return ... end "
    source = head + "return " + expression
    assert translate(source.encode(), "t") == source.encode()
    source = head + f"local r = '' for k, v in {explist} do r = r .. tostring(k) .. tostring({expression}) end return r"
    assert run(shared, source) == run(shared, source, translated=False)


LINES = st.sampled_from(
    [
        "",
        "-- comment | & !=",
        "--[[ a\n~ b ]] --",
        "local s = [[\n\n]] .. 'a\\\nb'",
        "x = @ | @",
        "x = @\n| @\n& (@ ^^\n@)",
        "x = ~\n@ << 1, @",
        "if @ !=\n@ + 1 then\nx = 010 | @\nend",
        "for k, v\nin\nits(@,\n@)\ndo\nx = @ end",
        "y = function(...)\nx = arg.n | @\nreturn ~\n@\nend y(@)",
        "return_ = { @ | 1,\n@; '\\u0041\\\n' .. @ }",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=12), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_every_line_keeps_its_number(shared: Script, lines: list[str], newline: str, shebang: bool) -> None:
    """Calls in all places report the line that they run on: it must be the line that they were written on."""
    parts = ("\n".join((["#!/usr/bin/lua"] if shebang else []) + lines)).split("@")
    source, expected = parts[0], {}
    for number, part in enumerate(parts[1:]):
        expected[number] = source.count("\n") + 1
        source += f"at({number})" + part
    shared.run(
        """
        seen = {}
        function at(n) seen[n] = debug.getinfo(2, "l").currentline return 1 end
        function its() return function(_, c) if c == nil then return 1 end end end
        """
    )
    shared.run(source.replace("\n", newline))
    seen = shared.run("return seen")
    assert {number: seen[number] for number in expected} == expected


WORDS = r"""
    and break do else elseif end false for function goto if in local nil not or repeat return then true until while
    a b arg 1 010 0x1F 1e 'x' '\u12 " [[ ]] [=[ -- --[[ + - * / % ^ ^^ # & | ~ << >> \ ! == ~= != < > = ( ) { } [ ]
    ; : , . .. ... ::
"""
SOUP = st.lists(st.sampled_from([*WORDS.split(), "\n", "\r", "\0", "\x7f", "\x80"]), max_size=40)
PHRASES = """
    a = b | c; f(a); local x = ~1; for k in t do; end; if !a then; else; return a & b; while a do; break; repeat
    ; f = function(...) x = arg; function f() end; until a != b; do; x = {1 \\\\ 2, a = 1}; function g(...) return ...
"""
LIKELY = st.lists(st.sampled_from([phrase.strip() for phrase in PHRASES.split(";")]), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), SOUP.map(lambda s: " ".join(s).encode("latin-1")), LIKELY.map("\n".join)))
def test_garbage_is_refused_or_loads(shared: Script, source: bytes | str) -> None:
    source = source.encode() if isinstance(source, str) else source
    try:
        translated = translate(source, "t")
    except DialectError as error:
        assert error.script == "t"
        assert 1 <= error.line <= 1 + source.count(b"\n") + source.count(b"\r")
        return
    loaded = shared.compile(translated)
    assert not isinstance(loaded, tuple), (source, translated, loaded)
    assert translated.count(b"\n") == source.count(b"\n")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40).filter(lambda b: b"[[" not in b and b"]]" not in b))
def test_text_of_strings_survives(shared: Script, text: bytes) -> None:
    quoted = b"".join(b"\\%03d" % byte if byte < 32 or byte in b'\\"' else bytes([byte]) for byte in text)
    assert shared.run(b'local x = !nil return "' + quoted + b'"') == text


@pytest.mark.parametrize("source", ["return 'a' .. 1 | 2", "return 1 | 2 == 3", "return -2 ^ 2 & 3"])
def test_the_reference_agrees_on_known_cases(script: Script, source: str) -> None:
    tokens = source.removeprefix("return ").split()
    expected = evaluate(tokens if "-2" not in tokens else ["-", "2", "^", "2", "&", "3"])
    assert script.run(source) == expected
