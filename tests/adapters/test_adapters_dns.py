"""adapters.dns: lookups against a real name server on loopback, however it behaves."""

from __future__ import annotations

import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.dns import RecordTypeError, Resolver
from lumilter.errors import ConfigError, LookupFailed, LumilterError
from support.dns_server import SOA, Answer, Answering, DnsServer, reply

ZONE = {
    ("example.test", "A"): ["example.test. 60 IN A 192.0.2.2", "example.test. 60 IN A 192.0.2.1"],
    ("example.test", "AAAA"): ["example.test. 60 IN AAAA 2001:DB8:0:0::1"],
    ("example.test", "MX"): [
        f"example.test. 60 IN MX {mx}." for mx in ("20 c.test", "10 a.test", "20 b.test", "5 Z.test")
    ],
    ("example.test", "TXT"): [r'example.test. 60 IN TXT "v=spf1 " "-all" "\195\169\255"'],
    ("example.test", "NS"): ["example.test. 60 IN NS ns.example.test."],
    ("null.test", "MX"): ["null.test. 60 IN MX 0 ."],
    ("3.2.0.192.in-addr.arpa", "PTR"): [r"3.2.0.192.in-addr.arpa. 60 IN PTR mx\ odd.example.test."],
    (f"3.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa", "PTR"): [
        f"3.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR six.test."
    ],
    ("alias.test", "A"): [
        "alias.test. 9 IN CNAME next.test.", "next.test. 5 IN CNAME example.test.",
        "example.test. 60 IN A 192.0.2.1",
    ],
    ("loop.test", "A"): ["loop.test. 9 IN CNAME pool.test.", "pool.test. 9 IN CNAME loop.test."],
    ("xn--mnchen-3ya.test", "A"): ["xn--mnchen-3ya.test. 60 IN A 192.0.2.3"],
    ("a\\032b\\\\.test", "A"): [r"a\032b\\.test. 60 IN A 192.0.2.4"],
}  # fmt: skip


def soon(seconds: float = 10) -> float:
    return time.monotonic() + seconds


def failure(resolver: Resolver, name: str, rtype: str = "A", server: str | None = None, seconds: float = 10) -> str:
    with pytest.raises(LookupFailed) as caught:
        resolver.lookup(name, rtype, server=server, deadline=soon(seconds))
    return str(caught.value)


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rtype", "records"),
    [
        ("example.test", "A", [(None, "192.0.2.2"), (None, "192.0.2.1")]),
        ("EXAMPLE.test.", "a", [(None, "192.0.2.2"), (None, "192.0.2.1")]),
        ("example.test", "aaaa", [(None, "2001:db8::1")]),
        ("example.test", "MX", [(5, "Z.test"), (10, "a.test"), (20, "c.test"), (20, "b.test")]),
        ("example.test", "txt", [(None, "v=spf1 -allé\udcff")]),
        ("example.test", "ns", [(None, "ns.example.test")]),
        ("null.test", "mx", [(0, ".")]),
        ("3.2.0.192.in-addr.arpa", "PTR", [(None, r"mx\032odd.example.test")]),
        ("192.0.2.3", "ptr", [(None, r"mx\032odd.example.test")]),
        ("2001:db8::3", "PTR", [(None, "six.test")]),
        ("alias.test", "A", [(None, "192.0.2.1")]),
        ("münchen.test", "A", [(None, "192.0.2.3")]),
        ("München。test", "A", [(None, "192.0.2.3")]),
        ("a b\\.test", "A", [(None, "192.0.2.4")]),
    ],
)
def test_records(name: str, rtype: str, records: list[tuple[int | None, str]]) -> None:
    with DnsServer(ZONE) as server:
        assert Resolver([server.address]).lookup(name, rtype, deadline=soon()) == records


def test_the_type_is_a_by_default_and_a_wrong_one_is_another_error() -> None:
    with DnsServer(ZONE) as server:
        resolver = Resolver([server.address])
        assert resolver.lookup("example.test", deadline=soon())[0] == (None, "192.0.2.2")
        for rtype in ("CNAME", "ANY", "AXFR", "", "A ", "ſ"):
            with pytest.raises(RecordTypeError, match="is not one of A, AAAA") as caught:
                resolver.lookup("example.test", rtype, deadline=soon())
            assert isinstance(caught.value, LumilterError) and not isinstance(caught.value, LookupFailed)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_nxdomain_and_nodata() -> None:
    with DnsServer(ZONE) as server:
        resolver = Resolver([server.address])
        assert failure(resolver, "gone.test") == "NXDOMAIN"
        assert failure(resolver, "null.test") == "NODATA"
        assert failure(resolver, "loop.test") == "SERVFAIL"


def test_an_alias_of_nothing() -> None:
    alias = "alias.test. 60 IN CNAME gone.test."
    with DnsServer(lambda query, _: reply(query, alias, rcode=dns.rcode.NXDOMAIN, soa=SOA)) as server:
        assert failure(Resolver([server.address]), "alias.test") == "NXDOMAIN"
    with DnsServer(lambda query, _: reply(query, alias, soa=SOA)) as server:
        assert failure(Resolver([server.address]), "alias.test") == "NODATA"
    with DnsServer(lambda query, _: reply(query, "alias.test. 60 IN TXT x")) as server:
        assert failure(Resolver([server.address]), "alias.test") == "NODATA"


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
def test_a_servers_error_is_its_own_word(rcode: str) -> None:
    with DnsServer(lambda query, _: reply(query, rcode=dns.rcode.from_text(rcode))) as server:
        assert failure(Resolver([server.address]), "example.test") == rcode


def test_an_error_without_a_name_is_a_word_too() -> None:
    with DnsServer(lambda query, _: reply(query, rcode=15)) as server:
        assert failure(Resolver([server.address]), "example.test") == "RCODE15"


def test_the_next_server_is_asked() -> None:
    with DnsServer(lambda query, _: reply(query, rcode=dns.rcode.SERVFAIL)) as bad, DnsServer(ZONE) as good:
        resolver = Resolver([bad.address, good.address])
        assert resolver.lookup("example.test", "AAAA", deadline=soon()) == [(None, "2001:db8::1")]
        assert len(bad.queries) == 1


def test_a_silent_server_and_a_past_deadline_time_out() -> None:
    with DnsServer(lambda query, transport: None) as server:
        assert failure(Resolver([server.address]), "example.test", seconds=0.2) == "TIMEOUT"
        asked = len(server.queries)
        assert failure(Resolver([server.address]), "example.test", seconds=-1) == "TIMEOUT"
        assert len(server.queries) == asked


def test_a_slow_server_hits_the_deadline() -> None:
    with DnsServer(ZONE, delay=60) as slow:
        assert failure(Resolver([slow.address]), "example.test", seconds=0.2) == "TIMEOUT"
    with DnsServer(lambda query, transport: reply(query, truncated=True) if transport == "udp" else None) as server:
        assert failure(Resolver([server.address]), "example.test", seconds=0.2) == "TIMEOUT"
        assert [transport for transport, *_ in server.queries][:2] == ["udp", "tcp"]
    with DnsServer(ZONE, delay=0.05) as late:
        assert Resolver([late.address]).lookup("example.test", "AAAA", deadline=soon()) == [(None, "2001:db8::1")]


@pytest.mark.parametrize(
    "junk", [b"", b"\0", b"x" * 11, b"\xff" * 600, b"{id}\x81\x80\0\1\0\1\0\0\0\0\xc0\x0c" + b"\xc0"]
)
def test_malformed_packets_are_no_answer(junk: bytes) -> None:
    def answer(query: dns.message.Message, transport: str) -> Answer:
        return junk.replace(b"{id}", struct.pack("!H", query.id))

    with DnsServer(answer) as server:
        assert failure(Resolver([server.address]), "example.test", seconds=0.3) == "TIMEOUT"


def test_malformed_packets_over_tcp() -> None:
    def answer(query: dns.message.Message, transport: str) -> Answer:
        return reply(query, truncated=True) if transport == "udp" else b"\0\0junk"

    with DnsServer(answer) as server:
        assert failure(Resolver([server.address]), "example.test") == "SERVFAIL"


def test_an_answer_to_another_question_is_no_answer() -> None:
    def answer(query: dns.message.Message, transport: str) -> Answer:
        other = dns.message.make_query("evil.test", "A", id=query.id)
        return reply(other, "evil.test. 60 IN A 192.0.2.66")

    with DnsServer(answer) as server:
        assert failure(Resolver([server.address]), "example.test", seconds=0.3) == "TIMEOUT"


def test_a_truncated_answer_is_fetched_over_tcp() -> None:
    records = [f"big.test. 60 IN A 192.0.2.{n}" for n in range(250)]

    def answer(query: dns.message.Message, transport: str) -> Answer:
        return reply(query, truncated=True) if transport == "udp" else reply(query, *records)

    with DnsServer(answer) as server:
        found = Resolver([server.address]).lookup("big.test", deadline=soon())
        assert [text for _, text in found] == [f"192.0.2.{n}" for n in range(250)]
        assert [transport for transport, *_ in server.queries] == ["udp", "tcp"]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "..", "a..b", ".a", "a" * 64 + ".test", "a." * 128 + "test", "x" * 100_000, "ä" * 64, "ä" * 60,
     "caf\udce9.test", "a\u200e\u06ddb.test", "\ud800.test"],
)  # fmt: skip
@pytest.mark.parametrize("rtype", ["A", "PTR"])
def test_what_is_no_name_does_not_exist_and_is_not_asked_for(name: str, rtype: str) -> None:
    with DnsServer(ZONE) as server:
        assert failure(Resolver([server.address]), name, rtype) == "NXDOMAIN"
        assert server.queries == []


def test_odd_names_that_the_dns_can_hold_are_asked_for() -> None:
    with DnsServer(ZONE) as server:
        for name in ("a\0b.test", "-._x.test", "192.0.2.1", "fe80::1%eth0", "a@b", "*.test", "1.2.3.4.5"):
            assert failure(Resolver([server.address]), name) == "NXDOMAIN"
        assert len(server.queries) == 7


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.sampled_from(["A", "PTR", "mx"]))
def test_no_name_raises_anything_else(name: str, rtype: str) -> None:
    with pytest.raises(LookupFailed):
        Resolver(["127.0.0.1:1"]).lookup(name, rtype, deadline=time.monotonic() - 1)


# --- servers ----------------------------------------------------------------------------------------------------------


def test_server_is_an_address_with_a_port_or_a_name() -> None:
    with DnsServer(ZONE) as one, DnsServer(lambda query, _: reply(query, "x.test. 60 IN A 192.0.2.9")) as two:
        resolver = Resolver([one.address])
        assert failure(resolver, "x.test") == "NXDOMAIN"
        assert resolver.lookup("x.test", server=two.address, deadline=soon()) == [(None, "192.0.2.9")]
        assert failure(resolver, "x.test", server="") == "NXDOMAIN"
        assert failure(resolver, "example.test", server="gone.test") == "name server 'gone.test': NXDOMAIN"
    with DnsServer(lambda query, _: reply(query, "ns.test. 60 IN A 127.0.0.1")) as server:
        port = server.address.rpartition(":")[2]
        assert Resolver([server.address]).lookup("ns.test", server=f"ns.test:{port}", deadline=soon())


def test_ipv6_server() -> None:
    with DnsServer(ZONE, host="::1") as server:
        assert Resolver().lookup("null.test", "MX", server=server.address, deadline=soon()) == [(0, ".")]


@pytest.mark.parametrize(
    "server", [":", "a b", "1.2.3.4:0", "1.2.3.4:65536", "[::1", "[x]:53", "1.2.3.4:x", "::1:x", "[]"]
)
def test_a_server_that_is_none(server: str) -> None:
    assert failure(Resolver(["127.0.0.1:1"]), "example.test", server=server).startswith("name server ")


@pytest.mark.parametrize("server", ["", "dns.example", "1.2.3.4:99999", "fe80::1%eth0", "[::1]:0"])
def test_a_configured_server_that_is_none(server: str) -> None:
    with pytest.raises(ConfigError, match="name server "):
        Resolver(("192.0.2.1", server))


def test_the_systems_servers_are_read_at_the_first_lookup(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    resolver = Resolver(resolv_conf=str(path))
    assert failure(resolver, "example.test") == f"no name server is configured in {path}"
    path.write_text("# none\n")
    assert failure(resolver, "example.test") == f"no name server is configured in {path}"
    path.write_text("nameserver not-an-address\n")
    assert failure(resolver, "example.test") == f"no name server is configured in {path}"
    path.write_text("nameserver 127.0.0.1\nsearch test\n")
    assert failure(resolver, "example.test", seconds=0.01) == "TIMEOUT"


# --- the cache --------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_answers_are_kept_until_their_ttl_ends() -> None:
    clock = Clock()
    with DnsServer(ZONE) as server:
        resolver = Resolver([server.address], clock=clock)
        for seconds, asked in ((0, 1), (4.9, 1), (0.2, 2), (4, 2)):  # the chain's least TTL is 5
            clock.now += seconds
            assert resolver.lookup("Alias.test.", "a", deadline=soon()) == [(None, "192.0.2.1")]
            assert len(server.queries) == asked
        stats = resolver.stats()
        assert (stats.hits, stats.misses, stats.entries) == (2, 2, 1)


@pytest.mark.parametrize(("name", "word"), [("gone.test", "NXDOMAIN"), ("null.test", "NODATA")])
def test_negative_answers_are_kept_for_the_soas_minimum(name: str, word: str) -> None:
    clock = Clock()
    with DnsServer(ZONE) as server:
        resolver = Resolver([server.address], clock=clock)
        for seconds, asked in ((0, 1), (59, 1), (2, 2)):
            clock.now += seconds
            assert failure(resolver, name) == word
            assert len(server.queries) == asked


@pytest.mark.parametrize(
    "answer",
    [
        lambda query, _: reply(query, "x.test. 0 IN A 192.0.2.1"),
        lambda query, _: reply(query, rcode=dns.rcode.NXDOMAIN),
        lambda query, _: reply(query),
        lambda query, _: reply(query, rcode=dns.rcode.SERVFAIL, soa=SOA),
    ],
)
def test_what_is_not_kept(answer: Answering) -> None:
    with DnsServer(answer) as server:
        resolver = Resolver([server.address])
        for _ in range(2):
            try:
                resolver.lookup("x.test", deadline=soon())
            except LookupFailed:
                continue
        assert len(server.queries) == 2 and resolver.stats().entries == 0


def test_the_cache_is_bounded_and_a_result_is_the_callers_own() -> None:
    with DnsServer(ZONE) as server:
        resolver = Resolver([server.address], cache_entries=2)
        for rtype in ("A", "MX", "A", "TXT", "A"):
            resolver.lookup("example.test", rtype, deadline=soon()).clear()
        assert [rtype for *_, rtype in server.queries] == ["A", "MX", "TXT"]
        assert resolver.stats().entries == 2
        assert resolver.lookup("example.test", "A", deadline=soon())
        none = Resolver([server.address], cache_entries=0)
        for _ in range(2):
            none.lookup("example.test", deadline=soon())
        assert none.stats().hits == 0


def test_a_long_ttl_is_cut() -> None:
    clock = Clock()
    with DnsServer(lambda query, _: reply(query, "x.test. 2000000000 IN A 192.0.2.1")) as server:
        resolver = Resolver([server.address], clock=clock)
        for seconds, asked in ((0, 1), (86_399, 1), (2, 2)):
            clock.now += seconds
            resolver.lookup("x.test", deadline=soon())
            assert len(server.queries) == asked


# --- threads ----------------------------------------------------------------------------------------------------------


def test_a_slow_lookup_delays_no_other() -> None:
    release = threading.Event()

    def answer(query: dns.message.Message, transport: str) -> Answer:
        if query.question[0].name.to_text() == "slow.test.":
            release.wait(20)
        return reply(query, f"{query.question[0].name} 60 IN A 192.0.2.1")

    with DnsServer(answer) as server, ThreadPoolExecutor(33) as pool:
        resolver = Resolver([server.address], cache_entries=8)
        slow = pool.submit(resolver.lookup, "slow.test", deadline=soon(30))
        others = [pool.submit(resolver.lookup, f"n{n % 16}.test", deadline=soon()) for n in range(64)]
        assert [other.result() for other in others] == [[(None, "192.0.2.1")]] * 64
        assert not slow.done()
        release.set()
        assert slow.result() == [(None, "192.0.2.1")]
        assert resolver.stats().entries <= 8
