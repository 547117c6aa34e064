"""translate: what it writes, what it leaves alone, what it refuses, and how far it goes."""

from __future__ import annotations

import pytest
from dialect_script import Script
from lupa import luajit21

from lumilter.errors import DialectError
from lumilter.host.dialect import translate

STOCK = b"""#!/usr/bin/lua
local t = { 1, [2] = "two", three = 0x3; f = function(a, ...) return select("#", ...) end } -- a comment
for i = 1, #t, 2 do if not (i ~= 1) then break end end
while t.f do repeat t.f = nil until true end
function t.a.b:c() return self, 'x\\n\\065\\'', [==[ ]] ]==] end
goto = 2 ^ -1 .. "x" \r\n return -goto % 3, t"x".y{z}:w()[1];
"""


def refusal(source: bytes) -> str:
    with pytest.raises(DialectError) as caught:
        translate(source, "policy.lua")
    return str(caught.value)


@pytest.mark.parametrize("source", [b"", b"\n", b"#!x", STOCK, b"return 1 -- no newline", b"x='\0\xff\xc3\xa9'"])
def test_stock_is_the_same_object(source: bytes) -> None:
    assert translate(source, "t") is source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"x = a  !=  b", b"x = a  ~=  b"),
        (b"if!a then end", b"if not a then end"),
        (b"x = a|b", b'x = ("").__lum.bor(a,b)'),
        (b"x = a | b -- c\n& c", b'x = ("").__lum.band(("").__lum.bor(a , b) -- c\n, c)'),
        (b"return ~a", b'return (("").__lum.bnot(a))'),
        (b"return ~a, 1", b'return ("").__lum.bnot(a), 1'),
        (b"x = 010 y = '\\q\\u0041'", b"x = 8 y = 'q\\065'"),
        (b"for k in\n t\n do end", b'for k in\n ("").__lum.iter(t)\n do end'),
        (b"f = function(...) return arg end", b'f = function(...) local arg=("").__lum.arg(...); return arg end'),
        (b"f = function(...) return arg, ... end", b"f = function(...) local arg; return arg, ... end"),
        (b"f = function(arg) return arg end x = arg", None),
    ],
)
def test_rewrites(source: bytes, expected: bytes | None) -> None:
    assert translate(source, "t") == (source if expected is None else expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"if x then\n\ny = 1", "3: 'end' expected (to close 'if' at line 1) near '<eof>'"),
        (b"if x then y = 1", "1: 'end' expected near '<eof>'"),
        (b"x = {\n1\n2}", "3: '}' expected (to close '{' at line 1) near '2'"),
        (b"end", "1: '<eof>' expected near 'end'"),
        (b"x =\n", "2: unexpected symbol near '<eof>'"),
        (b"x", "1: '=' expected near '<eof>'"),
        (b"(x) = 1", "1: syntax error near '='"),
        (b"x, f() = 1", "1: syntax error near '='"),
        (b"f() = 1", "1: unexpected symbol near '='"),
        (b"x:y = 1", "1: function arguments expected near '='"),
        (b"x.1", "1: '=' expected near '.1'"),
        (b"x.'y' = 1", "1: '<name>' expected near ''y''"),
        (b"f\n(1)", "2: ambiguous syntax (function call x new statement) near '('"),
        (b"break", "1: no loop to break near '<eof>'"),
        (b"while a do f = function() break end end", "1: no loop to break near 'end'"),
        (b"while a do break x = 1 end", "1: 'end' expected near 'x'"),
        (b"return 1 x = 1", "1: '<eof>' expected near 'x'"),
        (b"return;;", "1: '<eof>' expected near ';'"),
        (b";", "1: unexpected symbol near ';'"),
        (b"function f() return ... end", "1: cannot use '...' outside a vararg function near '...'"),
        (b"function f(..., a) end", "1: ')' expected near ','"),
        (b"function f(a,) end", "1: <name> or '...' expected near ')'"),
        (b"for a.b in c do end", "1: '=' or 'in' expected near '.'"),
        (b"for a = 1 do end", "1: ',' expected near 'do'"),
        (b"local function a.b() end", "1: '(' expected near '.'"),
        (b"x = 1 !y", "1: unexpected symbol near '!'"),
        (b"\xef\xbb\xbfx = 1", "1: unexpected symbol near '\udcef'"),
        (b"x = \xc3\xa9", "1: unexpected symbol near '\udcc3'"),
        (b"\x1bLua", "1: unexpected symbol near 'char(27)'"),
        (b"\x1bLJ\x02", "1: unexpected symbol near 'char(27)'"),
        (b"#!\n\x1bLJ\x02", "2: unexpected symbol near 'char(27)'"),
        (b"x = 1 = 2\ny = 'open", "1: unexpected symbol near '='"),
        (b"x = 1\ny = 'open", "2: unfinished string near '<eof>'"),
        (b"x = {\n'a\\\n\\300'}", "3: escape sequence too large near ''a\n'"),
    ],
)
def test_refusals(source: bytes, message: str) -> None:
    assert refusal(source) == f"policy.lua:{message}"


@pytest.mark.parametrize(
    "nested", ["x=(", "x={", "x=not ", "x=1^", "x=f(", "x=~-", "x=function() return ", "do ", "if a then "]
)
def test_depth_has_a_limit(nested: str) -> None:
    head, _, again = nested.rpartition("=")
    source = (head + "=" + again * 10**5) if head else nested * 10**5
    assert "chunk has too many syntax levels" in refusal(source.encode())


def test_depth_within_the_limit(script: Script) -> None:
    for head, tail in ((b"(", b")"), (b"~", b""), (b"f(", b")"), (b"({", b"})[1]")):
        script.run(b"f = function(x) return x end return " + head * 90 + b"1" + tail * 90)
    script.run(b"do " * 150 + b"end " * 150)


def test_depth_where_python_is_already_deep() -> None:
    def descend(levels: int) -> bytes:
        return descend(levels - 1) if levels else translate(b"x=" + b"(" * 190 + b"1" + b")" * 190, "t")

    with pytest.raises(DialectError, match="too many syntax levels"):
        descend(800)


def test_long_chains(script: Script) -> None:
    assert script.run(b"return 0" + b"|1" * 120) == 1  # LuaJIT's registers end at 124 operators in one chain
    assert script.run(b"x = {" + b"1|2," * 5000 + b"} return #x") == 5000


def test_an_operator_error_is_not_lost_in_a_tail_call(script: Script) -> None:
    source = "local function inner(a)\n  return a | 1\nend\nlocal x = inner({})\n"
    assert script.error(source) == "test:2: attempt to perform bitwise operation on a table value"
    source = "local function inner(a)\n  return ~a\nend\nreturn inner()\n"
    assert script.error(source) == "test:2: attempt to perform bitwise operation on a nil value"


def test_bytes_survive(script: Script) -> None:
    every = bytes(set(range(256)) - set(b"\r\n'\\"))
    assert script.run(b"local x = 1 | 2 return '" + every + b"'") == every
    assert script.run(b"local x = 1 | 2 return [=[" + every + b"]=]") == every


def test_translated_source_needs_no_globals(script: Script) -> None:
    script.run(
        """
        module("policy", package.seeall)
        setmetatable(_G, { __index = function(_, k) error("undeclared " .. k) end })
        setfenv(1, {})
        local t = {}
        for i in ("x"):gmatch(".") do t[1] = 1 | 2 end
        """
    )


def test_refused_by_the_state_is_an_error_there(script: Script) -> None:
    with pytest.raises(luajit21.LuaError, match="attempt to call"):
        script.run("local x = 1\nlocal y = 1 | 2\nx()")
