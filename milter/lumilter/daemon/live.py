"""The configuration of a running daemon, as scripts and the console see it and change it.

The law: what is set holds for all workers, and until the next reload or restart, which read the files; nothing is ever
written to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lumilter.config import Config, live
from lumilter.errors import LumilterError


class LiveSettings:
    """services.Settings. on_set: is told what was set, to apply it and tell others; without it nothing can be set."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.on_set: Callable[[Sequence[str]], None] | None = None

    def get(self, words: Sequence[str]) -> tuple[Any, str]:
        """See services.Settings."""
        found = live.find(self.config, words)
        if found is None:
            *scope, name = words or [""]
            return None, f"Option '{name}' is not set in scope '{' '.join(scope)}'."
        return None if found.key.secret else live.plain(found.value), str(found)

    def set(self, words: Sequence[str]) -> tuple[Any, str]:
        """See services.Settings."""
        if self.on_set is None:
            raise LumilterError("only a running daemon can be configured")
        self.adopt(words)
        self.on_set(words)
        return self.get([word for word in words[:-1] if word != "="])

    def adopt(self, words: Sequence[str]) -> None:
        """Take a change that was made elsewhere. Raises LumilterError."""
        self.config, _ = live.changed(self.config, words)
