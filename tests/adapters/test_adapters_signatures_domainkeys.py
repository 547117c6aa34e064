"""DomainKeys: our signatures and those of Mail::DKIM, each checked by the other; Momentum's words for what is wrong."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from lumilter.adapters.dns import FixtureResolver
from lumilter.adapters.signatures.domainkeys import DomainKeysResult, DomainKeysSeal, verify
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.private_keys import KeyRing
from lumilter.adapters.signatures.signing import KeySource
from support.mail_keys import ed25519_key, rsa_key
from support.opendkim import mail_dkim_verify, perl
from support.signed import content

NAME = "s._domainkey.example.org"
RECORD = f"k=rsa; p={rsa_key().public}"
HEAD = (
    b"Received: from a by b\r\nReceived: from b by c\r\nFrom: Ann <ann@example.org>\r\nTo: bob@example.com\r\n"
    b"Subject: a   folded\r\n\tsubject \r\n\r\n"
)
BODIES = [b"", b"\r\n\r\n", b"Hello \t there. \r\n\r\nmore\r\n\r\n\r\n"]
MESSAGE = HEAD + BODIES[2]


def signed(raw: bytes = MESSAGE, canon: str = "nofws", **more: Any) -> bytes:
    given = {"domain": "example.org", "selector": "s", "key": KeySource(buffer=rsa_key().buffer), **more}
    seal = DomainKeysSeal(responsible="example.org", canon=canon, **given)
    ((name, value),) = seal.fields(content(raw), KeyRing(), int(time.time()))
    return name + b":" + value + b"\r\n" + raw


def checked(raw: bytes, record: str = RECORD, sender: str = "ann@example.org") -> DomainKeysResult:
    answers: Any = record if record.isupper() else {"TXT": [record]}
    return verify(content(raw), sender, FixtureResolver({NAME: answers}), 5, time.monotonic() + 30)


def mail_dkim_signs(raw: bytes, directory: Path, canon: str) -> bytes:
    (directory / "key.pem").write_bytes(rsa_key().pem)
    program = """
        use Mail::DKIM::Signer; use Mail::DKIM::DkSignature; binmode STDIN; my $text = do { local $/; <STDIN> };
        my $signer = Mail::DKIM::Signer->new(KeyFile => $ARGV[0], Policy => sub {
            my $s = shift; $s->add_signature(Mail::DKIM::DkSignature->new(Algorithm => "rsa-sha1", Method => $ARGV[1],
                Headers => $s->headers, Domain => "example.org", Selector => "s", Query => "dns"));
            return; });
        $signer->PRINT($text); $signer->CLOSE; print join("\\n", map { $_->as_string } $signer->signatures);
    """
    made = perl(program, raw, str(directory / "key.pem"), canon).strip().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert made.startswith(b"DomainKey-Signature:"), made
    return made + b"\r\n" + raw


@pytest.mark.parametrize("canon", ["nofws", "simple"])
def test_mail_dkim_takes_our_signatures(canon: str) -> None:
    for body in BODIES:
        raw = signed(HEAD + body, canon)
        assert checked(raw) == DomainKeysResult("good", "example.org")
        assert mail_dkim_verify(raw, {NAME: RECORD}) == ["pass"], body


@pytest.mark.parametrize("canon", ["nofws", "simple"])
def test_we_take_those_of_mail_dkim(canon: str, tmp_path: Path) -> None:
    for body in BODIES:
        raw = mail_dkim_signs(HEAD + body, tmp_path, canon)
        assert checked(raw).status == "good", raw


def test_what_was_changed() -> None:
    assert checked(MESSAGE) == DomainKeysResult("no signature")
    raw = signed()
    assert checked(raw.replace(b"more", b"less")).status == "bad"
    assert checked(raw.replace(b"To: bob", b"To: eve")).status == "bad"
    assert checked(raw.replace(b"Hello \t there.", b"Hello there.")).status == "good", "white space"
    assert checked(b"X-New: above\r\n" + raw).status == "good", "it signs what is below"
    assert checked(raw, sender="ann@example.net").status == "bad"
    assert checked(raw, sender="ann@sub.example.org").status == "good"


@pytest.mark.parametrize(
    ("tag", "value", "status"),
    [
        ("a", "rsa-sha256", "bad (malformed signature)"), ("c", "odd", "bad (malformed signature)"),
        ("q", "http", "bad (unsupported query type)"), ("d", "", "bad (malformed signature)"),
        ("s", "", "bad (malformed signature)"), ("h", "from", "bad"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_signature(tag: str, value: str, status: str) -> None:
    raw = re.sub(rb"\b%s=[^;]*;" % tag.encode(), b"%s=%s;" % (tag.encode(), value.encode()), signed(), count=1)
    assert checked(raw).status == status
    assert checked(b"DomainKey-Signature: junk\r\n" + MESSAGE).status == "bad (malformed signature)"
    assert checked(re.sub(rb"b=\r\n\t[A-Za-z0-9+/=\r\n\t]*\r\nReceived", b"b=!\r\nReceived", signed())).status == (
        "bad (malformed signature)"
    )


@pytest.mark.parametrize(
    ("record", "status"),
    [
        ("NXDOMAIN", "bad (no key)"), ("SERVFAIL", "error"), ("TIMEOUT", "error"), ("k=rsa; p=", "bad (key revoked)"),
        ("k=dsa; p=AAAA", "bad (key type)"), ("p=AAAA", "bad (public key)"), ("junk", "bad (public key)"),
        ("g=bob; p=KEY", "bad"), ("g=ann; p=KEY", "good"),
        ("g=; p=KEY", "good"), ("k=ed25519; p=ED", "bad (key type)"),
    ],
)  # fmt: skip
def test_keys(record: str, status: str) -> None:
    record = record.replace("KEY", rsa_key().public).replace("p=ED", f"p={ed25519_key().public}")
    assert checked(signed(), record).status == status


def test_results_and_keys_of_another_kind() -> None:
    words = [DomainKeysResult(s).method_result for s in ("good", "bad", "error", "no signature", "bad (no key)")]
    assert words == ["pass", "fail", "temperror", "none", "permerror"]
    with pytest.raises(SignatureError, match="DomainKeys only knows RSA keys"):
        signed(key=KeySource(buffer=ed25519_key().buffer))
