"""Source to tokens, by the lexical rules of thrlua's llex.c.

The law: tokens are read as thrlua reads them, not as LuaJIT does: bytes above 0x7F, labels and number suffixes are no
tokens of Momentum's Lua. A lexical fault ends the list and is kept, because thrlua reads token by token and reports an
earlier syntax error first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lumilter.errors import DialectError
from lumilter.host.dialect.literals import QuotedString, decode, numeral

NAME, NUMBER, STRING, EOF = "<name>", "<number>", "<string>", "<eof>"
KEYWORDS = frozenset(
    b"and break do else elseif end false for function if in local nil not or "
    b"repeat return then true until while".split()
)

_TOKEN = re.compile(
    rb"""
      (?P<blank>[ \t\v\f\r\n]+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>\.?[0-9][0-9.]*(?:[Ee][+-]?)?[A-Za-z0-9_]*)
    | (?P<string>"[^"\\\r\n]*"|'[^'\\\r\n]*')
    | (?P<quote>["'])
    | (?P<long_comment>--\[=*\[)
    | (?P<comment>--[^\r\n]*)
    | (?P<long_string>\[=*\[)
    | (?P<bad_bracket>\[=+)
    | (?P<symbol>\.\.\.|\.\.|==|>=|>>|<=|<<|\^\^|~=|!=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE_BREAK = re.compile(rb"\r\n|\n\r|\r|\n")
_FIRST_LINE = re.compile(rb"#[^\r\n]*")


@dataclass(slots=True)
class Tokens:
    """Parallel lists: kind, start and end offset, line of the last byte; the last token is `<eof>`.

    kinds: `<name>`, `<number>`, `<string>`, `<eof>`, else the keyword or symbol itself. literals: by token index, the
    spelling for LuaJIT where it differs. fault: what thrlua would raise on reading the token after the last.
    """

    source: bytes
    kinds: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    literals: dict[int, bytes] = field(default_factory=dict)
    fault: DialectError | None = None

    def text(self, at: int) -> bytes:
        """The source of token `at`."""
        return self.source[self.starts[at] : self.ends[at]]

    def near(self, at: int) -> str:
        """Token `at` as thrlua names it in an error."""
        kind = self.kinds[at]
        if kind in (NAME, NUMBER, STRING):
            return decode(self.text(at))
        if len(kind) == 1 and (kind < " " or kind == "\x7f"):
            return f"char({ord(kind)})"
        return decode(kind.encode("latin-1"))


def count_lines(text: bytes) -> int:
    """Line breaks in `text`; a CR LF or LF CR pair is one."""
    return len(_LINE_BREAK.findall(text)) if b"\r" in text else text.count(b"\n")


def tokenize(source: bytes, script: str) -> Tokens:
    """All tokens of a source; never raises. A first line that begins with `#` is skipped, as luaL_loadfile does."""
    tokens = Tokens(source)
    line = 1
    try:
        line = _read(tokens, script)
    except DialectError as fault:
        tokens.fault = fault
        line = fault.line
    tokens.kinds.append(EOF)
    tokens.starts.append(len(source))
    tokens.ends.append(len(source))
    tokens.lines.append(line)
    return tokens


def _read(tokens: Tokens, script: str) -> int:
    """Fill `tokens`; the number of the last line."""
    source, size, line = tokens.source, len(tokens.source), 1
    first_line = _FIRST_LINE.match(source)
    at = first_line.end() if first_line else 0
    match = _TOKEN.match
    kinds, starts, ends, lines = tokens.kinds, tokens.starts, tokens.ends, tokens.lines
    while at < size:
        found = match(source, at)
        assert found is not None  # the last alternative takes any byte
        what, end = found.lastgroup, found.end()
        if what == "blank":
            line += count_lines(found[0])
            at = end
            continue
        if what == "name":
            kind = found[0].decode("ascii") if found[0] in KEYWORDS else NAME
        elif what == "symbol":
            kind = found[0].decode("latin-1")
        elif what == "string":
            kind = STRING
        elif what == "number":
            kind = NUMBER
            if (spelling := numeral(found[0], script, line)) is not None:
                tokens.literals[len(kinds)] = spelling
        elif what == "quote":
            kind = STRING
            quoted = QuotedString(source, at, script, line)
            quoted.read()
            end, line = quoted.end, quoted.line
            if quoted.text is not None:
                tokens.literals[len(kinds)] = quoted.text
        elif what == "bad_bracket":
            raise DialectError(f"invalid long string delimiter near '{decode(found[0])}'", script, line)
        elif what == "comment":
            at = end
            continue
        else:  # a long bracket
            opening = found[0].lstrip(b"-")
            end = _long_bracket(source, end, len(opening) - 2, what == "long_comment", script, line)
            line += count_lines(source[found.end() : end])
            if what == "long_comment":
                at = end
                continue
            kind = STRING
        kinds.append(kind)
        starts.append(at)
        ends.append(end)
        lines.append(line)
        at = end
    return line


def _long_bracket(source: bytes, at: int, level: int, is_comment: bool, script: str, line: int) -> int:
    """The offset behind the long bracket whose contents begin at `at`."""
    close = source.find(b"]" + b"=" * level + b"]", at)
    if level == 0:
        # LUA_COMPAT_LSTR is 1 in thrlua: an opening inside is an error, in comments too. LuaJIT accepts it.
        nested = source.find(b"[[", at, close if close >= 0 else len(source))
        if nested >= 0:
            raise DialectError(
                "nesting of [[...]] is deprecated near '['", script, line + count_lines(source[at:nested])
            )
    if close < 0:
        what = "comment" if is_comment else "string"
        raise DialectError(f"unfinished long {what} near '<eof>'", script, line + count_lines(source[at:]))
    return close + level + 2
