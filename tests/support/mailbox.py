"""A mailer that keeps what it is given: for tests of what is sent, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lumilter.errors import LumilterError
from lumilter.session.split import Outgoing


@dataclass
class Mailbox:
    """promised: what scripts injected: sender, recipients, raw. sent: messages of recipients that parted ways."""

    hops: int = 8
    promised: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    sent: list[Outgoing] = field(default_factory=list)
    remembered: set[str] = field(default_factory=set)
    down: bool = False
    configured = True

    def put(self, sender: str, recipients: Sequence[str], content: Sequence[bytes | memoryview]) -> str:
        if self.down:
            raise LumilterError("the disk is full")
        self.promised.append((sender, list(recipients), b"".join(content)))
        return str(len(self.promised))

    def send(self, messages: Sequence[Outgoing], trace: str) -> None:
        if self.down:
            raise LumilterError("the server is down")
        assert trace.startswith("from ")
        for message in messages:
            self.sent.append(message)
            self.remembered.update(message.keys)

    def remembers(self) -> bool:
        return bool(self.remembered)

    def recall(self, keys: Sequence[str]) -> Iterable[str]:
        return self.remembered & set(keys)

    def forget(self, keys: Sequence[str]) -> None:
        self.remembered.difference_update(keys)
