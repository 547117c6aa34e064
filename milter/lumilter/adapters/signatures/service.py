"""What signatures cost at start: nothing. The parts that do the work, and their libraries, are loaded when first used.

The law: any thread may call; a call blocks, at most until its deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lumilter.adapters.dns import Lookup

if TYPE_CHECKING:
    from lumilter.adapters.signatures.content import Content
    from lumilter.adapters.signatures.verification import Rules, Verified


class Signatures:
    """rules: what counts as a good signature; made at the first use."""

    def __init__(self, rules: Callable[[], Rules] | None = None) -> None:
        self._make_rules = rules
        self._rules: Rules | None = None

    @property
    def rules(self) -> Rules:
        """What counts as a good signature."""
        if self._rules is None:
            from lumilter.adapters.signatures.verification import Rules

            self._rules = self._make_rules() if self._make_rules else Rules()
        return self._rules

    def verify(self, content: Content, resolver: Lookup, deadline: float) -> Verified:
        """Check the DKIM signatures of a message."""
        from lumilter.adapters.signatures import verification

        return verification.verify(content, resolver, self.rules, deadline)
