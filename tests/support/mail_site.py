"""A mail site in one piece: `lumilter serve` with a policy, its own MTA that asks it, and the sink where mail ends.

The law: everything is a process or a thread that the Site started, and each is ended by its own pid; what a test sees
is what a client, the next hop or an administrator with the log would see.
"""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from support.daemon import Daemon, write
from support.postfix import PrivatePostfix, free_port
from support.sendmail import PrivateSendmail
from support.sink import Received, Sink


@dataclass
class Site:
    """A context manager.

    directory: one that the user postfix can reach, and that only its owner can write to (Sendmail refuses a milter's
    socket elsewhere). policy: Lua between the lines that make `mod` and register it, so it begins at line 2 of
    policy.lua. config: more TOML. mta: "postfix" or "sendmail"; extra_main: settings for Postfix. Raises
    `support.sendmail.Unavailable`.
    """

    directory: Path
    policy: str
    config: str = ""
    mta: str = "postfix"
    extra_main: Mapping[str, str] = field(default_factory=dict)
    sink: Sink = field(default_factory=Sink)
    port: int = field(default=0, init=False)

    def __enter__(self) -> Site:
        with ExitStack() as stack:
            path = self.directory / "m.sock"
            stack.enter_context(self.sink)
            config = write(self.directory / "lumilter", path, [self.policy], self.config)
            self.daemon = stack.enter_context(Daemon(config, self.directory / "lumilter.log"))
            self.server: PrivatePostfix | PrivateSendmail
            if self.mta == "postfix":
                self.server = PrivatePostfix(
                    self.directory / "mta", f"unix:{path}", 0, self.sink.port, extra_main=self.extra_main
                )
            else:
                self.server = PrivateSendmail(self.directory / "mta", f"local:{path}", free_port(), self.sink.port)
            stack.enter_context(self.server)
            self.port = self.server.smtp_port
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def smtp(self, helo: str = "client.example") -> smtplib.SMTP:
        """A client that has read the banner."""
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname=helo, timeout=60)

    def raw(self) -> socket.socket:
        """A connection for a test that decides itself what stands in which packet; nothing was read from it."""
        return socket.create_connection(("127.0.0.1", self.port), 60)

    def log(self) -> list[str]:
        """The lines that lumilter logged so far."""
        return self.daemon.log.splitlines()

    def to(self, recipient: str, count: int = 1) -> list[Received]:
        """The messages for a recipient, once there are that many. Raises TimeoutError."""

        def found() -> list[Received]:
            return [message for message in self.sink.messages if recipient in message.recipients]

        with self.sink.arrived:
            if not self.sink.arrived.wait_for(lambda: len(found()) >= count, 30):
                raise TimeoutError(f"expected {count} messages for {recipient}, got {len(found())}")
            return found()
