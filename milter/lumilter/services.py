"""What API functions reach outside the session with: one record of adapters, made by whoever starts a host.

The law: fields are contracts (Protocols) of adapters, never concrete ones; tests and `lumilter test` put others in.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from lumilter.adapters.dns import Lookup, Resolver
from lumilter.adapters.pcre import Limits as PcreLimits


@dataclass(frozen=True, slots=True)
class Services:
    """resolver: DNS. dns_timeout: seconds for one lookup. pcre: limits of a match. hostname: this machine's name."""

    resolver: Lookup = field(default_factory=Resolver)
    dns_timeout: float = 10.0
    pcre: PcreLimits = field(default_factory=PcreLimits)
    hostname: str = field(default_factory=lambda: socket.gethostname().lower())
