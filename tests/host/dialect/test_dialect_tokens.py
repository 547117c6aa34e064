"""Tokens: kinds, lines, the literals that change, and a fault that waits for its turn."""

from __future__ import annotations

import pytest

from lumilter.errors import DialectError
from lumilter.host.dialect.literals import numeral, utf8
from lumilter.host.dialect.tokens import count_lines, tokenize


def kinds(source: bytes) -> list[str]:
    return tokenize(source, "t").kinds


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"", []),
        (b"a!=b", ["<name>", "!=", "<name>"]),
        (b"!a ~=b", ["!", "<name>", "~=", "<name>"]),
        (b"a^^b^c", ["<name>", "^^", "<name>", "^", "<name>"]),
        (b"a<<b>>c<=d>=e", ["<name>", "<<", "<name>", ">>", "<name>", "<=", "<name>", ">=", "<name>"]),
        (b"::", [":", ":"]),
        (b"a...b..c.d", ["<name>", "...", "<name>", "..", "<name>", ".", "<name>"]),
        (b"goto endif end", ["<name>", "<name>", "end"]),
        (b"--[==[ x\n]] ]==] a --[= b\n c", ["<name>", "<name>"]),
        (b"#! shebang ' \n a", ["<name>"]),
        (b"'a' \"b\" [[c]] [=[d]=] '\\''", ["<string>"] * 5),
        (b"1 .5 0x1F 3e-2 0xe+1", ["<number>"] * 5 + ["+", "<number>"]),
        (b"\xc3\xa9", ["\xc3", "\xa9"]),
        (b"\x00\x1b", ["\x00", "\x1b"]),
    ],
)
def test_kinds(source: bytes, expected: list[str]) -> None:
    assert kinds(source) == [*expected, "<eof>"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [(b"", 0), (b"\n", 1), (b"\r", 1), (b"\r\n", 1), (b"\n\r", 1), (b"\n\n", 2), (b"\r\r", 2), (b"\r\n\r\n", 2)],
)
def test_line_breaks(text: bytes, lines: int) -> None:
    assert count_lines(text) == lines
    assert tokenize(b"a" + text + b"b", "t").lines[1] == 1 + lines if text else True
    assert tokenize(b"a--" + text + b"[[" + text + b"]]", "t").lines[-1] == 1 + 2 * lines if text else True


def test_line_of_a_token_is_its_last() -> None:
    tokens = tokenize(b"--[[\r\n]]a\n'x\\\r\ny' [[\n\n]] b", "t")
    assert tokens.lines == [2, 4, 6, 6, 6]


def test_fault_ends_the_tokens() -> None:
    tokens = tokenize(b"a b\n08x c", "t")
    assert tokens.kinds == ["<name>", "<name>", "<eof>"]
    assert str(tokens.fault) == "t:2: malformed number near '08x'"


def test_a_numeral_of_a_million_digits() -> None:
    digits = b"1" * 1_000_000
    assert tokenize(b"x = " + digits, "t").fault is None
    assert str(tokenize(b"x = " + digits + b"z", "t").fault) == f"t:1: malformed number near '{digits.decode()}z'"


@pytest.mark.parametrize(
    ("code", "size"),
    [
        (0, 1),
        (0x7F, 1),
        (0x80, 2),
        (0x7FF, 2),
        (0x800, 3),
        (0xFFFF, 3),
        (0x10000, 4),
        (0x1FFFFF, 4),
        (0x200000, 5),
        (0x3FFFFFF, 5),
        (0x4000000, 6),
        (0x7FFFFFFF, 6),
    ],
)
def test_utf8_sizes(code: int, size: int) -> None:
    encoded = utf8(code)
    assert len(encoded) == size
    if code <= 0x10FFFF and not 0xD800 <= code < 0xE000:
        assert encoded == chr(code).encode()


def test_numerals_that_stay() -> None:
    for text in (b"0", b"1", b"10", b"0.5", b"08", b"010.5", b"1e5", b"0x0", b".5", b"5."):
        assert numeral(text, "t", 1) is None
    assert numeral(b"0660", "t", 1) == b"432"
    with pytest.raises(DialectError):
        numeral(b"0x", "t", 1)
