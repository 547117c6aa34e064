"""Lookups against a real server on loopback, and from fixtures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lumilter.adapters.dns import FixtureResolver, Resolver
from lumilter.errors import ConfigError, LookupFailed
from support.dns_server import DnsServer

ZONE: dict[tuple[str, str], str | list[str]] = {
    ("a.example", "A"): ["192.0.2.2", "192.0.2.1"],
    ("a.example", "AAAA"): ["2001:db8::1"],
    ("a.example", "TXT"): ['"v=spf1 " "-all"', '"second"', r'"\255raw"'],
    ("a.example", "MX"): ["20 b.example.", "10 a.example.", "10 c.example."],
    ("a.example", "NS"): ["ns.example."],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["host.example."],
    ("alias.example", "A"): ["CNAME other.example.", "CNAME a.example.", "192.0.2.9"],
    ("empty.example", "MX"): [],
    ("broken.example", "A"): "SERVFAIL",
    ("refused.example", "A"): "REFUSED",
    ("long.example", "A"): "TRUNCATE 192.0.2.7",
    ("garbage.example", "A"): "GARBAGE",
    ("silent.example", "A"): "DROP",
}


@pytest.fixture(scope="module")
def server() -> Iterator[DnsServer]:
    with DnsServer(ZONE) as running:
        yield running


def ask(server: DnsServer, name: str, rtype: str = "A", seconds: float = 5.0) -> list[tuple[int | None, str]]:
    return Resolver((server.address,)).lookup(name, rtype, server=None, deadline=time.monotonic() + seconds)


@pytest.mark.parametrize(
    ("name", "rtype", "answer"),
    [
        ("a.example", "A", [(None, "192.0.2.2"), (None, "192.0.2.1")]),
        ("A.Example.", "a", [(None, "192.0.2.2"), (None, "192.0.2.1")]),
        ("a.example", "aaaa", [(None, "2001:db8::1")]),
        ("a.example", "TXT", [(None, "v=spf1 -all"), (None, "second"), (None, "\udcffraw")]),
        ("a.example", "MX", [(10, "a.example"), (10, "c.example"), (20, "b.example")]),
        ("a.example", "NS", [(None, "ns.example")]),
        ("1.2.0.192.in-addr.arpa", "PTR", [(None, "host.example")]),
        ("192.0.2.1", "PTR", [(None, "host.example")]),
        ("alias.example", "A", [(None, "192.0.2.9")]),
        ("long.example", "A", [(None, "192.0.2.7")]),
    ],
)
def test_answers(server: DnsServer, name: str, rtype: str, answer: list[tuple[int | None, str]]) -> None:
    found = ask(server, name, rtype)
    assert [preference for preference, _ in found] == [preference for preference, _ in answer]
    assert sorted(found, key=str) == sorted(answer, key=str)  # dnspython's server side shuffles records


@pytest.mark.parametrize(
    ("name", "rtype", "text"),
    [
        ("gone.example", "A", "NXDOMAIN"),
        ("empty.example", "MX", "NODATA"),
        ("a.example", "PTR", "NODATA"),
        ("broken.example", "A", "SERVFAIL"),
        ("refused.example", "A", "REFUSED"),
        ("garbage.example", "A", "SERVFAIL"),
    ],
)
def test_failures(server: DnsServer, name: str, rtype: str, text: str) -> None:
    with pytest.raises(LookupFailed, match=rf"^{text}$"):
        ask(server, name, rtype)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example", "x." * 200, "\x00\udcff.example", ".", ""])
def test_names_that_are_none(server: DnsServer, name: str) -> None:
    with pytest.raises(LookupFailed):
        ask(server, name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80))
def test_any_name_is_answered_or_fails(server: DnsServer, name: str) -> None:
    with pytest.raises(LookupFailed):
        ask(server, name)


def test_a_silent_server_is_given_up_at_the_deadline(server: DnsServer) -> None:
    with pytest.raises(LookupFailed, match=r"^TIMEOUT$"):
        ask(server, "silent.example", seconds=0.3)


def test_the_next_server_is_asked(server: DnsServer) -> None:
    with DnsServer({("a.example", "A"): "SERVFAIL"}) as broken:
        resolver = Resolver((broken.address, server.address))
        assert resolver.lookup("a.example", "A", server=None, deadline=time.monotonic() + 5)


def test_the_cache_keeps_to_the_ttl() -> None:
    now = [1000.0]
    with DnsServer(ZONE, ttl=60) as server:
        resolver = Resolver((server.address,), clock=lambda: now[0])

        def lookup(name: str) -> None:
            resolver.lookup(name, "A", server=None, deadline=time.monotonic() + 5)

        lookup("a.example")
        lookup("A.EXAMPLE")
        assert len(server.queries) == 1
        for _ in range(2):
            with pytest.raises(LookupFailed, match="NXDOMAIN"):
                lookup("gone.example")
        assert len(server.queries) == 2
        assert (resolver.cache.stats.hits, resolver.cache.stats.misses, resolver.cache.stats.entries) == (2, 2, 2)
        now[0] += 61
        lookup("a.example")
        assert len(server.queries) == 3


def test_the_cache_is_bounded_and_can_be_off(server: DnsServer) -> None:
    small = Resolver((server.address,), cache_entries=1)
    for name in ("a.example", "alias.example"):
        small.lookup(name, "A", server=None, deadline=time.monotonic() + 5)
    assert small.cache.stats.entries == 1
    off = Resolver((server.address,), cache_entries=0)
    off.lookup("a.example", "A", server=None, deadline=time.monotonic() + 5)
    assert off.cache.stats.entries == 0


def test_another_server_for_one_question(server: DnsServer) -> None:
    resolver = Resolver(("127.0.0.1:1",))
    assert resolver.lookup("a.example", "NS", server=server.address, deadline=time.monotonic() + 5)
    with pytest.raises(LookupFailed, match="not the address of a name server"):
        resolver.lookup("a.example", "NS", server="dns.example", deadline=time.monotonic() + 5)


def test_parallel_lookups() -> None:
    with DnsServer(ZONE, delay=0.05) as server:
        resolver = Resolver((server.address,), cache_entries=0)
        answers: list[object] = []

        def lookup() -> None:
            answers.append(resolver.lookup("a.example", "MX", server=None, deadline=time.monotonic() + 10))

        threads = [threading.Thread(target=lookup) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 20


def test_fixtures(tmp_path: Path) -> None:
    file = tmp_path / "dns.json"
    file.write_text(
        json.dumps({"Example.com": {"a": ["192.0.2.1"], "MX": [[20, "b"], [10, "a"]]}, "gone.example": "NXDOMAIN"})
    )
    resolver = FixtureResolver(file)

    def lookup(name: str, rtype: str) -> list[tuple[int | None, str]]:
        return resolver.lookup(name, rtype, server=None, deadline=0)

    assert lookup("example.COM.", "A") == [(None, "192.0.2.1")]
    assert lookup("example.com", "MX") == [(10, "a"), (20, "b")]
    with pytest.raises(LookupFailed, match=r"^NXDOMAIN$"):
        lookup("gone.example", "A")
    with pytest.raises(LookupFailed, match=r"no fixture for example.org A: add it to .*dns.json, or use --live"):
        lookup("example.org", "A")


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 1}', '{"a": {"A": [1]}}', '{"a": {"MX": [["x", "y"]]}}'])
def test_bad_fixtures(tmp_path: Path, content: str) -> None:
    file = tmp_path / "dns.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"dns\.json"):
        FixtureResolver(file)
