"""DNS lookups: of real name servers, or of fixtures in their place.

The law: as dns_lookup says. This file is what loads dnspython.

Source: manual, `msys.dnsLookup`; RFC 2308 for how long a negative answer is kept. Public policies compare the word with
"NXDOMAIN" and try the next type on any other: a name without records of a type is a failed lookup, not an empty list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdatatype
import dns.resolver

from lumilter.adapters.cache import Cache, Stats
from lumilter.adapters.dns_fixtures import FixtureResolver
from lumilter.adapters.dns_lookup import Lookup, Record
from lumilter.adapters.dns_names import NXDOMAIN, RecordTypeError, configured, host_and_port, is_ip, record_type
from lumilter.adapters.dns_question import question, text_of
from lumilter.errors import LookupFailed

__all__ = ["FixtureResolver", "Lookup", "Record", "RecordTypeError", "Resolver", "Stats"]

NODATA = "NODATA"
SERVFAIL = "SERVFAIL"
TIMEOUT = "TIMEOUT"

MAX_TTL = 86_400
MAX_NEGATIVE_TTL = 10_800
"""RFC 2308 5: one to three hours have been found to work well."""
_TRY_SECONDS = 2.0
"""For one server to answer, before the next is asked."""


class Resolver:
    """Asks name servers, and keeps what they say until its TTL ends.

    servers: IP addresses, each perhaps with a port (ConfigError otherwise); none takes the system's, read at the first
    lookup. clock: what TTLs are measured with.
    """

    def __init__(
        self,
        servers: Sequence[str] = (),
        cache_entries: int = 10_000,
        *,
        clock: Callable[[], float] = time.monotonic,
        resolv_conf: str = "/etc/resolv.conf",
    ) -> None:
        self._resolv_conf = resolv_conf
        self._cache: Cache[tuple[Record, ...] | str] = Cache(cache_entries, clock=clock)
        self._default = _asking([configured(server) for server in servers]) if servers else None

    def lookup(self, name: str, rtype: str = "A", *, server: str | None = None, deadline: float) -> list[Record]:
        """See Lookup. server may be a host name too, as in Momentum's Sieve; its address is looked up first."""
        wanted = record_type(rtype)
        asked = question(name, wanted)
        key = server or "", asked, wanted
        found = self._cache.get(key)
        if found is None:
            resolver = self._special(server, deadline) if server else self._usual()
            found, ttl = _ask(resolver, asked, wanted, deadline)
            self._cache.put(key, found, ttl)
        if isinstance(found, str):
            raise LookupFailed(found)
        return list(found)

    def stats(self) -> Stats:
        """How often the cache had the answer."""
        return self._cache.stats()

    def flush(self) -> int:
        """Forget every answer; how many there were."""
        return self._cache.flush()

    def _usual(self) -> dns.resolver.Resolver:
        if self._default is None:
            try:
                self._default = dns.resolver.Resolver(self._resolv_conf)
            except (dns.exception.DNSException, OSError, ValueError):
                raise LookupFailed(f"no name server is configured in {self._resolv_conf}") from None
            self._default.timeout = min(self._default.timeout, _TRY_SECONDS)
        return self._default

    def _special(self, server: str, deadline: float) -> dns.resolver.Resolver:
        host, port = host_and_port(server)
        if is_ip(host):
            return _asking([(host, port)])
        try:
            return _asking([(address, port) for _, address in self.lookup(host, "A", deadline=deadline)])
        except LookupFailed as error:  # the server's NXDOMAIN must not pass for the name's
            raise LookupFailed(f"name server {server!r}: {error}") from None


def _asking(servers: list[tuple[str, int]]) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in servers]
    resolver.timeout = _TRY_SECONDS
    return resolver


def _ask(
    resolver: dns.resolver.Resolver, name: dns.name.Name, rtype: str, deadline: float
) -> tuple[tuple[Record, ...] | str, float]:
    """What the servers say, and for how many seconds; LookupFailed where they don't."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise LookupFailed(TIMEOUT)
    try:
        answer = resolver.resolve(name, rtype, lifetime=seconds, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN as error:
        return NXDOMAIN, _negative_ttl(error.kwargs["responses"][name])
    except dns.resolver.LifetimeTimeout:
        raise LookupFailed(TIMEOUT) from None
    except dns.resolver.NoNameservers as error:
        raise LookupFailed(_why(error)) from None
    except (dns.exception.DNSException, OSError, ValueError):
        raise LookupFailed(SERVFAIL) from None
    if answer.rrset is None:
        return NODATA, _negative_ttl(answer.response)
    records = tuple(sorted(map(_record, answer.rrset), key=lambda record: record[0] or 0))
    return records, min(answer.chaining_result.minimum_ttl, MAX_TTL)


def _record(rdata: Any) -> Record:
    if rdata.rdtype == dns.rdatatype.MX:
        return rdata.preference, text_of(rdata.exchange)
    if rdata.rdtype == dns.rdatatype.TXT:
        return None, b"".join(rdata.strings).decode("utf-8", "surrogateescape")
    if rdata.rdtype in (dns.rdatatype.NS, dns.rdatatype.PTR):
        return None, text_of(rdata.target)
    return None, rdata.to_text()


def _negative_ttl(response: dns.message.Message) -> float:
    """RFC 2308 5: the lesser of the SOA's TTL and its minimum field; without one the answer is not kept."""
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA and rrset:
            soa: Any = rrset[0]
            return float(min(rrset.ttl, soa.minimum, MAX_NEGATIVE_TTL))
    return 0


def _why(error: dns.resolver.NoNameservers) -> str:
    """The last server's own word, if it had one."""
    for *_, response in reversed(error.kwargs["errors"]):
        if response is not None and response.rcode() != dns.rcode.NOERROR:
            word = dns.rcode.to_text(response.rcode())
            return f"RCODE{word}" if word.isdigit() else word  # one that has no name
    return SERVFAIL
