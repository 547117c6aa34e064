"""A server that an adapter talks to: where it listens, and how much of what it says may be shown.

The law: no I/O here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Address(Protocol):
    """Where a server listens (lumilter.config.address.SocketAddress)."""

    @property
    def family(self) -> str:
        """ "unix", "inet" or "inet6"."""

    @property
    def path(self) -> str:
        """Of a Unix socket."""

    @property
    def host(self) -> str:
        """A name or an address."""

    @property
    def port(self) -> int:
        """1 to 65535."""


@dataclass(frozen=True, slots=True)
class Secured:
    """A server that speaks TLS. context: an ssl.SSLContext."""

    address: Address
    context: Any

    @property
    def family(self) -> str:
        """See Address."""
        return self.address.family

    @property
    def path(self) -> str:
        """See Address."""
        return self.address.path

    @property
    def host(self) -> str:
        """See Address; its certificate has to be for it."""
        return self.address.host

    @property
    def port(self) -> int:
        """See Address."""
        return self.address.port

    def __str__(self) -> str:
        return f"{self.address} (TLS)"


def printable(text: bytes, longest: int = 300) -> str:
    """A server's text on one line: control characters are blanks, what is not UTF-8 is "\\ufffd", the rest is cut."""
    shown = _CONTROL.sub(" ", text[: longest * 4].decode("utf-8", "replace")).strip()
    return shown if len(shown) <= longest else f"{shown[:longest]}..."
