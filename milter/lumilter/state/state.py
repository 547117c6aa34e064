"""The state that scripts work with.

The law: parts, put together; nothing is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumilter.state.contract import Store
from lumilter.state.numbers import Locks, Numbers
from lumilter.state.places import Places, Rules
from lumilter.state.presence import Presence
from lumilter.state.windows import Windows

if TYPE_CHECKING:
    from lumilter.state.shared import SharedStore


class State:
    """machine: in memory without one. shared: of several machines, if there is one."""

    def __init__(self, machine: Store | None = None, rules: Rules = Rules(), shared: SharedStore | None = None) -> None:  # noqa: B008
        self.places = Places(machine, rules, shared)
        self.windows = Windows(self.places)
        self.presence = Presence(self.places)
        self.numbers = Numbers(self.places)
        self.locks = Locks(self.places)

    def close(self) -> None:
        """Give the stores back."""
        self.places.close()
