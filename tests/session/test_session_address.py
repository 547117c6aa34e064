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
        ('<O"Brien@example.com>', 'O"Brien', "example.com"),
        ('<"a>b"@example.com>', '"a>b"', "example.com"),
        ("<a@b@example.com>", "a@b", "example.com"),
        ("<user@>", "user", ""),
        ("user@example.com BODY=8BITMIME", "user", "example.com BODY=8BITMIME"),
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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["pete@silly.test"]),
        (
            "A Group(Some people)\t:Chris <c@(the one)public.example>, joe@example.org,;",
            ["c@public.example", "joe@example.org"],
        ),
        ('"Giant; \\"Big\\" Box" <box@example.net>', ["box@example.net"]),
        ("joe @ example . com", ["joe@example.com"]),
        (
            "<@a.example,@b.example:joe@example.com>, @a.example,@b.example:ann@example.com",
            ["joe@example.com", "ann@example.com"],
        ),
        ('"a, b" <"a b"@example.com>', ['"a b"@example.com']),
        ("a@[192.0.2.1], <b@[IPv6:2001:db8::1]>", ["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]),
        ("=?utf-8?Q?x=40y=2C?= z <a@example.com>", ["a@example.com"]),
        (", ,,a@example.com,,", ["a@example.com"]),
        ("a@example.com; b@example.com", ["a@example.com", "b@example.com"]),
        ("Bob <bob@example.com, Ann <ann@example.com>", ["bob@example.com", "ann@example.com"]),
        ("<a@example.com> <b@example.com>", ["a@example.com", "b@example.com"]),
        ('"Joe <joe@example.com>', ["joe@example.com"]),
        ("John Smith joe@example.com", ["joe@example.com"]),
        ("mailto:joe@example.com", ["joe@example.com"]),
        ("a@example.com (never closed", ["a@example.com"]),
        ("root", ["root"]),
        ("John Smith", []),
        ('"Joe"', []),
        ("<>, Joe <>, @example.com, <@example.com>", []),
    ],
)
def test_lists_as_they_occur(text: str, found: list[str]) -> None:
    assert addresses(text, "all") == found


@pytest.mark.parametrize(
    "text",
    [
        "(",
        ")",
        "<",
        ">",
        ":",
        ";",
        ",",
        "@",
        '"',
        "\\",
        "[",
        ".",
        " ",
        "(a",
        "a:",
        "<a@",
        '"\\"',
        "@a,",
        "a@b,",
        "x @",
        "[a",
    ],
)
def test_huge_and_hostile(text: str) -> None:
    for hostile in (text * 50_000, "a@b " + text * 50_000, "<" + text * 50_000, "x " * 50_000 + "@" + text * 50_000):
        addresses(hostile, "all")
        Path.parse(hostile)


def test_an_unknown_component_is_an_error() -> None:
    with pytest.raises(LumilterError, match="all, localpart, user, detail, domain"):
        addresses("a@b", "host")


@pytest.mark.parametrize(
    "text",
    [
        "a@y",
        "<a@y>",
        "postmaster",
        "",
        "<>",
        '"a b"@y',
        '"a>\\"<"@y',
        "a+b/c=d@[192.0.2.1]",
        "a@[IPv6:2001:db8::1]",
        "ü@y",
    ],
)
def test_what_an_mta_can_be_told(text: str) -> None:
    assert Path.parse(text).is_sendable


@pytest.mark.parametrize(
    "text",
    [
        "Ann <a@y>",
        "a b@y",
        "a@y> <c@y",
        "a@y\nb@y",
        "a@y,b@y",
        "a\0@y",
        "a\udcff@y",
        '"a\r\nb"@y',
        '"a@y',
        "a\\",
        "@y",
        "a(b)@y",
        "a@b@c",
        "a@@",
        "::@@",
    ],
)
def test_what_mtas_would_each_read_in_their_own_way(text: str) -> None:
    assert not Path.parse(text).is_sendable


@given(st.text(st.sampled_from('a@"<>\\ ,:.[](\n') | st.characters(), max_size=20))
def test_what_is_sendable_is_read_as_the_same_between_brackets(text: str) -> None:
    path = Path.parse(text)
    if path.is_sendable:
        assert Path.parse(f"<{path.address}> SIZE=1").address == path.address
