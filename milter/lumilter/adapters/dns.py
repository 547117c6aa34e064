"""DNS lookups for scripts, over dnspython, with a cache that keeps to the records' TTL.

The law: it blocks and is called on pool threads. A lookup that has no answer raises LookupFailed, whose text is what a
script sees: NXDOMAIN, NODATA, SERVFAIL, REFUSED, TIMEOUT, or a sentence. Nothing that is asked or answered raises
anything else.

Source: manual, `msys.dnsLookup`.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.reversename

from lumilter.errors import ConfigError, LookupFailed

Answer = list[tuple[int | None, str]]
"""(preference, text), best first; the preference is None for types that have none."""

TYPES = ("A", "AAAA", "TXT", "MX", "PTR", "NS")

_FAILURE_TTL = 30.0
"""Seconds that a failure without a SOA record, or of a server, is remembered (RFC 2308 7)."""
_MAX_TTL = 86400.0


class Lookup(Protocol):
    """What `msys.dnsLookup` needs."""

    def lookup(self, name: str, rtype: str, *, server: str | None, deadline: float) -> Answer:
        """The records; deadline is a time.monotonic() value. Raises LookupFailed."""
        ...


@dataclass(slots=True)
class Stats:
    """Lookups answered from the cache and not, and the entries in it."""

    hits: int = 0
    misses: int = 0
    entries: int = 0


class Cache:
    """Answers and failures until they expire; bounded, the least recently used go first; any thread."""

    def __init__(self, entries: int, clock: Callable[[], float]) -> None:
        self._entries, self._clock = entries, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str], tuple[float, Answer | str]] = OrderedDict()
        self._stats = Stats()

    def get(self, key: tuple[str, str, str]) -> Answer | str | None:
        """An answer, or the text of a failure; None if it has to be asked for."""
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] <= self._clock():
                self._kept.pop(key, None)
                self._stats.misses += 1
                return None
            self._kept.move_to_end(key)
            self._stats.hits += 1
            return found[1]

    def put(self, key: tuple[str, str, str], value: Answer | str, ttl: float) -> None:
        if ttl <= 0 or not self._entries:
            return
        with self._lock:
            self._kept[key] = (self._clock() + min(ttl, _MAX_TTL), value)
            self._kept.move_to_end(key)
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)

    @property
    def stats(self) -> Stats:
        with self._lock:
            return Stats(self._stats.hits, self._stats.misses, len(self._kept))


class Resolver:
    """Real lookups.

    servers: "ip", "ip:port" or "[v6]:port"; empty takes the system's, which are read at the first lookup.
    cache_entries: 0 keeps nothing. clock: for tests; seconds.
    """

    def __init__(
        self, servers: tuple[str, ...] = (), cache_entries: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._servers = servers
        self._system: tuple[tuple[str, int], ...] | None = None
        self.cache = Cache(cache_entries, clock)

    def lookup(self, name: str, rtype: str, *, server: str | None, deadline: float) -> Answer:
        rtype = rtype.upper()
        question = _question(name, rtype)
        key = (server or "", question.to_text().lower(), rtype)
        known = self.cache.get(key)
        if known is None:
            known, ttl = self._ask(question, rtype, self._nameservers(server), deadline)
            self.cache.put(key, known, ttl)
        if isinstance(known, str):
            raise LookupFailed(known)
        return list(known)

    def _nameservers(self, server: str | None) -> tuple[tuple[str, int], ...]:
        if server:
            return (_address(server),)
        if self._servers:
            return tuple(_address(each) for each in self._servers)
        if self._system is None:
            try:
                found = dns.resolver.Resolver().nameservers
            except (dns.exception.DNSException, OSError) as error:
                raise LookupFailed(f"no name server is configured: {error}") from None
            self._system = tuple((str(each), 53) for each in found)
        return self._system

    def _ask(
        self, question: dns.name.Name, rtype: str, servers: tuple[tuple[str, int], ...], deadline: float
    ) -> tuple[Answer | str, float]:
        """An answer or a failure, and how long it is good for; tries each server twice within the deadline."""
        failure = "TIMEOUT"
        for attempt in range(2 * len(servers)):
            address, port = servers[attempt % len(servers)]
            left = deadline - time.monotonic()
            if left <= 0:
                break
            share = left if attempt == 2 * len(servers) - 1 else max(left / (2 * len(servers) - attempt), 0.05)
            query = dns.message.make_query(question, rtype, use_edns=0, payload=1232)
            try:
                reply, _ = dns.query.udp_with_fallback(query, address, min(share, left), port)
            except dns.exception.Timeout:
                failure = "TIMEOUT"
                continue
            except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
                failure = "SERVFAIL" if isinstance(error, dns.exception.DNSException | ValueError) else "TIMEOUT"
                continue
            code = reply.rcode()
            if code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return _read(reply, question, rtype)
            failure = dns.rcode.to_text(code)
        return failure, 0.0 if failure == "TIMEOUT" else _FAILURE_TTL


def _read(reply: dns.message.Message, question: dns.name.Name, rtype: str) -> tuple[Answer | str, float]:
    """The records that answer, through aliases, or NXDOMAIN or NODATA with the time that this is good for."""
    kind = dns.rdatatype.from_text(rtype)
    owner, ttl = question, _MAX_TTL
    for _ in range(len(reply.answer) + 1):
        found = _section(reply, owner, kind)
        if found is not None:
            return _answer(found, rtype), min(ttl, found.ttl)
        alias = _section(reply, owner, dns.rdatatype.CNAME)
        if alias is None:
            break
        owner, ttl = alias[0].target, min(ttl, alias.ttl)
    failure = "NXDOMAIN" if reply.rcode() == dns.rcode.NXDOMAIN else "NODATA"
    for rrset in reply.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return failure, min(ttl, rrset.ttl, rrset[0].minimum)
    return failure, _FAILURE_TTL


def _section(reply: dns.message.Message, owner: dns.name.Name, kind: dns.rdatatype.RdataType) -> Any:
    return next((rrset for rrset in reply.answer if rrset.name == owner and rrset.rdtype == kind), None)


def _answer(rrset: Any, rtype: str) -> Answer:
    match rtype:
        case "MX":
            return sorted(((r.preference, _name(r.exchange)) for r in rrset), key=lambda entry: entry[0])
        case "TXT":
            return [(None, b"".join(r.strings).decode("utf-8", "surrogateescape")) for r in rrset]
        case "PTR" | "NS":
            return [(None, _name(r.target)) for r in rrset]
    return [(None, str(r.address)) for r in rrset]


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def _question(name: str, rtype: str) -> dns.name.Name:
    """The name to ask for; PTR also takes an address."""
    try:
        if rtype == "PTR":
            try:
                return dns.reversename.from_address(str(ipaddress.ip_address(name)))
            except ValueError:
                pass
        return dns.name.from_text(name.encode("utf-8", "surrogateescape").decode("latin-1"), idna_codec=_RAW)
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise LookupFailed(f"{name!r} is not a domain name: {error}") from None


class _Raw(dns.name.IDNACodec):
    """Labels byte for byte: scripts encode internationalised names with msys.idn, and hostile ones must not raise."""

    def encode(self, label: str) -> bytes:
        raw = label.encode("latin-1")
        if len(raw) > 63:
            raise dns.name.LabelTooLong
        return raw


_RAW = _Raw()  # type: ignore[no-untyped-call]


def _address(text: str) -> tuple[str, int]:
    """ "ip", "ip:port" or "[v6]:port" as address and port."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        raise LookupFailed(f'"{text}" is not the address of a name server ("ip", "ip:port" or "[v6]:port")') from None


class FixtureResolver:
    """Answers from a file or a mapping, for offline use.

    {"example.com": {"A": ["192.0.2.1"], "MX": [[10, "mx.example.com"]]}, "gone.example": "NXDOMAIN"}
    """

    def __init__(self, fixtures: Path | Mapping[str, Any]) -> None:
        self._file = str(fixtures) if isinstance(fixtures, Path) else ""
        content = self._load(fixtures) if isinstance(fixtures, Path) else fixtures
        self._names = {name.rstrip(".").lower(): self._entry(name, entry) for name, entry in content.items()}

    def _load(self, file: Path) -> Mapping[str, Any]:
        try:
            content = json.loads(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read the DNS fixtures: {error.strerror}", self._file) from None
        except ValueError as error:
            raise ConfigError(f"the DNS fixtures are no JSON: {error}", self._file) from None
        if not isinstance(content, dict):
            raise ConfigError("expected an object of names", self._file)
        return content

    def _entry(self, name: str, entry: Any) -> str | dict[str, Answer]:
        if isinstance(entry, str):
            return entry
        try:
            return {rtype.upper(): [_fixture(record) for record in records] for rtype, records in entry.items()}
        except (AttributeError, TypeError, ValueError):
            wanted = 'a text such as "NXDOMAIN", or an object of lists: {"A": ["192.0.2.1"], "MX": [[10, "mx"]]}'
            raise ConfigError(f"{name}: expected {wanted}", self._file) from None

    def lookup(self, name: str, rtype: str, *, server: str | None, deadline: float) -> Answer:
        rtype = rtype.upper()
        entry = self._names.get(name.rstrip(".").lower())
        if isinstance(entry, str):
            raise LookupFailed(entry)
        if entry is None or rtype not in entry:
            where = f"add it to {self._file}" if self._file else "name a file with --fixtures"
            raise LookupFailed(f"no fixture for {name} {rtype}: {where}, or use --live")
        if not entry[rtype]:
            raise LookupFailed("NODATA")
        return sorted(entry[rtype], key=lambda record: record[0] or 0)


def _fixture(record: Any) -> tuple[int | None, str]:
    if isinstance(record, str):
        return None, record
    preference, text = record
    if not isinstance(preference, int) or not isinstance(text, str):
        raise TypeError
    return preference, text
