"""DKIM signatures made: they verify here and with dkimpy, opendkim and Mail::DKIM; every option; who may read keys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
import pytest

from lumilter.adapters.dns import FixtureResolver
from lumilter.adapters.signatures.content import Digests
from lumilter.adapters.signatures.errors import KeyUnreadable, SignatureError
from lumilter.adapters.signatures.fields import covered, names_of
from lumilter.adapters.signatures.keys import tags_of
from lumilter.adapters.signatures.options import ForDomain, General, Signing
from lumilter.adapters.signatures.private_keys import KeyRing, path_of
from lumilter.adapters.signatures.service import Signatures
from lumilter.adapters.signatures.verification import Rules, Signature, verify
from support import opendkim
from support.mail_keys import MailKey, ed25519_key, rsa_key
from support.opendkim import mail_dkim_verify
from support.signed import content

NAME = "s._domainkey.example.org"
HEAD = (
    b"Received: from a by b; Mon, 1 Jun 2026 10:00:00 +0000\r\nReceived: from b by c\r\nFrom: Ann <ann@example.org>\r\n"
    b"To: bob@example.com,\r\n\tcarol@example.com\r\nSubject:  a   folded\r\n\tsubject \r\nDate: x\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
)
BODIES = [b"", b"\r\n\r\n", b"Hello \t there. \r\n\r\ncaf\xc3\xa9\r\n\r\n\r\n", b".\r\n..\r\n"]
MESSAGE = HEAD + BODIES[2]


def signed(raw: bytes = MESSAGE, key: MailKey | None = None, **options: Any) -> bytes:
    """The message with what the options, beside a key, a selector and no more, put before it."""
    given = {"keybuf": (key or rsa_key()).buffer, "selector": "s", **options}
    signatures = Signatures()
    made = content(raw)
    seal = signatures.asked({k: v for k, v in given.items() if v is not None}, "example.org", strict=False)
    fields = signatures.seal(made.fields, made.body, [seal])
    return b"".join(name + b":" + value.replace(b"\n", b"\r\n") + b"\r\n" for name, value in fields) + raw


def tags(raw: bytes) -> dict[str, str]:
    """Those of the topmost signature, white space left out."""
    name, value = content(raw).fields[0]
    assert name == b"DKIM-Signature"
    return {tag: re.sub(r"\s", "", text) for tag, text in tags_of(value).items()}


def checked(raw: bytes, key: MailKey | None = None, rules: Rules = Rules(sha1=True)) -> Signature:  # noqa: B008
    resolver = FixtureResolver({NAME: {"TXT": [(key or rsa_key()).record()]}})
    return verify(content(raw), resolver, rules, time.monotonic() + 30).signatures[0]


METHODS = [(header, body) for header in ("simple", "relaxed") for body in ("simple", "relaxed")]


@pytest.mark.parametrize("digest", ["rsa-sha256", "rsa-sha1"])
def test_others_take_our_signatures(digest: str, tmp_path: Path) -> None:
    with opendkim.verifying(tmp_path, {NAME: rsa_key().record()}) as other:
        for header, body in METHODS:
            for text in BODIES:
                raw = signed(HEAD + text, digest=digest, header_canon=header, body_canon=body, lifetime=1)
                assert checked(raw).error == "no signature error"
                assert dkim.verify(raw, dnsfunc=lambda name, timeout: rsa_key().record().encode())
                assert "dkim=pass" in other.verify(raw), (header, body, text)
                assert mail_dkim_verify(raw, {NAME: rsa_key().record()}) == ["pass"]


def test_opendkim_takes_our_ed25519_signatures(tmp_path: Path) -> None:
    raw = signed(key=ed25519_key())
    assert tags(raw)["a"] == "ed25519-sha256"
    assert checked(raw, ed25519_key()).passed
    with opendkim.verifying(tmp_path, {NAME: ed25519_key().record()}) as other:
        assert "dkim=pass" in other.verify(raw)


def test_every_option(tmp_path: Path) -> None:
    (tmp_path / "sub.example.org").mkdir()
    file = tmp_path / "sub.example.org/sel.key"
    file.write_bytes(rsa_key().pem)
    file.chmod(0o600)
    made = content(MESSAGE)
    signatures = Signatures()
    options = {
        "signing_domain": "example.org", "selector": "sel", "keyfile": f"{tmp_path}/%{{d}}/%{{s}}.key",
        "header_canon": "relaxed", "body_canon": "relaxed", "digest": "rsa-sha256",
        "headerlist": {1: "To", 2: "Subject", 3: "X-None"}, "oversign_headerlist": "From:Subject",
        "skip_headerlist": "X-None", "identity": "Ann =@sub.example.org", "body_length_limit": True, "lifetime": 2,
        "copy_headers": True,
    }  # fmt: skip
    seal = signatures.asked(options, "sub.example.org", strict=False)
    ((name, value),) = signatures.seal(made.fields, made.body, [seal])
    raw = name + b":" + value.replace(b"\n", b"\r\n") + b"\r\n" + MESSAGE
    found = tags(raw)
    assert found["d"] == "example.org"
    assert found["s"] == "sel"
    assert found["c"] == "relaxed/relaxed"
    assert found["h"].split(":") == ["from", "to", "subject", "from", "subject"]
    assert found["i"] == "Ann=20=3D@sub.example.org"
    assert found["l"] == str(Digests(made).body_size("relaxed"))
    assert int(found["x"]) - int(found["t"]) == 7200
    assert "To:bob@example.com,=0D=0A=09carol@example.com|" in found["z"]
    resolver = FixtureResolver({"sel._domainkey.example.org": {"TXT": [rsa_key().record()]}})
    (signature,) = verify(content(raw + b"added\r\n"), resolver, Rules(), time.monotonic() + 30).signatures
    assert signature.passed
    assert signature.identity == "Ann =@sub.example.org"
    assert all(len(line) < 79 for line in raw[: raw.index(b"Received:")].split(b"\r\n"))


def test_what_somebody_adds() -> None:
    raw = signed(oversign_headerlist="Subject", headerlist="From:Subject")
    head, _, rest = raw.partition(b"Received:")
    assert checked(head + b"X-New: y\r\nReceived:" + rest).passed
    assert not checked(head + b"Subject: y\r\nReceived:" + rest).passed
    assert not checked(raw.replace(b"Received: from b", b"Subject: y\r\nReceived: from b")).passed


@pytest.mark.parametrize(
    ("wanted", "strict", "names"),
    [
        ("from:to", False, "from to"),
        ("to", False, "from to"),
        ("received", False, "from received received"),
        ("received", True, "from received"),
        ("received?", False, "from received"),
        ("received*", False, "from received received"),
        ("received+", True, "from received received"),
        ("x-none", False, "from"),
        ("x-none", True, "from x-none"),
        ("x-none?", True, "from"),
        ("x-none+", True, "from"),
        ("x-none*", False, "from x-none"),
        ("Received+:X-Example*:From:Subject?:Received", True, "received received x-example from subject received"),
        ("x-lumilter-route, from; bad", False, "from"),
        ("from to,subject", False, "from to subject"),
    ],
)
def test_lists_of_headers(wanted: str, strict: bool, names: str) -> None:
    assert covered(Digests(content(MESSAGE)), names_of(wanted), (), (), strict) == tuple(names.split())


def test_all_from_fields_are_covered() -> None:
    raw = signed(b"From: eve@example.com\r\n" + MESSAGE, headerlist="from?")
    assert tags(raw)["h"] == "from:from"
    assert checked(raw).passed


def test_the_length_that_is_signed() -> None:
    assert tags(signed(body_length_limit=5))["l"] == "5"
    assert tags(signed(body_length_limit=10**9))["l"] == tags(signed(body_length_limit="true"))["l"]
    for off in (0, False, "false", None):
        assert "l" not in tags(signed(body_length_limit=off))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keybuf": None}, "no key: give options.keyfile or options.keybuf, or set [dkim] key"),
        ({"selector": None}, "no selector: give options.selector, or set [dkim] selector"),
        ({"header_canon": "nofws"}, 'header_canon is "simple" or "relaxed", not \'nofws\''),
        ({"digest": "md5"}, "digest is one of rsa-sha1, rsa-sha256, ed25519-sha256, not 'md5'"),
        ({"identity": "@example.com"}, "identity '@example.com' is not in the domain example.org"),
        ({"base_domain": "caf\xe9.example"}, "domain and selector are ASCII: write them as xn-- names"),
        ({"headerlist": 5}, "options.headerlist is not a list of header names"),
        ({"selector": 5}, "options.selector is not a string"),
        ({"lifetime": -1}, "options.lifetime is not a number of hours"),
        ({"digest": "ed25519-sha256"}, "digest ed25519-sha256 does not fit a key of kind rsa"),
        ({"keybuf": "AAAA"}, "keybuf: no private key without a passphrase, in PEM form"),
    ],
)
def test_what_can_not_be_signed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SignatureError) as caught:
        signed(**options)
    assert str(caught.value) == message


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666, 0o777])
def test_a_key_that_others_can_get_at(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(rsa_key().pem)
    file.chmod(mode)
    with pytest.raises(KeyUnreadable, match=f"a private key with mode {mode:04o}"):
        KeyRing().of_file(str(file))
    file.chmod(0o640)
    assert KeyRing().of_file(str(file)).kind == "rsa"


@pytest.mark.parametrize(
    "text", [b"", b"junk", b"-----BEGIN RSA PRIVATE KEY-----\n????\n-----END RSA PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(text)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(KeyUnreadable, match="no private key without a passphrase") as caught:
        KeyRing().of_file(str(tmp_path / "key"))
    assert "junk" not in str(caught.value)
    with pytest.raises(KeyUnreadable, match="not a file"):
        KeyRing().of_file(str(tmp_path))
    with pytest.raises(KeyUnreadable, match="No such file") as missing:
        KeyRing().of_file(str(tmp_path / "none"))
    assert missing.value.missing


def test_a_key_is_read_once_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(rsa_key().pem)
    file.chmod(0o600)
    ring = KeyRing()
    key = ring.of_file(str(file))
    file.unlink()
    assert ring.of_file(str(file)) is key
    seal = Signing().of_script({"keybuf": rsa_key().buffer, "selector": "s"}, "example.org", False)
    assert rsa_key().buffer[:40] not in repr(seal) + repr(key) + repr(ring)


@pytest.mark.parametrize("domain", ["../etc", "a/b", "a..b", "", ".", "a b", "-", "x\0"])
def test_a_domain_that_would_lead_elsewhere(domain: str) -> None:
    with pytest.raises(KeyUnreadable, match="can't be part of a path"):
        path_of("/keys/%{d}/%{s}.key", domain, "s")
    assert path_of("/keys/%{d}/%{s}.key", "Example.ORG", "S1") == "/keys/example.org/s1.key"


# --- by configuration -------------------------------------------------------------------------------------------------

Signed = Callable[[str, str], bool]


def signing(tmp_path: Path, **domains: ForDomain) -> Signing:
    for name in ("example.org", "corp.example.org"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s.key").write_bytes(rsa_key().pem)
        (tmp_path / name / "s.key").chmod(0o600)
    general = General(selector="s", key=f"{tmp_path}/%{{d}}/%{{s}}.key")
    return Signing(general, {name.replace("_", "."): domain for name, domain in domains.items()})


def made_for(rules: Signing, domain: str, *variables: str) -> str:
    """The d= of the signature of that domain's mail; "" for none."""
    signatures = Signatures(signing=lambda: rules)
    seals = signatures.configured(domain, lambda name: name in variables)
    fields = signatures.seal(content(MESSAGE).fields, b"x\r\n", seals)
    return tags_of(fields[0][1])["d"] if fields else ""


def test_domains_that_have_a_key(tmp_path: Path) -> None:
    rules = signing(tmp_path)
    assert made_for(rules, "example.org", "can_relay") == "example.org"
    assert made_for(rules, "example.org") == "", "the client may not relay"
    assert made_for(rules, "example.net", "can_relay") == "", "no key"
    assert made_for(rules, "../example.org", "can_relay") == ""
    assert made_for(rules, "", "can_relay") == ""


def test_domains_with_rules_of_their_own(tmp_path: Path) -> None:
    rules = signing(
        tmp_path,
        corp_example_org=ForDomain(base_domain="example.org"),
        off_example_org=ForDomain(sign=False),
        free_example_org=ForDomain(base_domain="example.org", condition=""),
        auth_example_org=ForDomain(base_domain="example.org", condition="auth_user"),
        lost_example_org=ForDomain(selector="other"),
    )
    assert made_for(rules, "corp.example.org", "can_relay") == "example.org"
    assert made_for(rules, "off.example.org", "can_relay") == ""
    assert made_for(rules, "free.example.org") == "example.org", "the signing domain's key"
    assert made_for(rules, "auth.example.org", "can_relay") == ""
    assert made_for(rules, "auth.example.org", "auth_user") == "example.org"
    with pytest.raises(SignatureError, match="No such file"):
        made_for(rules, "lost.example.org", "can_relay")


def test_mail_that_may_leave_without_a_signature(tmp_path: Path) -> None:
    rules = signing(tmp_path, lost_example_org=ForDomain(selector="other"))
    signatures = Signatures(signing=lambda: rules, unsigned=True)
    seals = signatures.configured("lost.example.org", lambda name: True)
    assert signatures.seal(content(MESSAGE).fields, b"x\r\n", seals) == []


def test_domains_of_any_kind(tmp_path: Path) -> None:
    key = signing(tmp_path).general.key
    rules = Signing(General(selector="s", key=key), {"xn--caf-dma.example": ForDomain(base_domain="example.org")})
    assert made_for(rules, "caf\xe9.example", "can_relay") == "example.org"
    for odd in ("\udce9.example", "a" * 300 + ".example", "a." * 200 + "x", "\u2028", "x\0y", "[192.0.2.1]"):
        assert made_for(rules, odd, "can_relay") == ""


def test_what_is_configured_and_can_not_be_is_found_when_mail_is_to_be_signed(tmp_path: Path) -> None:
    rules = signing(tmp_path, example_org=ForDomain(digest="odd"))
    with pytest.raises(SignatureError, match="digest is one of"):
        made_for(rules, "example.org", "can_relay")


def test_a_configured_identity_is_for_its_own_domain(tmp_path: Path) -> None:
    rules = signing(tmp_path)
    general = General(selector="s", key=rules.general.key, identity="@mail.example.org")
    other = Signing(general, {"b.test": ForDomain(base_domain="b.test", key=f"{tmp_path}/example.org/s.key")})
    for domain, identity in (("example.org", "@mail.example.org"), ("b.test", "")):
        seal = other.of_message(domain, lambda name: True)
        assert seal is not None
        assert seal.identity == identity
