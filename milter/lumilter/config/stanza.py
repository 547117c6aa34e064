"""Momentum's own configuration syntax, as far as it takes to read stanzas out of it and step over the others.

    word = value            value: a word, a "string", a ( list ) or a [ dictionary ]
    word [ ... ]            the = may be missing before a list or a dictionary
    word "name" { ... }     a stanza; the name may be missing, and an = may stand before the brace
    include "path"          also readonly_include; a file, or every file of a directory
    # comment               also /* comment */

The law: structure only. What a stanza means, and which file an include means, is for whoever reads it (`momentum`).
Source: Momentum's manual, "Configuration Overview".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lumilter.errors import ConfigError

_TOKEN = re.compile(
    r"(?P<blank>\s+|\#[^\n]*|/\*[\s\S]*?\*/|[,;])"
    r"|(?P<open>/\*)"
    r'|(?P<string>"(?:[^"\\]|\\[\s\S])*"|\'(?:[^\'\\]|\\[\s\S])*\')'
    r"|(?P<quote>[\"'])"
    r"|(?P<sign>[={}()\[\]])"
    r"|(?P<word>(?:(?!/\*)[^\s\#\"'={}()\[\],;])+)"
)
_ESCAPED_QUOTE = re.compile(r"\\([\"'\\])")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Token:
    """kind: "string", "word" or "sign"; text: without quotes; line: 1-based."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Option:
    """`name = value`. value: the string of a scalar, None for a list or a dictionary.

    items: the strings of a list, those of lists in it left out; of no meaning in a comparison.
    """

    name: str
    value: str | None
    line: int
    items: tuple[str, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Include:
    """A directive to read another file, or the files of a directory, in this place."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Stanza:
    """`kind "name" ... { body }`."""

    kind: str
    names: tuple[str, ...]
    body: tuple[Option | Include | Stanza, ...]
    line: int


Item = Option | Include | Stanza


def parse(text: str, file: str) -> tuple[Item, ...]:
    """The items of a configuration file. file: for errors. Raises ConfigError."""
    return _Parser(text, file).items()


def tokens(text: str, file: str) -> Iterator[Token]:
    """The tokens of a configuration file, without comments, white space and separators. Raises ConfigError."""
    line, at = 1, 0
    while found := _TOKEN.match(text, at):
        at = found.end()
        kind, piece = str(found.lastgroup), found[0]
        if kind == "open":
            raise ConfigError("this comment has no */", file, line)
        if kind == "quote":
            raise ConfigError("this string has no closing quote", file, line)
        if kind == "string":
            yield Token(kind, _ESCAPED_QUOTE.sub(r"\1", piece[1:-1]), line)
        elif kind != "blank":
            yield Token(kind, piece, line)
        line += piece.count("\n")


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._tokens = list(tokens(text, file))
        self._file = file
        self._at = 0

    def items(self) -> tuple[Item, ...]:
        items: list[Item] = []
        unclosed: list[tuple[str, tuple[str, ...], int]] = []
        levels: list[list[Item]] = [items]
        while token := self._next():
            if token == Token("sign", "}", token.line):
                if not unclosed:
                    raise self._error("a } without a {", token)
                kind, names, line = unclosed.pop()
                body = tuple(levels.pop())
                levels[-1].append(Stanza(kind, names, body, line))
            elif token.kind == "sign":
                raise self._error(f"expected an option or a stanza, got {token.text}", token)
            elif ((equals := self._take("=")) and not self._at_sign("{")) or self._at_sign("[") or self._at_sign("("):
                value, words = self._value(token)
                levels[-1].append(Option(token.text, value, token.line, words))
            else:
                names = () if equals else self._names()
                if self._take("{"):
                    unclosed.append((token.text, names, token.line))
                    levels.append([])
                elif token.text.lower() in ("include", "readonly_include") and len(names) == 1:
                    levels[-1].append(Include(names[0], token.line))
                else:
                    raise self._error(f'expected = or {{ after "{token.text}"', token)
        if unclosed:
            raise ConfigError(f'"{unclosed[-1][0]}" has no closing }}', self._file, unclosed[-1][2])
        return tuple(items)

    def _names(self) -> tuple[str, ...]:
        """The words up to the brace; an include takes one, and what follows it is another item."""
        include = self._tokens[self._at - 1].text.lower() in ("include", "readonly_include")
        names: list[str] = []
        while (token := self._peek()) and token.kind != "sign" and not (include and names):
            names.append(token.text)
            self._at += 1
        return tuple(names)

    def _value(self, name: Token) -> tuple[str | None, tuple[str, ...]]:
        token = self._next()
        if token is None:
            raise self._error(f'"{name.text}" has no value', name)
        if token.kind != "sign":
            return token.text, ()
        if token.text not in ("(", "["):
            raise self._error(f'expected a value for "{name.text}", got {token.text}', token)
        open_, closing = [token], [_CLOSING[token.text]]
        words: list[str] = []
        while closing:
            inner = self._next()
            if inner is None:
                raise self._error(f"this {open_[-1].text} is not closed", open_[-1])
            if inner.kind != "sign" or inner.text == "=":
                if inner.kind != "sign" and len(open_) == 1:
                    words.append(inner.text)
                continue
            if inner.text in _CLOSING:
                open_.append(inner)
                closing.append(_CLOSING[inner.text])
            elif inner.text != closing.pop():
                raise self._error(
                    f"expected the end of the {open_[-1].text} of line {open_[-1].line}, got {inner.text}", inner
                )
            else:
                open_.pop()
        return None, tuple(words)

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> Token | None:
        token = self._peek()
        self._at += token is not None
        return token

    def _at_sign(self, sign: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == "sign" and token.text == sign

    def _take(self, sign: str) -> bool:
        taken = self._at_sign(sign)
        self._at += taken
        return taken

    def _error(self, message: str, token: Token) -> ConfigError:
        return ConfigError(message, self._file, token.line)
