"""adapters: names and servers from a script's text, what name servers answer, regular expressions."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dns.message
import dns.name
from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, TEXT, soup
from lumilter.adapters import pcre
from lumilter.adapters.dns import Resolver
from lumilter.adapters.dns_names import NXDOMAIN, host_and_port, is_ip
from lumilter.adapters.dns_question import question, text_of
from lumilter.adapters.pcre import Limits, MatchLimitError, PatternError
from lumilter.errors import LookupFailed
from support.dns_server import SOA, DnsServer, reply

LABELS = [
    "a",
    "example",
    ".",
    "..",
    "xn--",
    "xn--nxasmq6b",
    "\u00fc",
    "\u3002",
    "\uff0e",
    "\u200d",
    "\u0130",
    "_spf",
    "*",
    "\\",
    "\\046",
    "1.2.3.4",
    "::1",
    "x" * 63,
    "x" * 64,
    "\u00fc" * 40,
    " ",
    "\0",
    "\udce9",
]


@target(soup(LABELS, 8) | TEXT, st.sampled_from(["A", "PTR", "MX"]), examples=500)
def names(name: str, rtype: str) -> None:
    """Any text is a name that fits into a packet, or NXDOMAIN."""
    try:
        found = question(name, rtype)
    except LookupFailed as error:
        assert str(error) == NXDOMAIN
        return
    assert found.is_absolute()
    assert len(found.to_wire()) <= 255
    text_of(found)


SERVERS = [
    "192.0.2.1",
    "2001:db8::1",
    "[",
    "]",
    ":",
    "53",
    "0",
    "65536",
    "ns.test",
    "%eth0",
    " ",
    "::ffff:1.2.3.4",
    "fe80::1%lo",
    "\u0663",
]


@target(soup(SERVERS, 6) | TEXT, examples=400)
def servers(text: str) -> None:
    """Any text is a host and a port, or a failed lookup that says what was expected."""
    try:
        host, port = host_and_port(text)
    except LookupFailed as error:
        assert "expected" in str(error)
        return
    assert 0 < port < 65536
    assert host
    assert not is_ip(host) or "%" not in host


class Liar:
    """A name server that answers with what it is told: bytes to put over those of a right answer."""

    def __init__(self) -> None:
        self.damage: list[tuple[int, bytes]] = []
        self.cut = 1 << 16

    def answer(self, query: dns.message.Message, transport: str) -> bytes:
        kind = query.question[0].rdtype.name
        name = query.question[0].name.to_text()
        records = {
            "A": ["192.0.2.1"],
            "AAAA": ["2001:db8::1"],
            "MX": ["10 mx.test.", "5 a.test."],
            "TXT": ['"v=spf1" " -all"'],
            "PTR": ["x.test."],
            "NS": ["ns.test."],
        }
        raw = bytearray(
            reply(
                query,
                f"{name} 60 IN CNAME c.test.",
                *(f"c.test. 60 IN {kind} {data}" for data in records[kind]),
                soa=SOA,
            ).to_wire()
        )
        for at, what in self.damage:
            at %= len(raw)
            raw[at : at + len(what)] = what
        return bytes(raw[: self.cut])


@contextmanager
def liar() -> Iterator[tuple[Liar, str]]:
    lying = Liar()
    with DnsServer(lying.answer) as server:
        yield lying, server.address


@target(
    st.sampled_from(["A", "AAAA", "MX", "TXT", "PTR", "NS"]),
    # Behind the identification, which has to be right: other answers are not even looked at.
    st.lists(st.tuples(st.integers(2, 200), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(12, 300) | st.just(1 << 16),
    using=liar,
    examples=30,
)
def answers(setting: tuple[Liar, str], rtype: str, damage: list[tuple[int, bytes]], cut: int) -> None:
    """Whatever a name server answers, there are records of the right form, or a failed lookup, in time."""
    lying, address = setting
    lying.damage, lying.cut = damage, cut
    began = time.monotonic()
    try:
        records = Resolver([address]).lookup("name.test", rtype, deadline=began + 0.15)
    except LookupFailed as error:
        assert re.fullmatch("[A-Z][A-Z0-9]*", str(error)), error
    else:
        for preference, text in records:
            assert (preference is not None) == (rtype == "MX")
            text.encode("utf-8", "surrogateescape")
    assert time.monotonic() - began < 10


# --- regular expressions ----------------------------------------------------------------------------------------------

PIECES = [
    "a",
    "b",
    ".",
    "*",
    "+",
    "?",
    "{2,3}",
    "{0,65535}",
    "(",
    ")",
    "(?:",
    "(?=",
    "(?<=",
    "(?!",
    "(?>",
    "(?<n>",
    "(?P=n)",
    "(?J)",
    "(?R)",
    "(?1)",
    "(?i)",
    "(*ACCEPT)",
    "(*F)",
    "(*LIMIT_MATCH=9)",
    "(*UTF)",
    "(*NO_JIT)",
    "|",
    "[",
    "]",
    "[^",
    "[:alpha:]",
    "^",
    "$",
    "\\b",
    "\\K",
    "\\G",
    "\\1",
    "\\g{-1}",
    "\\p{L}",
    "\\X",
    "\\R",
    "\\C",
    "\\Q",
    "\\E",
    "\\x{10ffff}",
    "\\x{d800}",
    "\\N{U+41}",
    "\u00fc",
    "(?#",
    "(?C)",
    "(?(1)",
    "(?(DEFINE)",
    "\\",
]
PATTERN = soup(PIECES, 12).map(
    lambda text: text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "replace")
)
SUBJECT = (
    soup(["a", "b", "ab", "\u00fc", "\r\n", "aaaaaaaaaaaaaaaaaaaa", " "], 12).map(
        lambda text: text.encode("utf-8", "replace")
    )
    | BYTES
)
SMALL = Limits(10_000, 1_000, 1_000)


@target(
    PATTERN,
    SUBJECT,
    soup(["$0", "$1", "${n}", "${1", "\\1", "\\$", "$", "\\", "x", "$99999999999"], 6),
    st.integers(0, 3),
    examples=400,
)
def patterns(pattern: bytes, subject: bytes, replacement: str, limit: int) -> None:
    """Any pattern on any subject matches or not, does not compile, or passes a limit; pieces come from the subject."""
    template = replacement.encode("utf-8", "replace")
    with suppress(PatternError, MatchLimitError):
        found = pcre.match(subject, pattern, SMALL)
        assert found is None or all(group is None or group in subject for group in found.groups)
        assert pcre.replace(subject, pattern, b"$0", SMALL) == subject or b"\\K" in pattern
        pcre.replace(subject, pattern, template, SMALL, limit)
        pieces = pcre.split(subject, pattern, SMALL, limit or None)
        assert all(piece and piece in subject for piece in pieces)
        assert not limit or len(pieces) <= limit
