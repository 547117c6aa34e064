"""Authentication-Results: whose a field claims to be, and one field for all methods."""

from __future__ import annotations

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
