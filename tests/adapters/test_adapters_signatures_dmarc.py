"""DMARC: records, alignment, whose policy counts, pct=, DNS that fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from lumilter.adapters.signatures import codes
from lumilter.adapters.signatures.dmarc import DmarcResult, drawn, evaluate, is_aligned, organizational, read
from lumilter.adapters.signatures.sender_policy import SpfResult
from lumilter.adapters.signatures.verification import Signature
from support.dns_zone import Zone

FAIL = SpfResult("fail", domain="example.org")


def signature(domain: str, error: str = "no signature error") -> Signature:
    flags = codes.PASSED if error == "no signature error" else 0
    return Signature(domain=domain, flags=flags, error=error)


def judged(
    names: Mapping[str, Any], domain: str = "example.org", *signatures: Signature, spf: SpfResult | None = FAIL
) -> DmarcResult:
    return evaluate([domain], signatures, spf, Zone(names), time.monotonic() + 10)


def records(**texts: str) -> dict[str, Any]:
    return {f"_dmarc.{name.replace('_', '.')}": {"TXT": [text]} for name, text in texts.items()}


REJECT = records(example_org="v=DMARC1; p=reject; sp=quarantine")


@pytest.mark.parametrize(
    ("domain", "organization"),
    [
        ("example.org", "example.org"),
        ("a.b.example.org", "example.org"),
        ("example.co.uk", "example.co.uk"),
        ("mail.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("a.unknown-tld", "a.unknown-tld"),
        ("b.a.unknown-tld", "a.unknown-tld"),
        ("", ""),
        ("a." * 200 + "org", "a." * 200 + "org"),
    ],
)
def test_organizations(domain: str, organization: str) -> None:
    assert organizational(domain) == organization


def test_alignment() -> None:
    assert is_aligned("mail.example.org", "Example.ORG", strict=False)
    assert not is_aligned("mail.example.org", "example.org", strict=True)
    assert not is_aligned("example.co.uk", "other.co.uk", strict=False)
    assert not is_aligned("", "", strict=False)


def test_what_vouches() -> None:
    assert judged(REJECT) == DmarcResult("fail", "example.org", "reject", "reject")
    assert judged(REJECT, "example.org", signature("example.org")).result == "pass"
    assert judged(REJECT, "example.org", signature("mail.example.org")).result == "pass"
    assert judged(REJECT, "example.org", signature("example.net")).result == "fail"
    assert judged(REJECT, "example.org", signature("example.org", "signature verification failed")).result == "fail"
    assert judged(REJECT, spf=SpfResult("pass", domain="bounce.example.org")).result == "pass"
    assert judged(REJECT, spf=SpfResult("pass", domain="example.net")).result == "fail"
    assert judged(REJECT, spf=None).result == "fail"


def test_strict_alignment() -> None:
    strict = records(example_org="v=DMARC1; p=reject; adkim=s; aspf=s")
    assert judged(strict, "example.org", signature("mail.example.org")).result == "fail"
    assert judged(strict, "example.org", signature("example.org")).result == "pass"
    assert judged(strict, spf=SpfResult("pass", domain="mail.example.org")).result == "fail"


def test_whose_policy_counts() -> None:
    assert judged(REJECT, "news.example.org") == DmarcResult("fail", "news.example.org", "quarantine", "quarantine")
    own = REJECT | records(news_example_org="v=DMARC1; p=none")
    assert judged(own, "news.example.org") == DmarcResult("fail", "news.example.org", "none", "none")
    assert judged({}) == DmarcResult("none", "example.org")
    two = {"_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}}
    assert judged(two).result == "none"
    beside = {"_dmarc.example.org": {"TXT": ["v=spf1 -all", "v=DMARC1; p=reject"]}}
    assert judged(beside).result == "fail"


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("v=DMARC1; p=reject", "reject"), ("v=DMARC1;p=Quarantine;", "quarantine"), ("v=DMARC1; p=odd", None),
        ("v=DMARC1; p=odd; rua=mailto:a@b", "none"), ("v=DMARC1", None), ("v=DMARC1; p=reject; p=none", None),
        ("v=DMARC1; p=none; sp=odd", None), ("v=DMARC1; p=reject; pct=900", "reject"), ("v=DMARC1; =", None),
    ],
)  # fmt: skip
def test_records(text: str, policy: str | None) -> None:
    found = read(text)
    assert (found.policy if found else None) == policy
    assert found is None or 0 <= found.percent <= 100


def test_more_than_one_author() -> None:
    zone = Zone(REJECT)
    until = time.monotonic() + 10
    assert evaluate(["example.org", "example.net"], (), FAIL, zone, until).result == "permerror"
    assert evaluate(["example.org", "EXAMPLE.org."], (), FAIL, zone, until).result == "fail"
    assert evaluate([], (), FAIL, zone, until).result == "none"


def test_dns_that_does_not_answer() -> None:
    assert judged({"_dmarc.example.org": "SERVFAIL"}).result == "temperror"
    later = signature("example.org", "key DNS query failed")
    assert judged(REJECT, "example.org", later) == DmarcResult("temperror", "example.org", "reject")
    assert judged(REJECT, spf=SpfResult("temperror", domain="example.org")).result == "temperror"
    assert judged(REJECT, spf=SpfResult("temperror", domain="example.net")).result == "fail"


def test_a_part_of_the_mail() -> None:
    assert {drawn("reject", 100) for _ in range(50)} == {"reject"}
    assert {drawn("reject", 0) for _ in range(50)} == {"quarantine"}
    assert {drawn("quarantine", 0)} == {"none"}
    assert drawn("none", 0) == "none"
    counts = Counter(drawn("reject", 50) for _ in range(2000))
    assert counts["reject"] > 700
    assert counts["quarantine"] > 700


def test_a_guessed_pass_is_none_of_the_domain() -> None:
    """[spf] default_rule says what is assumed of domains without a policy; that is nobody's authentication."""
    names = {"_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"]}}
    for guessed, result in ((False, "pass"), (True, "fail")):
        spf = SpfResult("pass", domain="example.org", guessed=guessed)
        assert evaluate(["example.org"], [], spf, Zone(names), time.monotonic() + 60).result == result
