"""Mail that would have been sent: what scripts inject and forward where nothing may leave.

The law: a services.Mail that keeps what it is given and reaches nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lumilter.errors import LumilterError


@dataclass(slots=True)
class Unsent:
    """configured: whether the configuration has a server. messages: sender, recipients and raw text of each."""

    configured: bool
    hops: int
    messages: list[tuple[str, list[str], bytes]] = field(default_factory=list)

    def put(self, sender: str, recipients: Sequence[str], content: Sequence[bytes | memoryview]) -> str:
        """See services.Mail."""
        if not self.configured:
            raise LumilterError("sending mail needs [inject] server in the configuration")
        self.messages.append((sender, list(recipients), b"".join(content)))
        return str(len(self.messages))

    def send(self, messages: Sequence[Any], trace: str) -> None:
        """The session has them: Session.sent."""

    def remembers(self) -> bool:
        """Nothing is remembered."""
        return False

    def recall(self, keys: Sequence[str]) -> Iterable[str]:
        """Nothing is remembered."""
        return ()

    def forget(self, keys: Sequence[str]) -> None:
        """Nothing is remembered."""
