"""What a DNS lookup is, whoever answers it.

The law: a lookup gives records or raises LookupFailed with a short word (NXDOMAIN, NODATA, SERVFAIL, REFUSED, TIMEOUT);
only a wrong record type is another error. Any thread may call; it blocks until the answer, at most until the deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from lumilter.adapters.cache import Stats
from lumilter.adapters.dns_names import configured

if TYPE_CHECKING:
    from lumilter.adapters.dns import Resolver

Record = tuple[int | None, str]
"""Preference (None for records without one) and text: an address, a name without final dot, or a TXT record's bytes."""


class Lookup(Protocol):
    """Whatever can answer DNS lookups."""

    def lookup(self, name: str, rtype: str = "A", *, server: str | None = None, deadline: float) -> list[Record]:
        """The records, best preference first, else in the order of the answer.

        rtype: A, AAAA, TXT, MX, PTR or NS in either case; RecordTypeError otherwise. server: instead of the configured
        ones. deadline: a time.monotonic() value. Raises LookupFailed.
        """


class LateResolver:
    """A dns.Resolver that is made when it is first asked: a worker that asks nothing is spared dnspython's 4 MB.

    servers: IP addresses, each perhaps with a port (ConfigError otherwise); none takes the system's.
    """

    def __init__(self, servers: Sequence[str] = (), cache_entries: int = 10_000) -> None:
        for server in servers:
            configured(server)
        self._servers, self._cache_entries = servers, cache_entries
        self._made: Resolver | None = None
        self._lock = threading.Lock()

    def lookup(self, name: str, rtype: str = "A", *, server: str | None = None, deadline: float) -> list[Record]:
        """See Lookup and dns.Resolver."""
        self.load()
        assert self._made is not None
        return self._made.lookup(name, rtype, server=server, deadline=deadline)

    def stats(self) -> Stats:
        """How often the cache had the answer."""
        return self._made.stats() if self._made else Stats(0, 0, 0)

    def flush(self) -> int:
        """Forget every answer; how many there were."""
        return self._made.flush() if self._made else 0

    def load(self) -> None:
        """Make it, for which the first lookup would wait else."""
        if self._made is not None:
            return
        with self._lock:
            if self._made is None:
                from lumilter.adapters.dns import Resolver

                self._made = Resolver(self._servers, self._cache_entries)
