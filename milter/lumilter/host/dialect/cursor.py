"""Where the parser stands in the tokens, and how it refuses.

The law: the words and the line of a refusal are those of thrlua's lparser.c; nothing here moves backwards.
"""

from __future__ import annotations

from lumilter.errors import DialectError
from lumilter.host.dialect.tokens import EOF, Tokens

_MAX_LEVELS = 200  # LUAI_MAXCCALLS


class Cursor:
    """A position in the tokens of one chunk."""

    def __init__(self, tokens: Tokens, script: str) -> None:
        self.tokens, self.script = tokens, script
        self.kinds, self.lines = tokens.kinds, tokens.lines
        self.at = 0
        self._level = 0

    def _error(self, message: str) -> DialectError:
        if self.tokens.fault and self.kinds[self.at] == EOF:
            return self.tokens.fault
        return DialectError(f"{message} near '{self.tokens.near(self.at)}'", self.script, self.lines[self.at])

    def _expected(self, kind: str) -> DialectError:
        return self._error(f"'{kind}' expected")

    def _accept(self, kind: str) -> bool:
        if self.kinds[self.at] != kind:
            return False
        self.at += 1
        return True

    def _expect(self, kind: str) -> None:
        if self.kinds[self.at] != kind:
            raise self._expected(kind)
        self.at += 1

    def _close(self, kind: str, opening: str, line: int) -> None:
        """Expect `kind`, which closes `opening` on `line`."""
        if self._accept(kind):
            return
        if line == self.lines[self.at]:
            raise self._expected(kind)
        raise self._error(f"'{kind}' expected (to close '{opening}' at line {line})")

    def _enter(self) -> None:
        self._level += 1
        if self._level > _MAX_LEVELS:
            raise self._too_deep()

    def _too_deep(self) -> DialectError:
        return DialectError("chunk has too many syntax levels", self.script, self.lines[self.at])
