"""What API functions reach outside the session with: one record of adapters, made by whoever starts a host.

The law: fields are contracts (Protocols) of adapters, never concrete ones; tests and `lumilter test` put others in.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lumilter.adapters.datasources.service import Datasources
from lumilter.adapters.dns_lookup import LateResolver, Lookup
from lumilter.adapters.files import Files
from lumilter.adapters.filesystems import Filesystems
from lumilter.adapters.http import Web, WebClient
from lumilter.adapters.networks.lists import CidrLists
from lumilter.adapters.pcre import Limits as PcreLimits
from lumilter.adapters.scanners.service import Scanners
from lumilter.adapters.signatures.service import Signatures
from lumilter.errors import LumilterError
from lumilter.state.state import State


class Mail(Protocol):
    """Sends mail; any thread. Texts are UTF-8 with surrogateescape, addresses without angle brackets."""

    @property
    def configured(self) -> bool:
        """Whether there is a server to send it to."""
        ...

    @property
    def hops(self) -> int:
        """How many times lumilter may have sent a message; beyond, it is in a loop."""
        ...

    def put(self, sender: str, recipients: Sequence[str], content: Sequence[bytes | memoryview]) -> str:
        """Promise to send a message: it is on disk when this returns. Its identifier. Raises LumilterError."""
        ...

    def send(self, messages: Sequence[Any], trace: str) -> None:
        """Send messages (session.split.Outgoing) now, each recipient once. Raises LumilterError if not all could be.

        trace: what a Received field says about where they came from.
        """
        ...

    def remembers(self) -> bool:
        """Whether there is anything to recall."""
        ...

    def recall(self, keys: Sequence[str]) -> Iterable[str]:
        """Those of the recipients, by their keys, who were served by a `send` that did not come to its end."""
        ...

    def forget(self, keys: Sequence[str]) -> None:
        """The MTA has taken the answer: these recipients need not be remembered any more."""
        ...


class NoMail:
    """Where no server is configured."""

    configured = False
    hops = 0

    def put(self, sender: str, recipients: Sequence[str], content: Sequence[bytes | memoryview]) -> str:
        """See Mail."""
        raise LumilterError("sending mail needs [inject] server in the configuration")

    def send(self, messages: Sequence[Any], trace: str) -> None:
        """See Mail."""
        raise LumilterError("sending mail needs [inject] server in the configuration")

    def remembers(self) -> bool:
        """See Mail."""
        return False

    def recall(self, keys: Sequence[str]) -> Iterable[str]:
        """See Mail."""
        return ()

    def forget(self, keys: Sequence[str]) -> None:
        """See Mail."""


class Settings(Protocol):
    """The configuration, for scripts. words: scopes and the name of a key, as `lumilter ctl config` takes them."""

    def get(self, words: Sequence[str]) -> tuple[Any, str]:
        """The value of a key and its text; None and why where there is none."""
        ...

    def set(self, words: Sequence[str]) -> tuple[Any, str]:
        """Change a key for as long as this configuration runs; words end with the value. Raises LumilterError."""
        ...


class NoSettings:
    """Where there is no configuration."""

    def get(self, words: Sequence[str]) -> tuple[Any, str]:
        """See Settings."""
        return None, "there is no configuration"

    def set(self, words: Sequence[str]) -> tuple[Any, str]:
        """See Settings."""
        raise LumilterError("there is no configuration")


@dataclass(frozen=True, slots=True)
class Services:
    """One of each; what stands here by default works without a configuration, or says which key is missing."""

    resolver: Lookup = field(default_factory=LateResolver)
    """DNS."""
    dns_timeout: float = 10.0
    """Seconds for one lookup."""
    pcre: PcreLimits = field(default_factory=PcreLimits)
    """What a match may use."""
    hostname: str = field(default_factory=lambda: socket.gethostname().lower())
    """This machine's name."""
    mail: Mail = field(default_factory=NoMail)
    """Sends mail."""
    web: Web = field(default_factory=WebClient)
    """Makes HTTP requests."""
    files: Files = field(default_factory=Files)
    """Opens files and URIs."""
    datasources: Datasources = field(default_factory=Datasources)
    """Databases, directories and files by name."""
    signatures: Signatures = field(default_factory=Signatures)
    """DKIM and its kin."""
    cidr_lists: CidrLists = field(default_factory=CidrLists)
    """Lists of networks that scripts define."""
    state: State = field(default_factory=State)
    """Counters, windows, gauges, locks."""
    scanners: Scanners = field(default_factory=Scanners)
    """Virus scanners and spam filters."""
    routing: Any = None
    """Bindings and routing domains (session.routing.Routing); None is that there are none."""
    settings: Settings = field(default_factory=NoSettings)
    """The configuration."""
    filesystems: Filesystems = field(default_factory=Filesystems)
    """How full file systems are."""
