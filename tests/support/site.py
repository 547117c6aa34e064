"""A mail site under test: a Postfix that asks the milter on a socket, and the sink where its mail ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.daemon import Daemon
from support.postfix import PrivatePostfix
from support.sink import Received, Sink

Serve = Callable[..., Daemon]
"""serve(policy, config=""): a daemon with that policy behind the site's Postfix, stopped after the test."""


@dataclass
class Site:
    """mta: asks the milter on `socket`. sink: what arrived since the test began."""

    mta: PrivatePostfix
    socket: Path
    sink: Sink

    @property
    def port(self) -> int:
        return self.mta.smtp_port

    def arrived(self) -> list[Received]:
        """What was delivered once nothing is on its way any more."""
        self.mta.wait_empty()
        return list(self.sink.messages)

    def recipients(self) -> list[str]:
        """The recipients of all that was delivered, sorted; a message that came twice stands there twice."""
        return sorted(recipient for message in self.arrived() for recipient in message.recipients)


def until(condition: Callable[[], bool], timeout: float = 60) -> None:
    """Wait for a condition; an AssertionError after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.01)
