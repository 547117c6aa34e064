"""signatures: what a message and DNS may hold where signatures, policies and results are read."""

from __future__ import annotations

import time

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, TEXT, soup
from lumilter.adapters.signatures import chain, codes, dmarc, domainkeys, results, sender_policy, verification
from lumilter.adapters.signatures.content import Content
from lumilter.adapters.signatures.keys import Refused, of_records
from lumilter.adapters.signatures.verification import TOO_MANY, Rules
from support.dns_zone import Zone
from support.mail_keys import rsa_key

PIECES = [
    b"v=1;", b"a=rsa-sha256;", b"a=ed25519-sha256;", b"d=example.org;", b"s=s;", b"h=from:to;", b"h=from;", b"bh=AAAA;",
    b"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;", b"b=AAAA", b"b=", b"c=relaxed/simple;", b"l=0;", b"x=1;",
    b"t=99;", b"i=1;", b"i=@example.org;", b"cv=none;", b"cv=pass;", b"q=dns/txt;", b"\r\n ", b"=", b";",
    b"\xff", b"\0",
]  # fmt: skip


def mix(pieces: list[bytes], most: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(pieces), max_size=most).map(b"".join)


ANSWER = BYTES.map(lambda octets: octets.decode("utf-8", "surrogateescape"))
"""As a resolver gives the text of a record."""
FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"DKIM-Signature", b"DomainKey-Signature", b"From", b"To", *(n.title() for n in chain.NAMES)]),
        mix(PIECES, 14) | BYTES,
    ),
    max_size=8,
)
KEYS = {"s._domainkey.example.org": {"TXT": [rsa_key().record()]}}


@target(FIELDS, BYTES, examples=300)
def dkim(fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Every signature is in the result with a known error, and nothing passes that nobody signed."""
    content = Content.of(fields, body)
    found = verification.verify(content, Zone(KEYS), Rules(), time.monotonic() + 30)
    assert len(found.signatures) == sum(name == b"DKIM-Signature" for name, _ in content.fields)
    assert all(each.error in codes.NUMBERS or each.error == TOO_MANY for each in found.signatures)
    assert not any(each.passed for each in found.signatures)
    assert found.status != codes.OK


@target(FIELDS, BYTES, examples=300)
def arc(fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    """A chain is none or fail."""
    content = Content.of(fields, body)
    found = chain.verify(content, Zone(KEYS), Rules(), time.monotonic() + 30)
    there = any(name.lower() in chain.NAMES for name, _ in content.fields)
    assert found.status == ("fail" if there else "none")


@target(FIELDS, BYTES, TEXT, examples=200)
def domain_keys(fields: list[tuple[bytes, bytes]], body: bytes, sender: str) -> None:
    """A status of Momentum's, never good."""
    found = domainkeys.verify(Content.of(fields, body), sender, Zone(KEYS), 5, time.monotonic() + 30)
    assert found.status.startswith(("bad", "no signature"))
    assert found.method_result in ("fail", "none", "permerror")


@target(
    soup(["v=DKIM1;", "k=rsa;", "k=ed25519;", "p=", "AAAA", rsa_key().public, "t=y:s;", "h=", ";", "="], 10) | ANSWER
)
def key_records(text: str) -> None:
    """A key, or a known reason why it is none."""
    try:
        key = of_records((text,))
    except Refused as refused:
        assert str(refused) in codes.NUMBERS
        return
    assert key.bits > 0
    assert not key.verifies(b"x", b"y", "sha256")


TERMS = [
    "v=spf1 ", "a", "mx", "ptr", "exists:", "include:", "redirect=", "exp=", "ip4:", "ip6:", "192.0.2.1", "::1", "/24",
    "//64", "%{i}", "%{s}", "%{d2r}", "%{", "}", "%", "example.org", "-all", "~", "?", " ", "\u00e9", "\r", "=",
]  # fmt: skip


@target(soup(TERMS, 20) | ANSWER, TEXT, TEXT, examples=300)
def spf(policy: str, sender: str, helo: str) -> None:
    """A result of RFC 7208, and a field of printable lines."""
    zone = Zone({"example.org": {"TXT": ["v=spf1 " + policy]}})
    for who in (sender, "ann@example.org"):
        found = sender_policy.check("192.0.2.1", who, helo, "mx.test", "?all", zone, time.monotonic() + 30)
        assert found.result in sender_policy.RESULTS
        text = sender_policy.received_spf(found)
        assert text.isascii()
        assert all(line[:1] == "\t" for line in text.split("\n")[1:])
        made = results.value("mx.test", [results.of_spf(found)])
        assert made.count(b";") == 1, made
    assert len(zone.asked) < 200


@target(
    soup(["v=DMARC1;", "p=", "none", "reject", ";", "sp=", "pct=", "100", "adkim=s", "rua=mailto:a@b", " "], 12) | TEXT
)
def dmarc_records(text: str) -> None:
    """A policy, or none."""
    found = dmarc.read(text)
    assert found is None or (found.policy in dmarc.POLICIES and found.sub in dmarc.POLICIES and found.percent <= 100)


@target(
    mix([b"mx.test", b'"', b"(", b")", b"\\", b";", b" ", b"\r\n\t", b"1", b"\xff", b"=?utf-8?q?", b"?="], 12) | BYTES
)
def claims(text: bytes) -> None:
    """Whom a field claims to be from is a part of it; what is ours by the letter is among what claims to be."""
    assert results.authserv_id(text).replace(b"\\", b"") in text.lower().replace(b"\\", b"")
    fields = [(results.NAME, text)]
    assert set(results.own(fields, "mx.test")) <= set(results.claimed(fields, "mx.test"))
