"""SMTP paths and address lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.errors import LumilterError
from lumilter.session.address import Path, addresses


@pytest.mark.parametrize(
    ("text", "localpart", "domain"),
    [
        ("<>", "", ""),
        ("", "", ""),
        ("<user@example.com>", "user", "example.com"),
        ("user@example.com", "user", "example.com"),
        (" <User+Tag@Example.COM> SIZE=10", "User+Tag", "Example.COM"),
        ("<@a.example,@b.example:user@example.com>", "user", "example.com"),
        ('<"a@b> c"@example.com>', '"a@b> c"', "example.com"),
        ('<"a\\"@b"@example.com>', '"a\\"@b"', "example.com"),
        ("<postmaster>", "postmaster", ""),
        ("<user@[192.0.2.1]>", "user", "[192.0.2.1]"),
        ("<user@example.com", "user", "example.com"),
        ("<\udcff@example.com>", "\udcff", "example.com"),
    ],
)
def test_path(text: str, localpart: str, domain: str) -> None:
    path = Path.parse(text)
    assert (path.localpart, path.domain) == (localpart, domain)


@given(st.text(max_size=100))
def test_any_text_is_some_path(text: str) -> None:
    assert Path.parse(Path.parse(text).address).address is not None
    addresses(text, "all")


@given(st.from_regex(r"[a-z0-9.+-]{1,20}@[a-z0-9.-]{1,20}", fullmatch=True))
def test_canonical_addresses_stay(address: str) -> None:
    assert Path.parse(f"<{address}>").address == address
    assert Path.parse(address).address == address


@pytest.mark.parametrize(
    ("component", "found"),
    [
        ("all", ["joe+tag@example.com", "ann@example.org"]),
        ("localpart", ["joe+tag", "ann"]),
        ("user", ["joe", "ann"]),
        ("detail", ["tag", ""]),
        ("domain", ["example.com", "example.org"]),
    ],
)
def test_components(component: str, found: list[str]) -> None:
    assert addresses('"Joe, X" <joe+tag@example.com>, ann@example.org (Ann)', component) == found


def test_groups_and_nothing() -> None:
    assert addresses("Team: a@x.example, b@x.example;", "all") == ["a@x.example", "b@x.example"]
    assert addresses("undisclosed-recipients:;", "all") == []
    assert addresses("", "all") == []


def test_an_unknown_component_is_an_error() -> None:
    with pytest.raises(LumilterError, match="all, localpart, user, detail, domain"):
        addresses("a@b", "host")
