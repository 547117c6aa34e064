"""The changes to one source: replaced tokens, and text put directly before or after a token.

The law: an edit never contains a line break and never moves a token, so every token keeps its line.
"""

from __future__ import annotations

from lumilter.host.dialect.tokens import Tokens


class Edits:
    """Collects edits by token index; `apply` joins them with the untouched stretches of the source."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._before: dict[int, list[bytes]] = {}  # innermost first
        self._instead: dict[int, bytes] = dict(tokens.literals)
        self._after: dict[int, list[bytes]] = {}

    def replace(self, at: int, text: bytes) -> None:
        """Token `at` becomes `text`."""
        self._instead[at] = text

    def append(self, at: int, text: bytes) -> None:
        """`text` follows token `at`, outside of what was wrapped around it before."""
        self._after.setdefault(at, []).append(text)

    def wrap(self, first: int, last: int, head: bytes, tail: bytes = b")") -> None:
        """`head` goes before token `first` and `tail` after token `last`, outside of earlier wraps."""
        self._before.setdefault(first, []).append(head)
        self.append(last, tail)

    def apply(self) -> bytes:
        """The edited source; the source object itself when there was no edit."""
        touched = sorted({*self._before, *self._instead, *self._after})
        source = self._tokens.source
        if not touched:
            return source
        pieces: list[bytes] = []
        copied = 0
        for at in touched:
            start, end = self._tokens.starts[at], self._tokens.ends[at]
            pieces.append(source[copied:start])
            pieces.extend(reversed(self._before.get(at, ())))
            pieces.append(self._instead.get(at, source[start:end]))
            pieces.extend(self._after.get(at, ()))
            copied = end
        pieces.append(source[copied:])
        return b"".join(pieces)
