"""host.dialect: sources that nobody would write, sources that somebody wrote and a disk damaged, and literals.

What Momentum's Lua is, is in the dialect's own tests; `programs` has whole programs with a known result.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import damaged
from host.dialect.dialect_script import Script
from lumilter.errors import DialectError
from lumilter.host.dialect import translate
from lumilter.host.dialect.literals import utf8

ROOT = Path(__file__).parents[3]
POLICIES = [file.read_bytes() for top in ("tests", "conf", "lua") for file in sorted((ROOT / top).rglob("*.lua"))]

LIMITS = re.compile(
    rb"too many (local variables|upvalues|syntax levels|nested functions)|function or expression (needs )?too"
    rb"|too complex|control structure too long|main function has more than|has too many"
)
"""What LuaJIT refuses for its own size, not for the source's form; stock Lua has the same limits."""

WORDS = [
    *rb"""
    and break do else elseif end false for function goto if in local nil not or repeat return then true until while
    a b arg self 0 1 08 010 0x1F 1e5 1e .5 5. 3..2 0x 1LL 0b1 0x1p4 'x' "y" '\u0041' '\x41' '\z' " ' [[ ]] [=[ ]=] \
    -- --[[ --[==[ ]==] + - * / % ^ ^^ # & | ~ << >> \\ ! == ~= != < <= > >= = ( ) { } [ ] ; : :: , . .. ...
    """.split(),
    *(b"\n", b"\r", b"\r\n", b"\n\r", b"\0", b"\x1b", b"\x7f", b"\xa0", b"\xef\xbb\xbf", b"#!x\n", b"'\\ '", b"\xff"),
]
SOUP = st.lists(st.sampled_from(WORDS), max_size=40).flatmap(
    lambda words: st.sampled_from([b" ", b"", b"\n"]).map(lambda glue: glue.join(words))
)


@contextmanager
def lua() -> Iterator[Script]:
    """One Lua state for all examples."""
    yield Script()


def accepted(script: Script, source: bytes) -> bytes | None:
    """The translation, which keeps lines and loads; None if the source was refused, properly."""
    try:
        translated = translate(source, "fuzz")
    except DialectError as error:
        assert error.script == "fuzz"
        assert 1 <= error.line <= 1 + source.count(b"\n") + source.count(b"\r")
        str(error).encode("utf-8", "surrogateescape")
        return None
    assert translated.count(b"\n") == source.count(b"\n")
    assert translated.count(b"\r") == source.count(b"\r")
    loaded = script.compile(translated, b"=fuzz")
    assert not isinstance(loaded, tuple) or LIMITS.search(loaded[1]), (source, translated, loaded[1])
    return translated


@target(SOUP | st.binary(max_size=80), using=lua, examples=400)
def tokens(script: Script, source: bytes) -> None:
    """Any bytes are refused with DialectError and a line of the source, or become Lua that loads, line by line."""
    accepted(script, source)


@target(damaged(POLICIES, WORDS), using=lua, examples=150)
def damaged_policies(script: Script, source: bytes) -> None:
    """A damaged policy is refused with its line, or becomes Lua that LuaJIT loads, line by line."""
    accepted(script, source)


OPEN_CLOSE = st.sampled_from(
    [
        (b"(", b")"),
        (b"{", b"}"),
        (b"x=(", b")"),
        (b"f(", b")"),
        (b"t[", b"]"),
        (b"x={", b"}"),
        (b"x={[", b"]=1}"),
        (b"x=function() ", b" end "),
        (b"do ", b" end "),
        (b"while a do ", b" end "),
        (b"if a then ", b" end "),
        (b"repeat ", b" until a "),
        (b"for i in a do ", b" end "),
        (b"for i=1,2 do ", b" end "),
        (b"function f() ", b" end "),
        (b"x=-", b""),
        (b"~", b""),
        (b"!", b""),
        (b"not ", b""),
        (b"a..", b""),
        (b"a|", b""),
        (b"a^", b""),
        (b"(a|", b")"),
        (b"a=", b""),
        (b"a.", b""),
        (b"a:b(", b")"),
        (b"if a then else ", b" end "),
        (b"local a=", b" "),
        (b"return ", b""),
        (b"x=function(...) local y=arg ", b" end "),
        (b"[[", b"]]"),
        (b"[=[", b"]=]"),
        (b"--[[", b"]]"),
        (b"{f{", b"}}"),
    ]
)


@target(
    st.lists(OPEN_CLOSE, min_size=1, max_size=3),
    st.integers(1, 2000),
    st.sampled_from([b"", b"1", b"a", b"x=1", b"return"]),
    st.booleans(),
    st.integers(0, 800),
    using=lua,
    examples=200,
)
def deep(
    script: Script, brackets: list[tuple[bytes, bytes]], depth: int, inner: bytes, closed: bool, frames: int
) -> None:
    """Nesting of any depth, called from any depth of Python, is refused with a line or becomes Lua that loads."""
    source = b"".join(opening for opening, _ in brackets) * depth + inner
    if closed:
        source += b"".join(closing for _, closing in reversed(brackets)) * depth

    def called(left: int) -> None:
        if left:
            called(left - 1)
        else:
            accepted(script, source)

    called(min(frames, sys.getrecursionlimit() - 250))


# --- literals ---------------------------------------------------------------------------------------------------------


def plain(raw: bytes) -> tuple[bytes, bytes]:
    """Bytes as they stand in a string."""
    return raw, raw


ESCAPES = st.one_of(
    st.binary(max_size=4).map(lambda raw: re.sub(rb"[\\\r\n\"']", b"", raw)).map(plain),
    st.sampled_from(
        [
            (b"\\a", b"\a"),
            (b"\\b", b"\b"),
            (b"\\f", b"\f"),
            (b"\\n", b"\n"),
            (b"\\r", b"\r"),
            (b"\\t", b"\t"),
            (b"\\v", b"\v"),
        ]
    ),
    st.sampled_from([b"\\\\", b'\\"', b"\\'", b"\\z", b"\\ ", b"\\[", b"\\q", b"\\%", b"\\-", b"\\\0", b"\\\xff"]).map(
        lambda e: (e, e[1:])
    ),
    st.sampled_from([b"\\\n", b"\\\r\n", b"\\\n\r", b"\\\r"]).map(lambda e: (e, b"\n")),
    st.integers(0, 255).map(lambda n: (b"\\%03d" % n, bytes([n]))),
    st.tuples(st.integers(0, 255), st.booleans()).map(
        lambda t: (b"\\x%02X" % t[0] if t[1] else b"\\x%02x" % t[0], bytes([t[0]]))
    ),
    st.integers(0, 0xFFFF).map(lambda n: (b"\\u%04x" % n, utf8(n))),
    st.integers(0, 0xFFFFFF).map(lambda n: (b"\\u%06x" % n, utf8(n))),
    st.integers(0, 0x7FFFFFFF).map(lambda n: (b"\\u%08X" % n, utf8(n))),
)
"""Spelling and value. After \\u with 4 or 6 digits no other digit may follow, so each piece is closed off below."""


@target(st.lists(ESCAPES, max_size=12), st.sampled_from([b'"', b"'"]), using=lua, examples=400)
def strings(script: Script, pieces: list[tuple[bytes, bytes]], quote: bytes) -> None:
    """Every escape that Momentum's Lua knows has its value, whatever stands around it."""
    source = b"return " + quote + b"|".join(spelled for spelled, _ in pieces) + quote
    assert script.run(source) == b"|".join(value for _, value in pieces), source


NUMERAL = st.one_of(
    st.from_regex(rb"[0-9]{1,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.from_regex(rb"\.[0-9]{1,25}([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.from_regex(rb"0[xX][0-9a-fA-F]{1,25}", fullmatch=True),
    st.from_regex(rb"0[0-7]{1,30}", fullmatch=True),
    st.text("0123456789.eExXabfpPLUi_+-", min_size=1, max_size=12).map(str.encode),
)


@target(NUMERAL, using=lua, examples=600)
def numerals(script: Script, text: bytes) -> None:
    """A numeral is malformed, or has the value that C's strtod (octal: strtol) gives it."""
    try:
        translated = translate(b"return " + text, "fuzz")
    except DialectError:
        return
    if re.fullmatch(rb"0[0-7]+", text):
        expected = float(min(int(text, 8), 2**63 - 1))
    elif re.fullmatch(rb"0[xX][0-9a-fA-F]+", text):
        expected = float(int(text, 16))
    elif re.fullmatch(rb"[0-9]*\.?[0-9]*([eE][+-]?[0-9]+)?", text) and re.match(rb"\.?[0-9]", text):
        expected = float(text)
    else:
        return  # several tokens
    value = script.compile(translated, b"=fuzz")()
    assert value == expected or math.isclose(value, expected, rel_tol=2**-52), (text, translated, value)
