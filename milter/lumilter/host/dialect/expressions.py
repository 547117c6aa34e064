"""Expressions, by precedence climbing as in lparser.c, with a run-time call written around each extended operator.

The law: no tree and no value is built. A call begins on the line of its left operand, which is the line that an error
in it names.

How the run-time functions are reached: `("").__lum.bor(a, b)`, that is through the metatable that all strings share.
Nothing of it depends on the chunk's environment (setfenv, module, strict globals), it takes no local, no upvalue and
does not touch `...`, and the result needs no help from the host to be loaded. Measured with the compiler off: 25 ns
for the call, against 13 ns through an upvalue, which would cost one of 60 upvalues in every function and a
wrapper around the chunk; a metatable on booleans would be as fast and would spoil the message of every attempt to index
one. A script breaks it only by giving strings an `__index` that no longer knows the string library.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from lumilter.host.dialect.cursor import Cursor
from lumilter.host.dialect.edits import Edits
from lumilter.host.dialect.tokens import NAME, NUMBER, STRING, Tokens

RUNTIME = b'("").__lum.'

# priority[] of lparser.c: how strongly an operator binds to its left and to its right.
BINARY = {
    **dict.fromkeys(["+", "-", "|", "&", "^^"], (6, 6)),
    **dict.fromkeys(["*", "/", "%", "<<", ">>", "\\"], (7, 7)),
    "^": (10, 9),
    "..": (5, 4),
    **dict.fromkeys(["==", "~=", "!=", "<", "<=", ">", ">="], (3, 3)),
    "and": (2, 2),
    "or": (1, 1),
}
UNARY = frozenset(["not", "!", "-", "#", "~"])
UNARY_PRIORITY = 8
CALLS = {"|": b"bor", "&": b"band", "^^": b"bxor", "<<": b"shl", ">>": b"shr", "\\": b"intdiv"}

_CONSTANTS = frozenset([NUMBER, STRING, "nil", "true", "false"])


class FunctionScope:
    """What the body of one function says about `...` and `arg`."""

    __slots__ = ("is_vararg", "loops", "mentions_arg", "uses_dots")

    def __init__(self, is_vararg: bool) -> None:
        self.is_vararg = is_vararg
        self.uses_dots = False
        self.mentions_arg = False
        self.loops = 0


class Expressions(Cursor, ABC):
    """The rules for expressions; the body of a function is the statements' business."""

    def __init__(self, tokens: Tokens, edits: Edits, script: str) -> None:
        super().__init__(tokens, script)
        self.edits = edits
        self.functions = [FunctionScope(is_vararg=True)]  # the chunk itself, which has no `arg`

    @abstractmethod
    def _body(self, line: int) -> None:
        """Read parameters and body up to `end`; `line` is that of the word `function`."""

    def _expression(self, limit: int = 0) -> bool:
        """Read operators that bind more strongly than `limit`; whether the result is a bare run-time call."""
        self._enter()
        start = self.at
        kinds, edits = self.kinds, self.edits
        kind = kinds[start]
        is_call = False
        if kind in UNARY:
            self.at += 1
            self._expression(UNARY_PRIORITY)
            if kind == "~":
                edits.replace(start, RUNTIME + b"bnot(")
                edits.append(self.at - 1, b")")
                is_call = True
            elif kind == "!":
                edits.replace(start, b" not ")
        elif kind in _CONSTANTS:
            self.at += 1
        elif kind == NAME or kind == "(":
            self._primary()
        else:
            self._constructed(kind)
        while (priority := BINARY.get(kinds[self.at])) and priority[0] > limit:
            operator, kind = self.at, kinds[self.at]
            self.at += 1
            self._expression(priority[1])
            is_call = kind in CALLS
            if is_call:
                edits.replace(operator, b",")
                edits.wrap(start, self.at - 1, RUNTIME + CALLS[kind] + b"(")
            elif kind == "!=":
                edits.replace(operator, b"~=")
        self._level -= 1
        return is_call

    def _constructed(self, kind: str) -> None:
        if kind == "{":
            self._table()
        elif kind == "function":
            self.at += 1
            self._body(self.lines[self.at])
        elif kind == "...":
            if not self.functions[-1].is_vararg:
                raise self._error("cannot use '...' outside a vararg function")
            self.functions[-1].uses_dots = True
            self.at += 1
        else:
            raise self._error("unexpected symbol")

    def _primary(self) -> str:
        """Read a prefix expression with its suffixes: "variable", "call" or "value"."""
        kinds = self.kinds
        if kinds[self.at] == NAME:
            self._reference()
            form = "variable"
        elif kinds[self.at] == "(":
            line = self.lines[self.at]
            self.at += 1
            self._expression()
            self._close(")", "(", line)
            form = "value"
        else:
            raise self._error("unexpected symbol")
        while True:
            kind = kinds[self.at]
            if kind == ".":
                self.at += 1
                self._expect(NAME)
                form = "variable"
            elif kind == "[":
                self._index()
                form = "variable"
            elif kind == ":":
                self.at += 1
                self._expect(NAME)
                self._arguments()
                form = "call"
            elif kind in ("(", "{", STRING):
                self._arguments()
                form = "call"
            else:
                return form

    def _reference(self) -> None:
        """Read a variable's name, and see whether it is the `arg` of a vararg function around it."""
        if self.tokens.text(self.at) == b"arg":
            for function in reversed(self.functions[1:]):
                if function.is_vararg:
                    function.mentions_arg = True
                    break
        self._expect(NAME)

    def _index(self) -> None:
        self.at += 1
        self._expression()
        self._expect("]")

    def _arguments(self) -> None:
        kind, line = self.kinds[self.at], self.lines[self.at]
        if kind == STRING:
            self.at += 1
        elif kind == "{":
            self._table()
        elif kind == "(":
            if line != self.lines[self.at - 1]:
                raise self._error("ambiguous syntax (function call x new statement)")
            self.at += 1
            if self.kinds[self.at] != ")":
                self._expressions()
            self._close(")", "(", line)
        else:
            raise self._error("function arguments expected")

    def _expressions(self) -> bool:
        """Read a list of expressions; whether it is one bare run-time call."""
        is_call = self._expression()
        while self._accept(","):
            self._expression()
            is_call = False
        return is_call

    def _table(self) -> None:
        line = self.lines[self.at]
        self._expect("{")
        while self.kinds[self.at] != "}":
            if self.kinds[self.at] == "[":
                self._index()
                self._expect("=")
            elif self.kinds[self.at] == NAME and self.kinds[self.at + 1] == "=":
                self.at += 2
            self._expression()
            if not self._accept(",") and not self._accept(";"):
                break
        self._close("}", "{", line)
