"""Who answers the connections that are too many.

The law: the first reply is the configured one, and nothing else is asked for; no script hears of it.
"""

from __future__ import annotations

from collections.abc import Callable

from lumilter.session.events import Event, Outcome
from lumilter.session.needs import Edits, Needs


class Refusing:
    """Server and conversation in one."""

    needs = Needs(frozenset({"connect"}), Edits.NONE, content=False)

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def open(self) -> Refusing:
        return self

    def handle(self, event: Event) -> Outcome:
        return self._outcome

    def start(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        answer(self._outcome)
