"""Mail that lumilter sends itself: promised to scripts through the outbox, or at once for recipients that part ways.

The law: a promise is on disk; whom a message was sent to at once is on disk before anybody is told. Any thread.
"""

from __future__ import annotations

import email.utils
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lumilter.adapters.outbox import Runner
from lumilter.adapters.outbox_store import Outbox, OutboxError
from lumilter.adapters.sent import SentError, SentMemory
from lumilter.adapters.smtp import Connection
from lumilter.config.address import MailServer
from lumilter.config.sections.mail import Inject
from lumilter.errors import LumilterError

log = logging.getLogger("lumilter.mail")

_LOOK = 0.5
"""Seconds between two looks at whether anything is remembered: nearly always there is nothing."""


class Mailer:
    """services.Mail over SMTP or LMTP. on_event: gets "sent", "deferred" or "failed" for each recipient."""

    configured = True

    def __init__(self, settings: Inject, hostname: str, on_event: Callable[[str], None] = lambda word: None) -> None:
        assert settings.server is not None
        self.hops = settings.hops
        self.on_event = on_event
        self._settings, self._server, self._hostname = settings, settings.server, hostname
        directory = Path(settings.outbox)
        self._outbox = Outbox(directory)
        self._directory = directory / "sent"
        self._memory = SentMemory(self._directory)
        self._looked, self._remembers = 0.0, False
        self._runner: Runner | None = None

    @property
    def server(self) -> MailServer:
        """Who takes the mail."""
        return self._server

    def start(self) -> None:
        """Send what waits, in this process or in whichever has the outbox's lock."""
        settings = self._settings
        self._runner = Runner(
            self._outbox, self._connection, retry=settings.retry, give_up=settings.give_up, on_event=self._event
        )
        self._runner.start()

    def stop(self) -> None:
        """Leave the outbox to another process."""
        if self._runner is not None:
            self._runner.stop(self._settings.timeout)

    def waiting(self) -> int:
        """How many messages are in the outbox; 0 where that can't be read, which the runner's log says."""
        try:
            return self._outbox.waiting()
        except OutboxError:
            return 0

    def put(self, sender: str, recipients: Sequence[str], content: Sequence[bytes | memoryview]) -> str:
        """See services.Mail."""
        ident = self._outbox.put(sender, recipients, content)
        if self._runner is not None:
            self._runner.wake()
        return ident

    def send(self, messages: Sequence[Any], trace: str) -> None:
        """See services.Mail."""
        deadline = time.monotonic() + self._settings.deadline
        received = _received(trace)
        with self._connection() as connection:
            for message in messages:
                content = (received, *message.content)
                refused = connection.send(message.sender, message.recipients, content, deadline)
                for recipient, key in zip(message.recipients, message.keys, strict=True):
                    if recipient not in refused:
                        self._memory.add(key)
                        self._event("sent")
                self._looked = 0.0
                if refused:
                    recipient, refusal = next(iter(refused.items()))
                    raise LumilterError(f"{self._server} refuses <{recipient}>: {refusal}")

    def remembers(self) -> bool:
        """See services.Mail."""
        now = time.monotonic()
        if now - self._looked > _LOOK:
            self._looked, self._remembers = now, any(self._directory.glob("*/*"))
        return self._remembers

    def recall(self, keys: Sequence[str]) -> Iterable[str]:
        """See services.Mail."""
        return [key for key in keys if self._memory.has(key)]

    def forget(self, keys: Sequence[str]) -> None:
        """See services.Mail."""
        try:
            self._memory.forget(keys)
        except SentError as error:
            log.error("recipients stay remembered as served, and would not get the very same message again: %s", error)
        self._looked = 0.0

    def _connection(self) -> Connection:
        return Connection(self._server, self._hostname, self._settings.timeout)

    def _event(self, word: str) -> None:
        self.on_event(word)


def _received(trace: str) -> bytes:
    """RFC 5321 4.4: the MTA's own field for the client is added after the milter has seen the message."""
    text = f"{trace}; {email.utils.formatdate()}"
    clean = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return f"Received: {clean[:900]}\r\n".encode("ascii")
