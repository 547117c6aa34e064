"""Authentication-Results: whose a field claims to be, and one field for all methods."""

from __future__ import annotations

import encodings
import time

import authres
import pytest

from lumilter.adapters.signatures import codes
from lumilter.adapters.signatures.dmarc import DmarcResult
from lumilter.adapters.signatures.results import authserv_id, claimed, of_dkim, of_dmarc, of_spf, value
from lumilter.adapters.signatures.sender_policy import SpfResult
from lumilter.adapters.signatures.verification import Signature


@pytest.mark.parametrize(
    ("text", "ident"),
    [
        (b" mx.test; spf=pass", b"mx.test"),
        (b" MX.test", b"mx.test"),
        (b"\r\n\tmx.test 1; none", b"mx.test"),
        (b" (a (nested) comment) mx.test; none", b"mx.test"),
        (b' (\\)) "mx.test"; none', b"mx.test"),
        (b' "m\\x.test"', b"mx.test"),
        (b" mx.test(c); none", b"mx.test"),
        (b" mx.test.evil; none", b"mx.test.evil"),
        (b"", b""), (b" (open", b""), (b" ;", b""), (b" \xff; none", b"\xff"),
    ],
)  # fmt: skip
def test_whom_a_field_claims_to_be_from(text: bytes, ident: bytes) -> None:
    assert authserv_id(text) == ident


def test_those_that_claim_to_be_ours() -> None:
    fields = [
        (b"Authentication-Results", b" mx.test; spf=pass"), (b"authentication-results", b" other; spf=pass"),
        (b"X", b" mx.test; spf=pass"), (b"AUTHENTICATION-RESULTS", b' "MX.TEST"; spf=pass'),
    ]  # fmt: skip
    assert claimed(fields, "mx.test") == [0, 3]


@pytest.mark.parametrize(
    "text",
    [
        b" mx(c).test; dkim=pass", b" mx.test.; dkim=pass", b" \x0bmx.test; dkim=pass", b" \xc2\xa0mx.test; dkim=pass",
        b" <mx.test>; dkim=pass", b";mx.test; dkim=pass", b"\0mx.test; dkim=pass", b")mx.test; dkim=pass",
        b" =?utf-8?q?mx.test?=; dkim=pass", b" =?utf-8?q?mx.test=3B_dkim=3Dpass?=",
        b" =?us-ascii?b?bXgudGVzdDsgZGtpbT1wYXNz?=", b" =?utf-8?q?mx?=\r\n =?utf-8?q?.test?=; dkim=pass",
        b" =?utf-8*en?q?mx.test?=; dkim=pass", b" =?utf-16le?b?bQB4AC4AdABlAHMAdAA?=; dkim=pass",
        b" =?x-none?q?mx.test?=; dkim=pass", b" =?utf-8?q?mx.test?=; dkim=pass =?utf-8?b?a?=",
        b" mx. test; dkim=pass", b" (a) mx.test (b) 1 (c); dkim=pass", b' "mx"."test"; dkim=pass',
    ],
)  # fmt: skip
def test_odd_spellings_of_ours(text: bytes) -> None:
    """What a careless reader, such as a script that decodes the field, would take for ours."""
    assert claimed([(b"Authentication-Results", text)], "mx.test") == [0]
    assert claimed([(b"authentication-results \t", b" mx.test; x")], "mx.test") == [0], "RFC 5322 4.5.1"


@pytest.mark.parametrize(
    "text",
    [
        b" other.test; spf=pass smtp.mailfrom=mx.test", b" amx.test; x", b" mx.testa; x", b" mx.test.other; x",
        b" (mx.test) a; x",
        b" =?utf-8?q?other?=; x", b" =?x-unknown?q?mx?=; x", b" =?utf-8?b?!!!?=; x", b"i=1; mx.test; x", b"",
    ],
)  # fmt: skip
def test_those_of_others_stay(text: bytes) -> None:
    assert claimed([(b"Authentication-Results", text)], "mx.test") == []


def test_names_of_charsets_are_not_remembered() -> None:
    """Python keeps each that it was asked for and does not know."""
    before = len(encodings._cache)  # type: ignore[attr-defined]
    claimed([(b"Authentication-Results", b"=?x-%d?q?a?=; none" % number) for number in range(100)], "mx.test")
    assert len(encodings._cache) < before + 10  # type: ignore[attr-defined]


def test_long_values_cost_little() -> None:
    for piece in (b"(", b")", b"=?utf-8?q?a?= ", b"=?", b"\\", b'"', b";"):
        began = time.process_time()
        claimed([(b"Authentication-Results", piece * 1_000_000)], "mx.test")
        assert time.process_time() - began < 10


@pytest.mark.parametrize("middle", [b" ", b" 1", b"\t1 ", b"1"])
def test_identifiers_that_are_long_cost_little(middle: bytes) -> None:
    """Of one message, whose fields may be many and short."""
    fields = [(b"Authentication-Results", b"a" + middle * (900 // len(middle)) + b"x; none")] * 100
    began = time.process_time()
    claimed(fields, "mx.test")
    assert time.process_time() - began < 10


def test_one_field() -> None:
    good = Signature(domain="a.test", flags=codes.PASSED, error="no signature error")
    bad = Signature(domain="b.test", error="key not found in DNS")
    parts = [
        of_spf(SpfResult("fail", sender="ann@example.org")), *of_dkim([good, bad]),
        of_dmarc(DmarcResult("pass", "a.test", "reject")),
    ]  # fmt: skip
    text = value("mx.test", parts)
    assert text.count(b"\r\n\t") >= 3
    parsed = authres.AuthenticationResultsHeader.parse("Authentication-Results:" + text.decode().replace("\r\n\t", " "))
    assert [(each.method, each.result) for each in parsed.results] == [
        ("spf", "fail"), ("dkim", "pass"), ("dkim", "permerror"), ("dmarc", "pass"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "evil", ["x; dkim=pass header.d=bank.test", "a (b) c", 'a"b', "a\\", "a\r\nX: y", "a=b; x", ""]
)
def test_what_a_sender_wrote_is_no_result(evil: str) -> None:
    """Quoted local parts, names in HELO, d= and From may hold anything."""
    parts = [
        of_spf(SpfResult("none", sender=f'"{evil}"@example.org', domain="example.org")),
        of_spf(SpfResult("none", sender=f"{evil}@example.org", domain="example.org")),
        of_spf(SpfResult("none", identity="helo", helo=evil)),
        *of_dkim([Signature(domain=evil, error="key revoked")]),
        of_dmarc(DmarcResult("none", evil)),
    ]
    text = value("mx.test", parts)
    assert all(line[:1] == b"\t" for line in text.split(b"\r\n")[1:])
    parsed = authres.AuthenticationResultsHeader.parse("Authentication-Results:" + text.decode().replace("\r\n\t", " "))
    assert [each.method for each in parsed.results] == ["spf", "spf", "spf", "dkim", "dmarc"]
    assert b"bank" not in text
