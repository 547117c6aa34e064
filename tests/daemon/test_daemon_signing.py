"""Signing by configuration in an engine: DomainKeys beside DKIM, and by the way that mail leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.config import load
from lumilter.daemon.engine import Engine
from lumilter.daemon.setup import setup_of
from lumilter.errors import ConfigError
from lumilter.session.apply import apply
from lumilter.session.events import Close, Data, EndOfMessage, Helo, Mail, Rcpt
from support.mail_keys import ed25519_key, rsa_key
from support.mailbox import Mailbox
from support.opendkim import mail_dkim_verify
from support.policy import BODY, CONNECT, HEADERS

SCRIPT = '[[script]]\nname = "policy"\nsource = "policy.lua"\n'
BOTH = """
[dkim]
selector = "s"
key = "key.pem"
sign_condition = ""
[[dkim_domain]]
domain = "example.org"

[domainkeys]
selector = "s"
key = "%{d}.pem"
sign_condition = ""
"""
BINDINGS = """
[routing]
enabled = true
[[binding]]
name = "foo"
group = "some"
[[binding]]
name = "bar"
"""
RECORD = {"s._domainkey.example.org": f"k=rsa; p={rsa_key().public}"}


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> None:
    for name, key in (("key", rsa_key()), ("example.org", rsa_key()), ("ed", ed25519_key())):
        (tmp_path / f"{name}.pem").write_bytes(key.pem)
        (tmp_path / f"{name}.pem").chmod(0o600)


def left(
    tmp_path: Path, config: str, policy: str = "", recipients: tuple[str, ...] = ("bob@example.com",)
) -> tuple[bytes, Mailbox]:
    """The message that stays with the MTA, and what else was sent."""
    (tmp_path / "policy.lua").write_text(
        f'require("msys.extended.message") local mod = {{}} {policy} msys.registerModule("policy", mod)'
    )
    (tmp_path / "lumilter.toml").write_text(config + SCRIPT)
    mail = Mailbox()
    engine = Engine(setup_of(load(tmp_path / "lumilter.toml"), mail=mail))
    try:
        conversation = engine.open()
        commands = (Mail("<ann@example.org>"), *(Rcpt(f"<{each}>") for each in recipients), Data({}))
        for event in (CONNECT, Helo("client.example"), *commands):
            assert conversation.handle(event).reply is None
        outcome = conversation.handle(EndOfMessage(HEADERS, BODY, {"i": "QUEUE"}))
        assert outcome.reply is None, outcome
        conversation.handle(Close())
    finally:
        engine.stop()
    fields, body, *_ = apply(HEADERS, BODY, "ann@example.org", [f"<{each}>" for each in recipients], outcome.edits)
    return b"".join(b"%b:%b\r\n" % (n, v.replace(b"\n", b"\r\n")) for n, v in fields) + b"\r\n" + body, mail


def signed(raw: bytes) -> list[str]:
    """Whose signatures a message has, the topmost first."""
    head = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = {b"DKIM-Signature": "dkim", b"DomainKey-Signature": "domainkeys"}
    return [names[name] for line in head if (name := line.partition(b":")[0]) in names]


def test_both_are_made_and_hold(tmp_path: Path) -> None:
    raw, _ = left(tmp_path, BOTH)
    assert signed(raw) == ["dkim", "domainkeys"]
    assert mail_dkim_verify(raw, RECORD) == ["pass", "pass"]


def test_what_domainkeys_can_be_told(tmp_path: Path) -> None:
    """A domain that is not configured is signed for where there is a key; the list is in the message's order."""
    more = 'canon = "simple"\nheaderlist = ["Subject", "X-None"]\n'
    own = '[[dk_domain]]\ndomain = "example.org"\nbase_domain = "org"\nkey = "key.pem"\nselector = "t"\n'
    only = BOTH.partition("[domainkeys]")[2]
    raw, _ = left(tmp_path, f"[domainkeys]{only}{more}")
    assert signed(raw) == ["domainkeys"]
    assert b"c=simple;" in raw
    assert b"h=from:subject;" in raw
    assert mail_dkim_verify(raw, RECORD) == ["pass"]
    raw, _ = left(tmp_path, f"[domainkeys]{only}{own}")
    assert b"s=t; d=org;" in raw.replace(b"\r\n\t", b" ")
    assert signed(left(tmp_path, f"[domainkeys]{only}{own}sign = false\n")[0]) == []
    assert signed(left(tmp_path, f"[domainkeys]{only}".replace('condition = ""', 'condition = "auth_user"'))[0]) == []
    conditions = f"[domainkeys]{only}{own}sign_condition = 'none'\n".replace(
        'condition = ""', 'condition = "auth_user"'
    )
    assert signed(left(tmp_path, conditions)[0]) == ["domainkeys"]
    (tmp_path / "example.org.pem").unlink()
    assert signed(left(tmp_path, f"[domainkeys]{only}")[0]) == []


SCOPES = """
[[signing_scope]]
binding_group = "some"
opendkim_sign = true
[[signing_scope]]
binding = "foo"
domain = "no.example"
opendkim_sign = false
[[signing_scope]]
domain = "no.example"
domainkeys = false
"""
BIND = "function mod:validate_set_binding(msg) msg:binding('{}') end"


@pytest.mark.parametrize(
    ("binding", "recipient", "wanted"),
    [
        ("foo", "b@yes.example", ["dkim", "domainkeys"]),
        ("foo", "b@no.example", []),
        ("bar", "b@yes.example", ["domainkeys"]),
        ("bar", "b@No.Example", []),
        ("default", "b@yes.example", ["domainkeys"]),
    ],
)
def test_by_binding_and_domain(tmp_path: Path, binding: str, recipient: str, wanted: list[str]) -> None:
    config = BOTH.replace('key = "key.pem"', 'key = "key.pem"\nsign = false') + BINDINGS + SCOPES
    raw, _ = left(tmp_path, config, BIND.format(binding), (recipient,))
    assert signed(raw) == wanted


def test_recipients_whose_messages_are_signed_otherwise_part_ways(tmp_path: Path) -> None:
    config = BOTH.partition("[domainkeys]")[0] + '[[signing_scope]]\ndomain = "no.example"\nopendkim_sign = false\n'
    raw, mail = left(tmp_path, config, "", ("a@yes.example", "b@yes.example", "c@no.example"))
    assert signed(raw) == ["dkim"]
    (other,) = mail.sent
    assert other.recipients == ("c@no.example",)
    assert signed(b"".join(other.content)) == []


def test_injected_messages_are_signed_for_each_domain(tmp_path: Path) -> None:
    config = BOTH.partition("[domainkeys]")[0] + '[[signing_scope]]\ndomain = "no.example"\nopendkim_sign = false\n'
    inject = "function mod:validate_data(m) assert(m:inject('s@x', 'a@yes.example, b@no.example, c@yes.example')) end"
    _, mail = left(tmp_path, config, inject)
    found = {tuple(recipients): signed(raw) for _, recipients, raw in mail.promised}
    assert found == {("a@yes.example", "c@yes.example"): ["dkim"], ("b@no.example",): []}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ('[[signing_scope]]\nbinding = "x"\n', 'there is no [[binding]] "x"'),
        ('[[signing_scope]]\nbinding_group = "x"\n', 'there is no [[binding]] of a group "x"'),
        ("[[signing_scope]]\nopendkim_sign = true\n", "[dkim] says no selector and no key to sign with"),
        ("[[signing_scope]]\ndomainkeys = true\n", "[domainkeys] says no selector and no key to sign with"),
        ('[domainkeys]\nselector = "s"\nkey = "ed.pem"\n', "ed.pem: DomainKeys only knows RSA keys"),
        ('[domainkeys]\nselector = "s"\nkey = "none.pem"\n', "none.pem: No such file or directory"),
        ('[[dk_domain]]\ndomain = "a.example"\n' * 2, "two [[dk_domain]] tables for a.example"),
    ],
)
def test_what_can_not_be(tmp_path: Path, config: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        left(tmp_path, config)
    assert problem in str(error.value)
