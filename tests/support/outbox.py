"""An outbox with a server on a Unix socket beside it, for tests of what waits and what is sent.

The law: the real connection, over a real socket; no part of the outbox is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lumilter.adapters.outbox import Outbox, Runner
from lumilter.adapters.outbox_file import Envelope, Stored
from lumilter.adapters.smtp import Connection
from lumilter.config.address import MailServer
from support.scripted_server import Talk, scripted

TEXT = b"Subject: a\r\n\r\nsecret\r\n"


class Server:
    """Keeps (recipients, content) of messages. replies: to a recipient, to MAIL or to the dot, instead of 250."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], bytes]] = []
        self.replies: dict[str, str] = {}
        self.connections = 0

    def __call__(self, talk: Talk, number: int) -> None:
        self.connections += 1
        talk.hello()
        recipients: list[str] = []
        while True:
            command = talk.command().decode()
            verb = command.partition(" ")[0]
            reply = self.replies.get(verb, "250 fine")
            if verb == "RCPT":
                recipient = command.removeprefix("RCPT TO:<").removesuffix(">")
                reply = self.replies.get(recipient, "250 fine")
                recipients += [recipient] * reply.startswith("2")
            elif verb == "DATA":
                talk.say(b"354 go")
                content = talk.data()
                if reply.startswith("2"):
                    self.messages.append((recipients, content))
                recipients = []
            elif verb == "QUIT":
                return
            if not reply:
                return
            talk.say(reply.encode())


class Rig:
    """An outbox in a directory, and a server on a Unix socket beside it that is there or not."""

    def __init__(self, directory: Path) -> None:
        self.outbox = Outbox(directory / "box")
        self.directory = directory / "box"
        self.path = directory / "server"
        self.events: list[str] = []
        self.server = Server()

    @contextmanager
    def up(self) -> Iterator[None]:
        with scripted(self.server, path=self.path):
            yield
        self.path.unlink()

    def connect(self) -> Connection:
        return Connection(MailServer.parse(f"smtp:unix:{self.path}"), "mx.test", 5, 5)

    @contextmanager
    def running(self, retry: float = 0.05, give_up: float = 1000, poll: float = 0.02) -> Iterator[Runner]:
        runner = Runner(self.outbox, self.connect, retry=retry, give_up=give_up, poll=poll, on_event=self.events.append)
        runner.start()
        try:
            yield runner
        finally:
            runner.stop(20)

    def put(self, *recipients: str, content: bytes = TEXT) -> str:
        return self.outbox.put("a@a.test", recipients or ("b@b.test",), [content])

    def make_due(self) -> None:
        """What waits is due now; while nobody runs."""
        for path in self.files("waiting"):
            with Stored(path) as stored:
                self.outbox.keep(path.name, replace(stored.envelope, next=0.0), stored.content)

    def files(self, kind: str) -> list[Path]:
        return sorted((self.directory / kind).iterdir())

    def envelope(self, path: Path) -> Envelope:
        with Stored(path) as stored:
            return stored.envelope
