"""Functions and statements, as in lparser.c.

The law: what thrlua accepts is accepted and nothing else: no labels, no `goto x`, `break` and `return` last in a block.
"""

from __future__ import annotations

from collections.abc import Callable

from lumilter.host.dialect.edits import Edits
from lumilter.host.dialect.expressions import RUNTIME, Expressions, FunctionScope
from lumilter.host.dialect.tokens import EOF, NAME, Tokens

_BLOCK_FOLLOW = frozenset(["else", "elseif", "end", "until", EOF])


class Parser(Expressions):
    """One run over the tokens of a chunk, which fills `edits`."""

    def __init__(self, tokens: Tokens, edits: Edits, script: str) -> None:
        super().__init__(tokens, edits, script)
        self._statements: dict[str, Callable[[int], None]] = {
            "if": self._if,
            "while": self._while,
            "do": self._do,
            "for": self._for,
            "repeat": self._repeat,
            "function": self._function,
            "local": self._local,
        }

    def chunk(self) -> None:
        """Read the whole chunk; raises DialectError."""
        try:
            self._block()
        except RecursionError:  # deep nesting met a caller that was already deep in Python
            raise self._too_deep() from None
        if self.kinds[self.at] != EOF or self.tokens.fault:
            raise self._expected(EOF)

    def _body(self, line: int) -> None:
        self._expect("(")
        is_vararg = False
        if self.kinds[self.at] != ")":
            while not is_vararg:
                if self._accept("..."):
                    is_vararg = True
                elif not self._accept(NAME):
                    raise self._error("<name> or '...' expected")
                elif not self._accept(","):
                    break
        self._expect(")")
        after_parameters = self.at - 1
        function = FunctionScope(is_vararg)
        self.functions.append(function)
        self._block()
        self._close("end", "function", line)
        self.functions.pop()
        if function.mentions_arg:
            # LUA_COMPAT_VARARG: a vararg function has a local `arg`, which is nil in one that uses `...` itself.
            value = b"" if function.uses_dots else b"=" + RUNTIME + b"arg(...)"
            self.edits.append(after_parameters, b" local arg" + value + b";")

    def _block(self) -> None:
        self._enter()
        kinds = self.kinds
        while (kind := kinds[self.at]) not in _BLOCK_FOLLOW:
            if kind == "return":
                self._return()
            elif kind == "break":
                self.at += 1
                if not self.functions[-1].loops:
                    raise self._error("no loop to break")
            elif (statement := self._statements.get(kind)) is not None:
                line = self.lines[self.at]
                self.at += 1
                statement(line)
            else:
                self._call_or_assignment()
            self._accept(";")
            if kind in ("return", "break"):
                break  # must be last; what follows is for the caller to refuse
        self._level -= 1

    def _return(self) -> None:
        self.at += 1
        if self.kinds[self.at] in _BLOCK_FOLLOW or self.kinds[self.at] == ";":
            return
        start = self.at
        if self._expressions():
            # As a tail call it would take the frame away whose line its error must name.
            self.edits.wrap(start, self.at - 1, b"(")

    def _call_or_assignment(self) -> None:
        form = self._primary()
        if form == "call":
            return
        while True:
            if form != "variable":
                raise self._error("syntax error")
            if not self._accept(","):
                break
            form = self._primary()
        self._expect("=")
        self._expressions()

    def _loop_block(self) -> None:
        self.functions[-1].loops += 1
        self._block()
        self.functions[-1].loops -= 1

    def _if(self, line: int) -> None:
        self._expression()
        self._expect("then")
        self._block()
        while self._accept("elseif"):
            self._expression()
            self._expect("then")
            self._block()
        if self._accept("else"):
            self._block()
        self._close("end", "if", line)

    def _while(self, line: int) -> None:
        self._expression()
        self._expect("do")
        self._loop_block()
        self._close("end", "while", line)

    def _do(self, line: int) -> None:
        self._block()
        self._close("end", "do", line)

    def _repeat(self, line: int) -> None:
        self._loop_block()
        self._close("until", "repeat", line)
        self._expression()

    def _for(self, line: int) -> None:
        self._expect(NAME)
        if self._accept("="):
            self._expression()
            self._expect(",")
            self._expression()
            if self._accept(","):
                self._expression()
        elif self.kinds[self.at] in (",", "in"):
            while self._accept(","):
                self._expect(NAME)
            self._expect("in")
            start = self.at
            self._expressions()
            self.edits.wrap(start, self.at - 1, RUNTIME + b"iter(")
        else:
            raise self._error("'=' or 'in' expected")
        self._expect("do")
        self._loop_block()
        self._close("end", "for", line)

    def _function(self, line: int) -> None:
        self._reference()
        while self._accept("."):
            self._expect(NAME)
        if self._accept(":"):
            self._expect(NAME)
        self._body(line)

    def _local(self, line: int) -> None:
        if self._accept("function"):
            self._expect(NAME)
            self._body(self.lines[self.at])
            return
        self._expect(NAME)
        while self._accept(","):
            self._expect(NAME)
        if self._accept("="):
            self._expressions()
