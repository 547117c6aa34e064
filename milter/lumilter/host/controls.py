"""Console commands that scripts registered, and Lua that is typed in at the console.

The law: on the Lua thread. A command is a task of its own, whose printed lines go to who gave it and nowhere else; what
it may print is bounded, because who gave it may not read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lumilter.calls import Here, LuaFunction
from lumilter.errors import LumilterError, ScriptError
from lumilter.host.closures import Closures, Purpose
from lumilter.host.tasks import Tasks
from lumilter.host.values import from_wire, to_wire

_MOST = 1 << 20
"""Characters that a command may print."""


@dataclass(frozen=True, slots=True)
class CommandConstruct:
    """A command as a script sees it."""

    words: list[str]


class _Output:
    """Lines to who gave a command, up to a limit."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line, self._left = line, _MOST

    def __call__(self, text: str) -> None:
        if self._left <= 0:
            return
        self._left -= len(text) + 1
        self._line(text if self._left > 0 else f"(the rest, beyond {_MOST} characters, is not shown)")


class Controls:
    """The commands of one Lua state."""

    def __init__(self, tasks: Tasks, closures: Closures) -> None:
        self._tasks, self._closures = tasks, closures
        self._registered: dict[tuple[str, ...], tuple[LuaFunction, str]] = {}

    def register(self, prefix: str, closure: LuaFunction, module: str) -> None:
        """Take a command; a later one of the same words replaces it. Raises LumilterError."""
        words = tuple(prefix.split())
        if not words:
            raise LumilterError("expected the name of a command, got none")
        self._registered[words] = closure, module

    def names(self) -> list[str]:
        """The commands that there are."""
        return sorted(" ".join(words) for words in self._registered)

    def run(
        self, words: Sequence[str], line: Callable[[str], None], ended: Callable[[ScriptError | None], None]
    ) -> bool:
        """Run the command with the longest prefix that fits; False if there is none. line: gets what is printed."""
        for length in range(len(words), 0, -1):
            found = self._registered.get(tuple(words[:length]))
            if found is not None:
                closure, module = found
                here = Here("control", module, output=_Output(line))
                purpose, args = Purpose("command", " ".join(words[:length])), [CommandConstruct(list(words))]
                self._closures.run(purpose, closure, here, self._tasks.limits, ended, args)
                return True
        return False

    def evaluate(self, source: str, line: Callable[[str], None], ended: Callable[[ScriptError | None], None]) -> None:
        """Run Lua, an expression or statements; its results are printed, each on a line."""
        output, boot = _Output(line), self._tasks.boot

        def collect(*texts: str) -> None:
            for text in texts:
                output(from_wire(text))

        self._tasks.start(
            lambda *limits: boot.start(*limits, boot.evaluate, to_wire(source), collect),
            Here("control", output=output),
            lambda values: ended(None),
            ended,
        )
