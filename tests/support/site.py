"""A mail site under test: an MTA that asks the milter on a socket, and the sink where its mail ends.

The law: everything is a process or a thread that the site started, and each is ended by its own pid; what a test sees
is what a client, the next hop or an administrator with the log would see. One MTA serves many tests: a daemon is
started on its socket for one test, or for all tests of a file that share a policy.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from support.daemon import Daemon, write
from support.ports import free_port
from support.postfix import PrivatePostfix
from support.sendmail import PrivateSendmail
from support.sink import Received, Sink

Serve = Callable[..., Daemon]
"""serve(policy, config=""): a daemon with that policy behind the site's MTA, stopped after the test."""


@dataclass
class Site:
    """mta: asks the milter on `socket`. sink: what arrived. daemon: the one of `serving`."""

    mta: PrivatePostfix | PrivateSendmail
    socket: Path
    sink: Sink
    daemon: Daemon | None = None

    @property
    def port(self) -> int:
        return self.mta.smtp_port

    @contextmanager
    def serving(self, directory: Path, policy: str, config: str = "") -> Iterator[Self]:
        """The site with a daemon that has this policy, which begins at line 2 of policy.lua."""
        with Daemon(write(directory, self.socket, [policy], config), directory / "log") as daemon:
            yield replace(self, daemon=daemon)

    def smtp(self, helo: str = "client.example", source: str = "127.0.0.1") -> smtplib.SMTP:
        """A client that has read the banner; its name in EHLO and its address."""
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname=helo, timeout=60, source_address=(source, 0))

    def log(self) -> list[str]:
        """The lines that the daemon of `serving` logged so far."""
        assert self.daemon
        return self.daemon.log.splitlines()

    def to(self, recipient: str) -> Received:
        """The first message for a recipient, once there is one. Raises TimeoutError."""

        def found() -> list[Received]:
            return [message for message in self.sink.messages if recipient in message.recipients]

        with self.sink.arrived:
            if not self.sink.arrived.wait_for(found, 30):
                raise TimeoutError(f"nothing arrived for {recipient}")
            return found()[0]

    def reached(self) -> set[str]:
        """The recipients of what arrived so far."""
        return {recipient for message in self.sink.messages for recipient in message.recipients}


@dataclass
class PostfixSite(Site):
    """ports: its smtpd services beside the one on `port`, by name."""

    mta: PrivatePostfix
    ports: Mapping[str, int] = field(default_factory=dict)

    def arrived(self) -> list[Received]:
        """What was delivered once nothing is on its way any more."""
        self.mta.wait_empty()
        return list(self.sink.messages)

    def recipients(self) -> list[str]:
        """The recipients of all that was delivered, sorted; a message that came twice stands there twice."""
        return sorted(recipient for message in self.arrived() for recipient in message.recipients)


@contextmanager
def postfix_site(directory: Path, main: Mapping[str, str], services: Mapping[str, str]) -> Iterator[PostfixSite]:
    """directory: one that the user postfix can reach. main: settings. services: a name to the options of an smtpd."""
    ports = {name: free_port() for name in services}
    lines = [f"127.0.0.1:{ports[name]} inet n - n - - smtpd {options}" for name, options in services.items()]
    socket = directory / "m.sock"
    with Sink() as sink, PrivatePostfix(directory / "mta", f"unix:{socket}", 0, sink.port, main, lines) as mta:
        yield PostfixSite(mta, socket, sink, ports=ports)


@contextmanager
def sendmail_site(directory: Path) -> Iterator[Site]:
    """directory: only its owner may write to it. Raises support.sendmail.Unavailable."""
    socket = directory / "m.sock"
    with Sink() as sink, PrivateSendmail(directory / "mta", f"local:{socket}", free_port(), sink.port) as mta:
        yield Site(mta, socket, sink)
