"""Script and line of each hook, as "policy.lua:12".

The law: learned from Lua's debug information when a module is registered; plain text afterwards, for any thread.
"""

from __future__ import annotations

from lumilter.host.state import State
from lumilter.host.values import from_wire
from lumilter.resources import lua_dir
from lumilter.session import phases

_FILE = "lumilter/positions.lua"


class Positions:
    """Of one Lua state; made once `boot.register` is there, before scripts are loaded."""

    def __init__(self, state: State) -> None:
        self._known: dict[tuple[str, str], str] = {}
        state.boot.defined = self._learn
        source = (lua_dir() / _FILE).read_bytes().decode("latin-1")
        state.boot.compile(source, f"@{_FILE}")(state.boot)

    def of(self, module: str, hook: str) -> str:
        """Where a module's hook is defined; "" where that is not known."""
        return self._known.get((module, hook), "")

    def _learn(self, module: str, hook: str, source: str, line: int) -> None:
        if hook in phases.HOOKS and line > 0:
            self._known[from_wire(module), hook] = f"{from_wire(source)}:{line}"
