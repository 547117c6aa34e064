"""adapters.dns_fixtures: answers without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lumilter.adapters.dns import FixtureResolver, Lookup, RecordTypeError
from lumilter.errors import ConfigError, LookupFailed

FIXTURES: dict[str, Any] = {
    "Example.com": {
        "A": ["192.0.2.1", "192.0.2.2"],
        "mx": [[20, "b.example.com."], [10, "mx.example.com"], [20, "a.example.com"]],
        "TXT": ["v=spf1 -all."],
        "NS": "SERVFAIL",
    },
    "gone.example": "NXDOMAIN",
    "192.0.2.1": {"PTR": ["mx.example.com."]},
    "empty.example": {"A": "NODATA"},
    "null.example": {"MX": [[0, "."]]},
}


def look(name: str, rtype: str = "A", resolver: Lookup | None = None) -> list[tuple[int | None, str]]:
    return (resolver or FixtureResolver(FIXTURES)).lookup(name, rtype, deadline=0)


def test_records() -> None:
    assert look("example.com") == [(None, "192.0.2.1"), (None, "192.0.2.2")]
    assert look("EXAMPLE.com.", "mx") == [(10, "mx.example.com"), (20, "b.example.com"), (20, "a.example.com")]
    assert look("example.com", "txt") == [(None, "v=spf1 -all.")]
    assert look("1.2.0.192.in-addr.arpa", "PTR") == look("192.0.2.1", "ptr") == [(None, "mx.example.com")]
    assert look("null.example", "MX") == [(0, ".")]


@pytest.mark.parametrize(
    ("name", "rtype", "text"),
    [
        ("gone.example", "A", "NXDOMAIN"),
        ("gone.example", "TXT", "NXDOMAIN"),
        ("example.com", "NS", "SERVFAIL"),
        ("example.com", "AAAA", "no fixture for example.com AAAA: add it to --fixtures FILE, or use --live"),
        ("empty.example", "A", "NODATA"),
        ("a..b", "A", "NXDOMAIN"),
        ("example.org", "a", "no fixture for example.org A: add it to --fixtures FILE, or use --live"),
    ],
)
def test_failures(name: str, rtype: str, text: str) -> None:
    with pytest.raises(LookupFailed) as caught:
        look(name, rtype)
    assert str(caught.value) == text


def test_a_wrong_type_is_another_error() -> None:
    with pytest.raises(RecordTypeError):
        look("example.com", "CNAME")


def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dns.json"
    path.write_text(json.dumps(FIXTURES))
    for where in (path, str(path)):
        assert look("example.com", resolver=FixtureResolver(where))
        with pytest.raises(LookupFailed, match=f"no fixture for x MX: add it to {path}, or use --live"):
            look("x", "MX", FixtureResolver(where))


def test_results_are_the_callers_own() -> None:
    resolver = FixtureResolver(FIXTURES)
    look("example.com", resolver=resolver).clear()
    assert look("example.com", resolver=resolver)


@pytest.mark.parametrize(
    ("fixtures", "message"),
    [
        ({"a..b": "NXDOMAIN"}, "'a..b' is not a domain name"),
        ({"a": 1}, 'a: expected an error such as "NXDOMAIN", or records under A, AAAA'),
        ({"a": {"CNAME": ["b"]}}, "a: expected an error"),
        ({"a": {"A": []}}, 'a A: expected ["a record"]'),
        ({"a": {"A": [1]}}, 'a A: expected ["a record"]'),
        ({"a": {"MX": ["mx"]}}, 'a MX: expected [[10, "mx.example.com"]]'),
        ({"a": {"MX": [["10", "mx"]]}}, "a MX: expected"),
        ({"a": {"MX": [[70000, "mx"]]}}, "a MX: expected"),
        ({"a": {"A": None}}, "a A: expected"),
    ],
)
def test_wrong_fixtures(fixtures: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "dns.json"
    path.write_text(json.dumps(fixtures))
    for source, where in ((fixtures, "fixtures: "), (path, f"{path}: ")):
        with pytest.raises(ConfigError) as caught:
            FixtureResolver(source)
        assert str(caught.value).startswith(where + message)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'"NXDOMAIN"'])
def test_wrong_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "dns.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"dns\.json: "):
        FixtureResolver(path)
    with pytest.raises(ConfigError, match="No such file"):
        FixtureResolver(tmp_path / "absent.json")
