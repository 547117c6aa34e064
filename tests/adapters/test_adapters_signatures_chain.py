"""ARC chains: made here and by dkimpy in turns, checked by both; everything that breaks one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import dkim
import pytest

from lumilter.adapters.dns import FixtureResolver, Lookup, Resolver
from lumilter.adapters.signatures.chain import LIMIT, ArcSeal, Chain, verify
from lumilter.adapters.signatures.content import Content
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.private_keys import KeyRing
from lumilter.adapters.signatures.signing import KeySource
from lumilter.adapters.signatures.verification import Rules
from support.dns_server import DnsServer
from support.mail_keys import rsa_key
from support.signed import content

MESSAGE = (
    b"MIME-Version: 1.0\r\nFrom: Ann <ann@example.org>\r\nTo: bob@example.com\r\nSubject: a  folded\r\n subject\r\n"
    b"Date: x\r\nMessage-ID: <1@example.org>\r\n\r\nHello \t there.\r\n\r\n"
)
DNS: dict[str, Any] = {f"s._domainkey.hop{n}.test": {"TXT": [rsa_key().record()]} for n in range(1, 60)}
ZONE = FixtureResolver(DNS)


def checked(raw: bytes, resolver: Lookup = ZONE) -> Chain:
    return verify(content(raw), resolver, Rules(), time.monotonic() + 30)


def seal(number: int, status: str, **more: Any) -> ArcSeal:
    source = KeySource(buffer=rsa_key().buffer)
    return ArcSeal(f"hop{number}.test", "s", source, f"mx.hop{number}.test", status, f"spf=pass; arc={status}", **more)


def put(fields: list[tuple[bytes, bytes]], raw: bytes) -> bytes:
    return b"".join(name + b":" + value + b"\r\n" for name, value in fields) + raw


def ours(raw: bytes, number: int, **more: Any) -> bytes:
    """A hop that checks and seals with our code."""
    made = content(raw)
    return put(seal(number, checked(raw).status, **more).fields(made, KeyRing(), int(time.time())), raw)


def theirs(raw: bytes, number: int, **_: Any) -> bytes:
    """The same by dkimpy."""
    status, _, _ = dkim.arc_verify(raw, dnsfunc=txt)
    ident = b"mx.hop%d.test" % number
    said = b"" if number == 1 else b"; arc=" + status
    raw = b"Authentication-Results: " + ident + b"; spf=pass smtp.mailfrom=ann@example.org" + said + b"\r\n" + raw
    lines = dkim.arc_sign(raw, b"s", b"hop%d.test" % number, rsa_key().pem, ident)
    assert len(lines) == 3
    return b"".join(lines) + raw


def txt(name: bytes, timeout: int = 5) -> bytes | None:
    return rsa_key().record().encode() if name.startswith(b"s._domainkey.hop") else None


def chain(*hops: Callable[..., bytes], **more: Any) -> bytes:
    raw = MESSAGE
    for number, hop in enumerate(hops, 1):
        raw = hop(raw, number, **more)
    return raw


@pytest.mark.parametrize("hops", list(product((ours, theirs), repeat=3)))
def test_three_hops(hops: tuple[Callable[..., bytes], ...]) -> None:
    raw = MESSAGE
    for number, hop in enumerate(hops, 1):
        raw = hop(raw, number)
        assert checked(raw) == Chain("pass", number, "", tuple(f"hop{n}.test" for n in range(1, number + 1)))
        assert dkim.arc_verify(raw, dnsfunc=txt)[0] == b"pass"


@pytest.mark.parametrize("options", [
    {"body_canon": "simple"}, {"headers": ("from", "subject", "x-none")}, {"oversigned": ("from", "subject")},
])  # fmt: skip
def test_options(options: dict[str, Any]) -> None:
    raw = chain(ours, ours, **options)
    assert checked(raw).status == "pass"
    assert dkim.arc_verify(raw, dnsfunc=txt)[0] == b"pass"


def test_the_fields_of_a_set() -> None:
    names = [name for name, _ in content(chain(ours)).fields[:3]]
    assert names == [b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"]
    text = content(chain(ours, ours)).fields
    assert text[2][1] == b" i=2; mx.hop2.test;\r\n\tspf=pass; arc=pass"
    assert b"cv=none" in text[3][1]
    assert b"cv=pass" in text[0][1]
    assert b"arc-seal" not in text[1][1].lower().partition(b"h=")[2]


def test_a_message_without_a_chain() -> None:
    assert checked(MESSAGE) == Chain("none")


def test_a_change_on_the_way() -> None:
    raw = chain(ours, ours)
    assert checked(raw.replace(b"Hello", b"Hullo")) == Chain("fail", 2, "signature verification failed")
    changed = chain(ours).replace(b"Hello", b"Hullo")
    assert checked(ours_with_status(changed, 2, "pass")).status == "pass", "an older message signature may be broken"


def ours_with_status(raw: bytes, number: int, status: str) -> bytes:
    return put(seal(number, status).fields(content(raw), KeyRing(), int(time.time())), raw)


def edited(raw: bytes, change: Callable[[list[tuple[bytes, bytes]]], None]) -> bytes:
    made = content(raw)
    fields = list(made.fields)
    change(fields)
    return put(fields, b"\r\n" + bytes(made.body))


def in_field(number: int, change: Callable[[bytes], bytes]) -> Callable[[list[tuple[bytes, bytes]]], None]:
    """Change one field's value; 0 to 2 are seal, signature and results of the second hop."""
    return lambda fields: fields.__setitem__(number, (fields[number][0], change(fields[number][1])))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.pop(0), "the ARC set of instance 2 is not whole"),
        (lambda f: f.pop(4), "the ARC set of instance 1 is not whole"),
        (lambda f: f.append(f[0]), "two arc-seal fields of instance 2"),
        (lambda f: f.append((b"ARC-Seal", b" i=3; cv=pass")), "the ARC set of instance 3 is not whole"),
        (lambda f: f.append((b"ARC-Seal", b" i=51; cv=pass")), "arc-seal without an instance from 1 to 50"),
        (lambda f: f.append((b"ARC-Seal", b" i=0")), "arc-seal without an instance from 1 to 50"),
        (lambda f: f.append((b"ARC-Seal", b" i=" + b"9" * 5000)), "arc-seal without an instance from 1 to 50"),
        (lambda f: f.append((b"ARC-Seal", b" junk")), None),
        (lambda f: f.append((b"ARC-Authentication-Results", b" none")), None),
        (in_field(5, lambda text: text + b" x"), "signature verification failed"),
        (in_field(0, lambda text: text.replace(b"cv=pass", b"cv=fail")), "the seal of instance 2 says cv=fail"),
        (in_field(3, lambda text: text.replace(b"cv=none", b"cv=pass")), "the seal of instance 1 says cv=pass"),
        (in_field(0, lambda text: text + b"; h=from"), "header list missing required entries"),
        (in_field(0, lambda text: re.sub(rb"d=[^;]*", b"d=gone.test", text)), "key DNS query failed"),
        (in_field(1, lambda text: text.replace(b"h=from", b"h=arc-seal:from")), None),
        (in_field(1, lambda text: re.sub(rb"a=[^;]*", b"a=rsa-sha1", text)), "signature algorithm invalid"),
        (in_field(1, lambda text: re.sub(rb"bh=[^;]*", b"bh=?", text)), "body hash corrupt"),
    ],
)  # fmt: skip
def test_what_breaks_a_chain(change: Callable[[Any], None], reason: str | None) -> None:
    found = checked(edited(chain(ours, ours), change))
    assert found.status == "fail"
    assert reason is None or found.reason == reason


def test_the_longest_chain() -> None:
    raw = chain(*[ours] * LIMIT)
    assert checked(raw).length == LIMIT
    assert checked(raw).status == "pass"
    with pytest.raises(SignatureError, match="has 50 sets"):
        ours(raw, LIMIT + 1)
    assert checked(raw + b"").status == "pass"
    many = Content((*[(b"ARC-Seal", b" i=1")] * 1000, *content(raw).fields), b"")
    assert verify(many, ZONE, Rules(), time.monotonic() + 30) == Chain("fail", LIMIT, "too many ARC sets")


def test_a_silent_name_server_costs_no_more_than_the_time_allowed() -> None:
    raw = chain(ours, ours, ours)
    with DnsServer(lambda query, transport: None) as server:
        begun = time.monotonic()
        found = verify(content(raw), Resolver(servers=[server.address]), Rules(timeout=1), time.monotonic() + 30)
        assert time.monotonic() - begun < 15
    assert found == Chain("fail", 3, "key DNS query failed")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"body_canon": "nofws"}, "body_canon is"), ({"digest": "md5"}, "digest is rsa-sha256 or rsa-sha1"),
        ({"domain": ""}, "options.signing_domain and options.selector are needed"),
        ({"ident": "caf\xe9"}, "domain, selector and authservid are ASCII"),
    ],
)  # fmt: skip
def test_what_can_not_be_sealed(options: dict[str, Any], message: str) -> None:
    given = {"domain": "a.test", "selector": "s", "key": KeySource("x"), "ident": "mx", "status": "none", "results": ""}
    with pytest.raises(SignatureError, match=message):
        ArcSeal(**{**given, **options})


def test_a_chain_that_is_broken_can_not_be_made_longer() -> None:
    with pytest.raises(SignatureError, match="the ARC set of instance 2 is not whole"):
        ours_with_status(edited(chain(ours, ours), lambda f: f.pop(0)), 3, "pass")
