"""DKIM signatures checked: RFC 8463's example, signatures of dkimpy, opendkim and Mail::DKIM, and everything wrong."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dkim
import pytest
from dns.message import Message

from lumilter.adapters.dns import FixtureResolver, Lookup, Resolver
from lumilter.adapters.signatures import codes
from lumilter.adapters.signatures.keys import Refused, of_records
from lumilter.adapters.signatures.verification import TOO_MANY, Rules, Signature, Verified, verify
from support import opendkim, rfc6376, rfc8463
from support.dns_server import DnsServer, reply
from support.mail_keys import MailKey, rsa_key
from support.opendkim import mail_dkim_sign
from support.signed import content

MESSAGE = (
    b"Received: from a by b; Mon, 1 Jun 2026 10:00:00 +0000\r\nFrom: Ann <ann@example.org>\r\nTo: bob@example.com\r\n"
    b"Subject: a   folded\r\n\tsubject \r\nX-Raw: caf\xe9\r\n\r\nHello \t there. \r\n\r\ncaf\xe9\r\n\r\n\r\n"
)
CANONS = [(header, body) for header in (b"simple", b"relaxed") for body in (b"simple", b"relaxed")]


def signed(
    message: bytes = MESSAGE,
    key: MailKey | None = None,
    selector: bytes = b"s",
    domain: bytes = b"example.org",
    **more: Any,
) -> bytes:
    """A message with a signature of dkimpy's."""
    made: bytes = dkim.sign(message, selector, domain, (key or rsa_key()).pem, **more)
    return made + message


def zone(record: str | list[str] | None = None, name: str = "s._domainkey.example.org") -> FixtureResolver:
    record = record or rsa_key().record()
    return FixtureResolver({name: {"TXT": record if isinstance(record, list) else [record]}})


def checked(raw: bytes, resolver: Lookup | None = None, rules: Rules = Rules()) -> Verified:  # noqa: B008 (immutable)
    return verify(content(raw), resolver or zone(), rules, time.monotonic() + 30)


def one(raw: bytes, resolver: Lookup | None = None, rules: Rules = Rules()) -> Signature:  # noqa: B008 (immutable)
    """The only signature."""
    (signature,) = checked(raw, resolver, rules).signatures
    return signature


def edited(header: str, value: str, raw: bytes) -> bytes:
    """The signature with one tag set to another value, or taken out ("")."""
    text = raw.decode("latin-1")
    new = f"{header}={value};" if value is not None else ""
    return re.sub(rf"\b{header}=[^;]*;", lambda found: new, text, count=1).encode("latin-1")


def test_the_example_of_rfc_8463() -> None:
    found = checked(rfc8463.MESSAGE, FixtureResolver(rfc8463.KEYS))
    assert [(sig.algorithm, sig.key_bits, sig.passed) for sig in found.signatures] == [
        ("ed25519-sha256", 256, True),
        ("rsa-sha256", 1024, True),
    ]
    assert found.status == codes.OK


def test_the_example_of_rfc_6376() -> None:
    signature = one(rfc6376.MESSAGE, FixtureResolver(rfc6376.KEYS))
    assert (signature.error, signature.identity) == ("no signature error", "joe@football.example.com")


@pytest.mark.parametrize("canons", CANONS)
@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n", b"no end", b"a\r\n", b" \r\n \r\n"])
def test_signatures_of_dkimpy(canons: tuple[bytes, bytes], body: bytes) -> None:
    message = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    signature = one(signed(message, canonicalize=canons))
    assert (signature.error, signature.passed) == ("no signature error", True)
    assert (signature.header_canon, signature.body_canon) == (canons[0].decode(), canons[1].decode())


@pytest.mark.parametrize("change", [b"caf\xe9\r\n", b"there", b"Subject", b"ann@"])
def test_a_change_of_what_was_signed(change: bytes) -> None:
    raw = signed(include_headers=[b"from", b"to", b"subject"])
    at = raw.rindex(change)
    signature = one(raw[:at] + b"X" + raw[at + 1 :])
    assert (signature.error, signature.passed) == ("signature verification failed", False)
    assert checked(raw[:at] + b"X" + raw[at + 1 :]).status == codes.BADSIG


def test_only_what_was_signed_counts() -> None:
    raw = signed(include_headers=[b"from", b"subject"])
    assert one(raw.replace(b"To: bob", b"To: eve")).passed
    signature = one(raw)
    assert signature.signed == ("from", "subject")
    assert (signature.domain, signature.selector, signature.identity) == ("example.org", "s", "@example.org")


def test_the_length_of_the_body() -> None:
    raw = signed(length=True, canonicalize=(b"relaxed", b"simple"))
    assert one(raw).passed
    assert one(raw.rstrip(b"\r\n") + b"\r\nmore that somebody added\r\n").passed
    assert one(edited("l", "999999", raw)).error == "length tag value exceeds body size"
    assert one(edited("l", "9" * 80, raw)).error == "body length value invalid"
    assert one(edited("l", "-1", raw)).error == "body length value invalid"


@pytest.mark.parametrize(
    ("tag", "value", "error"),
    [
        ("v", "2", "unsupported signature version"),
        ("v", None, "version missing"),
        ("a", "rsa-md5", "signature algorithm invalid"),
        ("a", "rsa-sha1", "signature algorithm invalid"),
        ("a", "ed25519-sha256", "unknown key type"),
        ("a", None, "signature algorithm missing"),
        ("c", "nofws/simple", "invalid header canonicalization"),
        ("c", "relaxed/nofws", "invalid body canonicalization"),
        ("d", None, "domain tag missing"),
        ("d", "", "domain tag empty"),
        ("d", "example.net", "invalid domain coverage"),
        ("i", "@badexample.org", "invalid domain coverage"),
        ("s", None, "selector tag missing"),
        ("s", "", "selector tag empty"),
        ("h", None, "header list missing"),
        ("h", "", "header list tag empty"),
        ("h", "to:subject", "header list missing required entries"),
        ("q", "dns/spf", "query method invalid"),
        ("q", "http : dns/txt", "signature verification failed"),
        ("t", "99999999999", "signature timestamp in the future"),
        ("t", "soon", "signature timestamp order error"),
        ("bh", None, "body hash missing"),
        ("bh", "", "body hash empty"),
        ("bh", "?", "body hash corrupt"),
        ("bh", "AAAA", "signature verification failed"),
        ("x", "1", "signature expired"),
    ],
)
def test_what_is_wrong_with_a_signature(tag: str, value: str | None, error: str) -> None:
    raw = signed(include_headers=[b"from", b"subject"])
    if tag == "x":
        raw = raw.replace(b"; t=", b"; x=9; t=")
    signature = one(edited(tag, value, raw))  # type: ignore[arg-type]
    assert (signature.error, signature.passed) == (error, False)
    assert error in codes.NUMBERS


def test_times_in_the_wrong_order() -> None:
    now = int(time.time())
    raw = re.sub(rb"t=[0-9]+;", b"t=%d; x=%d;" % (now, now - 10), signed(), count=1)
    assert one(raw).error == "signature timestamp order error"
    later = Rules(now=lambda: now + 1e6)
    assert one(raw, rules=later).error == "signature expired"


@pytest.mark.parametrize("junk", [b"", b";;", b"v=1; v=1", b"\xff=1", b"=", b"v", b"a=b;" * 200])
def test_what_is_no_signature(junk: bytes) -> None:
    found = checked(b"DKIM-Signature: " + junk + b"\r\n" + MESSAGE)
    assert len(found.signatures) == 1
    assert found.status in (codes.CANTVRFY, codes.BADSIG)
    assert not found.signatures[0].passed


def test_a_message_without_a_signature() -> None:
    found = checked(MESSAGE)
    assert (found.signatures, found.best, found.status) == ((), None, codes.NOSIG)


def test_another_from_field_is_not_vouched_for() -> None:
    raw = (
        dkim.sign(MESSAGE, b"s", b"example.org", rsa_key().pem, include_headers=[b"from"])
        + b"From: eve@x\r\n"
        + MESSAGE
    )
    assert one(raw).error == "unprotected header field"


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ("v=DKIM2; p=KEY", "unknown key version"),
        ("v=DKIM1; p=", "key revoked"),
        ("v=DKIM1; k=dsa; p=KEY", "unknown key type"),
        ("v=DKIM1; h=sha1; p=KEY", "signature-key hash mismatch"),
        ("v=DKIM1; h=md5; p=KEY", "unknown key hash"),
        ("v=DKIM1; s=tlsrpt; p=KEY", "not an e-mail key"),
        ("v=DKIM1; p=AAAA", "unable to apply public key"),
        ("v=DKIM1; p=!!!", "unable to apply public key"),
        ("v=DKIM1; k=ed25519; p=AAAA", "unable to apply public key"),
        ("v=DKIM1; k=ed25519; p=" + "A" * 43 + "=", "unknown key type"),
        ("v=DKIM1", "key DNS reply corrupt"),
        ("nonsense", "key DNS reply corrupt"),
        ("p=" + "A" * 65_000, "key DNS reply corrupt"),
        ("k=rsa; h=sha256 : sha1; s=email:*; n=note; p=KEY", ""),
        ("p=KEY", ""),
    ],
)
def test_key_records(record: str, error: str) -> None:
    signature = one(signed(), zone(record.replace("KEY", rsa_key().public)))
    assert signature.error == (error or "no signature error")
    assert signature.passed is not bool(error)
    assert signature.flags & codes.PROCESSED


def test_flags_of_a_key() -> None:
    signature = one(signed(identity=b"ann@example.org"), zone(rsa_key().record("t=y:s; ")))
    assert signature.flags == codes.PROCESSED | codes.PASSED | codes.TESTKEY | codes.NOSUBDOMAIN
    below = one(signed(identity=b"ann@sub.example.org"), zone(rsa_key().record("t=s; ")))
    assert (below.error, below.passed, below.status) == ("unauthorized subdomain", False, codes.CANTVRFY)
    assert one(signed(identity=b"ann@sub.example.org")).passed


def test_small_and_large_keys() -> None:
    small = one(signed(key=rsa_key(512)), zone(rsa_key(512).record()))
    assert (small.key_bits, small.error, small.passed) == (512, "signing key too small", False)
    assert one(signed(key=rsa_key(512)), zone(rsa_key(512).record()), Rules(min_bits=512)).passed
    for exponent in (65537, (1 << 16_382) + 1):  # the second would take Python numbers 14 s
        large = one(signed(), zone("p=" + _public(secrets.randbits(16_384) | 1 << 16_383 | 1, exponent)))
        assert (large.key_bits, large.error) == (16_384, "signature verification failed")
    with pytest.raises(Refused, match="unable to apply public key"):
        of_records(("p=" + _public(1 << 16_400 | 1, 65537),))


def _public(modulus: int, exponent: int) -> str:
    """An RSAPublicKey of RFC 8017, base64."""
    return base64.b64encode(_der(0x30, _integer(modulus) + _integer(exponent))).decode()


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _der(tag: int, data: bytes) -> bytes:
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (length if len(data) < 128 else bytes([0x80 | len(length)]) + length) + data


def test_several_records_beside_a_key() -> None:
    assert one(signed(), zone(["v=spf1 -all", rsa_key().record()])).passed
    assert one(signed(), zone([rsa_key().record(), rsa_key(1024, 1).record()])).error == "multiple keys found"


def test_sha1_only_where_it_was_asked_for() -> None:
    raw = signed(signature_algorithm=b"rsa-sha1")
    assert one(raw).error == "signature algorithm invalid"
    assert one(raw, rules=Rules(sha1=True)).passed


def test_a_signature_of_other_signatures() -> None:
    """It signs one that was there, and that there is no other; not itself."""
    names = [b"from", b"dkim-signature", b"dkim-signature"]
    again = signed()
    first = again[: again.index(b"Received:")]
    signer = dkim.DKIM(again)
    signer.should_not_sign = set()
    raw = signer.sign(b"s", b"example.org", rsa_key().pem, include_headers=names) + again
    assert [sig.passed for sig in checked(raw).signatures] == [True, True]
    assert [sig.passed for sig in checked(first + raw).signatures] == [True, False, True]


def test_the_best_of_several() -> None:
    bad = dkim.sign(MESSAGE, b"gone", b"example.org", rsa_key().pem)
    raw = bad + signed()
    names: Mapping[str, Any] = {
        "s._domainkey.example.org": {"TXT": [rsa_key().record()]},
        "gone._domainkey.example.org": "NXDOMAIN",
    }
    found = checked(raw, FixtureResolver(names))
    assert [(sig.selector, sig.passed) for sig in found.signatures] == [("gone", False), ("s", True)]
    assert found.best is found.signatures[1]
    assert found.status == codes.OK
    assert checked(bad + MESSAGE, FixtureResolver(names)).status == codes.NOKEY


# --- DNS that fails ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "error", "status"),
    [
        ("NXDOMAIN", "key not found in DNS", codes.NOKEY),
        ("NODATA", "key not found in DNS", codes.NOKEY),
        ("SERVFAIL", "key DNS query failed", codes.KEYFAIL),
        ("TIMEOUT", "key DNS query failed", codes.KEYFAIL),
        ("REFUSED", "key DNS query failed", codes.KEYFAIL),
    ],
)
def test_dns_without_an_answer(word: str, error: str, status: int) -> None:
    found = checked(signed(), FixtureResolver({"s._domainkey.example.org": word}))
    assert (found.signatures[0].error, found.status) == (error, status)


def test_a_silent_name_server_costs_no_more_than_the_time_allowed() -> None:
    raw = b"".join(dkim.sign(MESSAGE, b"s%d" % n, b"example.org", rsa_key().pem) for n in range(5)) + MESSAGE
    with DnsServer(lambda query, transport: None) as server:
        begun = time.monotonic()
        found = checked(raw, Resolver(servers=[server.address]), Rules(timeout=1.0))
        assert time.monotonic() - begun < 20  # five lookups of their own would be 5 times the deadline of checked()
    assert [sig.error for sig in found.signatures] == ["key DNS query failed"] * 5
    assert found.status == codes.KEYFAIL


def test_a_long_answer_of_a_real_name_server() -> None:
    name = "s._domainkey.example.org"
    long = " ".join(f'"{"A" * 250}"' for _ in range(240))

    def answer(query: Message, transport: str) -> Message:
        records = [f"{name}. 60 IN TXT {long}"] if transport == "tcp" else []
        return reply(query, *records, truncated=transport == "udp")

    with DnsServer(answer) as server:
        assert one(signed(), Resolver(servers=[server.address])).error == "key DNS reply corrupt"
        assert ("tcp", name, "TXT") in server.queries


# --- hostile messages -------------------------------------------------------------------------------------------------


def test_a_hundred_signatures() -> None:
    asked = []

    class Counting(FixtureResolver):
        def lookup(self, name: str, *more: Any, **named: Any) -> list[tuple[int | None, str]]:
            asked.append(name)
            return super().lookup(name, *more, **named)

    raw = signed()
    field = raw[: raw.index(b"Received:")]
    found = checked(field * 99 + raw, Counting({"s._domainkey.example.org": {"TXT": [rsa_key().record()]}}))
    assert [sig.error for sig in found.signatures] == ["no signature error"] * 20 + [TOO_MANY] * 80
    assert {sig.flags for sig in found.signatures[20:]} == {codes.IGNORE}
    assert len(asked) == 20


def test_a_selector_of_16_kb() -> None:
    found = checked(edited("s", "a" * 16_384, signed()), zone())
    assert (found.signatures[0].error, found.status) == ("key not found in DNS", codes.NOKEY)


def test_ten_thousand_parts() -> None:
    body = b"--b\r\nContent-Type: text/plain\r\n\r\nx \r\n" * 10_000
    head = MESSAGE.partition(b"\r\n\r\n")[0]
    assert one(signed(head + b"\r\n\r\n" + body, canonicalize=(b"relaxed", b"relaxed"))).passed


# --- signatures of others ---------------------------------------------------------------------------------------------

BODIES = [b"", b"\r\n\r\n", b"text \t here \r\n\r\n", b"ends in white \t\r\n", b"a\r\n.\r\n..\r\nb\r\n"]


OTHERS = b"From: Ann <ann@example.org>\r\nTo: bob@example.com\r\nSubject: a  b\r\n\tc \r\nDate: x\r\n\r\n"


@pytest.mark.parametrize("method", ["simple/simple", "relaxed/relaxed", "relaxed/simple"])
def test_signatures_of_mail_dkim(method: str, tmp_path: Path) -> None:
    for body in BODIES:
        signature = one(mail_dkim_sign(OTHERS + body, tmp_path, rsa_key(), "rsa-sha256", method))
        assert (signature.error, f"{signature.header_canon}/{signature.body_canon}") == ("no signature error", method)


@pytest.mark.parametrize("method", ["simple/simple", "relaxed/relaxed", "relaxed/simple"])
def test_signatures_of_opendkim(method: str, tmp_path: Path) -> None:
    with opendkim.signing(tmp_path, rsa_key(), "rsa-sha256", method) as other:
        for body in BODIES:
            signature = one(other.sign(OTHERS + body))
            assert (signature.error, f"{signature.header_canon}/{signature.body_canon}") == (
                "no signature error",
                method,
            )


def test_old_signatures_of_others(tmp_path: Path) -> None:
    raw = mail_dkim_sign(OTHERS + b"x\r\n", tmp_path, rsa_key(), "rsa-sha1", "simple/simple")
    assert one(raw, rules=Rules(sha1=True)).passed
    with opendkim.signing(tmp_path, rsa_key(), "rsa-sha1", "simple/simple") as other:
        assert one(other.sign(OTHERS + b"x\r\n"), rules=Rules(sha1=True)).passed
