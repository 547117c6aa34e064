"""What lumilter signs, through Postfix and Sendmail: what arrives verifies with opendkim and Mail::DKIM, byte for byte.

The law: the judges are other people's programs; what they judge is what the next hop got.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from support import opendkim
from support.dns_server import DnsServer
from support.mail_keys import rsa_key
from support.opendkim import mail_dkim_verify
from support.sink import Received, Sink
from support.site import PostfixSite, Serve, Site

NAME = "s._domainkey.example.org"
METHODS = ("simple/simple", "relaxed/relaxed")
POLICY = """
require("msys.validate.opendkim")
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local kind = msg:rcptto():match("^(%a+)")
  msg:header("X-Policy", "a value  with   spaces")
  msg:header("Subject", "changed \\195\\169")
  msg:header("X-Old", "")
  if kind == "body" then msg:body("other body\\r\\n\\r\\ncaf\\195\\169 \\t.\\r\\n\\r\\n") end
  if kind == "own" then msg:header("X-For", msg:rcptto()) end
  if kind == "inject" then msg:inject("ann@example.org", "injected@example.com") end
end
function mod:core_final_validation(msg, ac, vctx)
  local header, body = msg:rcptto():match("+(%a+)_(%a+)@")
  local ok, why = msys.validate.opendkim.sign(msg, vctx, {
    base_domain = "example.org", selector = "s", keyfile = "KEY", header_canon = header, body_canon = body,
    headerlist = "From:To:Subject:X-Policy:X-For:X-Kept:Date:Message-ID:MIME-Version:Content-Type",
    oversign_headerlist = "Subject:From:X-Old",
  })
  assert(ok, why)
  msg:header("X-Policy", "set after the call of sign")
end
"""
HEAD = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.com\r\nSubject: x\r\nX-Old: gone\r\nX-Kept:  two  spaces \r\n"
    b"\tand a fold\r\nDate: Mon, 1 Jun 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
)
BODY = b"Hello. \r\n\r\n.dot\r\n..\r\nlast \t\r\n\r\n\r\n"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_bytes(rsa_key().pem)
    (tmp_path / "key.pem").chmod(0o600)
    return tmp_path / "key.pem"


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[opendkim.OpenDkim]:
    with opendkim.verifying(tmp_path / "judge", {NAME: rsa_key().record()}) as running:
        yield running


def deliver(site: Site, *recipients: str) -> None:
    with site.smtp() as client:
        client.ehlo()
        assert client.mail("ann@example.org", ["BODY=8BITMIME"])[0] == 250
        for recipient in recipients:
            assert client.rcpt(recipient)[0] == 250
        client.putcmd("DATA")
        assert client.getreply()[0] == 354
        client.send((HEAD + BODY).replace(b"\r\n.", b"\r\n..") + b".\r\n")
        code, text = client.getreply()
        assert code == 250, text


def judged(message: Received, judge: opendkim.OpenDkim) -> None:
    raw = message.raw
    assert message.values(b"DKIM-Signature"), raw
    assert mail_dkim_verify(raw, {NAME: rsa_key().record()}) == ["pass"], raw
    assert "dkim=pass" in judge.verify(raw), raw


def test_through_postfix(site: PostfixSite, serve: Serve, key: Path, judge: opendkim.OpenDkim) -> None:
    serve(POLICY.replace("KEY", str(key)))
    for method in METHODS:
        for kind in ("same", "body"):
            deliver(site, f"{kind}+{method.replace('/', '_')}@example.com")
    arrived = site.arrived()
    assert len(arrived) == 4
    for message in arrived:
        assert message.values(b"X-Policy") == [b"set after the call of sign"]
        assert not message.values(b"X-Old")
        judged(message, judge)


def test_through_sendmail(sendmail: Site, tmp_path: Path, key: Path, judge: opendkim.OpenDkim) -> None:
    with sendmail.serving(tmp_path / "daemon", POLICY.replace("KEY", str(key))) as site:
        for method in METHODS:
            for kind in ("samesig", "bodysig"):
                recipient = f"{kind}+{method.replace('/', '_')}@example.com"
                deliver(site, recipient)
                judged(site.to(recipient), judge)


def test_messages_that_part_ways(
    site: PostfixSite, serve: Serve, key: Path, tmp_path: Path, judge: opendkim.OpenDkim
) -> None:
    with Sink() as injector:
        serve(POLICY.replace("KEY", str(key)), inject(injector, tmp_path))
        recipients = [f"own{n}+{m.replace('/', '_')}@example.com" for n in (1, 2) for m in METHODS]
        deliver(site, *recipients)
        messages = [*site.arrived(), *injector.messages]
    assert sorted(to for message in messages for to in message.recipients) == sorted(recipients)
    for message in messages:
        assert message.values(b"X-For") == [message.recipients[0].encode()]
        judged(message, judge)
    assert len({value for message in messages for value in message.values(b"DKIM-Signature")}) == 4


def test_a_message_that_a_script_injects(
    site: PostfixSite, serve: Serve, key: Path, tmp_path: Path, judge: opendkim.OpenDkim
) -> None:
    own = f'[dkim]\nselector = "s"\nkey = "{key}"\nsign_condition = ""\n[[dkim_domain]]\ndomain = "example.org"\n'
    with Sink() as injector:
        serve(POLICY.partition("function mod:core_final_validation")[0], inject(injector, tmp_path) + own)
        deliver(site, "inject+x_y@example.com")
        (injected,) = injector.wait(1)
    judged(injected, judge)
    (kept,) = site.arrived()
    judged(kept, judge)


def inject(sink: Sink, directory: Path) -> str:
    return f'[inject]\nserver = "smtp:inet:{sink.port}@127.0.0.1"\noutbox = "{directory}/outbox"\n'


IDLE = "function mod:validate_connect() end"
LOST = '[[dkim_domain]]\ndomain = "example.org"\nselector = "lost"\n'


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Keys by domain; example.org has one."""
    keys = tmp_path / "keys/example.org"
    keys.mkdir(parents=True)
    (keys / "s.key").write_bytes(rsa_key().pem)
    (keys / "s.key").chmod(0o600)
    return f'[dkim]\nselector = "s"\nkey = "{tmp_path}/keys/%{{d}}/%{{s}}.key"\nsign_condition = ""\n'


def test_signing_without_a_script(site: PostfixSite, serve: Serve, config: str, judge: opendkim.OpenDkim) -> None:
    serve("-- no hook", config)
    deliver(site, "a@example.com")
    (message,) = site.arrived()
    judged(message, judge)


def test_a_key_that_is_lost(site: PostfixSite, serve: Serve, config: str) -> None:
    daemon = serve(IDLE, config + LOST)
    with pytest.raises(AssertionError, match=r"4\.3\.5 The message could not be signed"):
        deliver(site, "b@example.com")
    assert "No such file or directory" in daemon.log


def test_a_key_that_is_lost_where_mail_may_go(site: PostfixSite, serve: Serve, config: str) -> None:
    daemon = serve(IDLE, config + 'on_error = "accept"\n' + LOST)
    deliver(site, "c@example.com")
    assert not site.arrived()[0].values(b"DKIM-Signature")
    assert "a message leaves without a signature" in daemon.log


ARC = """
require("msys.validate.opendkim")
require("msys.validate.openarc")
require("msys.validate.dk")
function mod:validate_data_spool(msg, ac, vctx) msys.validate.openarc.verify(msg) end
function mod:core_final_validation(msg, ac, vctx)
  assert(msys.validate.dk.sign(msg, vctx, { base_domain = "example.org", selector = "s", keyfile = "KEY" }))
  assert(msys.validate.opendkim.sign(msg, vctx, { base_domain = "example.org", selector = "s", keyfile = "KEY" }))
end
function mod:core_post_final_validation(msg, ac, vctx)
  msys.validate.openarc.sign(msg, {
    signing_domain = "example.org", selector = "s", keyfile = "KEY", authservid = "mx.test",
    headerlist = "From:Subject:Date:To:DKIM-Signature",
  })
  print("arc " .. msg:context_get(msys.core.ECMESS_CTX_MESS, "arc_cv") .. " " ..
    msg:context_get(msys.core.ECMESS_CTX_MESS, "arc_seal"))
end
"""


def test_an_arc_set_over_our_own_signatures(site: PostfixSite, serve: Serve, key: Path) -> None:
    """What went round twice has a chain of two, of which dkimpy is the judge; DKIM and DomainKeys hold as well."""
    record = rsa_key().record()
    parts = " ".join(f'"{record[at : at + 200]}"' for at in range(0, len(record), 200))
    with DnsServer({(NAME, "TXT"): [f"{NAME}. 60 IN TXT {parts}"]}) as server:
        daemon = serve(ARC.replace("KEY", str(key)), f'[dns]\nservers = ["{server.address}"]\n')
        deliver(site, "a@example.com")
        (first,) = site.arrived()
        site.sink.messages.clear()
        with site.smtp() as client:
            client.sendmail("ann@example.org", ["b@example.com"], first.raw)
        (second,) = site.arrived()
    known = {NAME: rsa_key().record()}
    for number, message in enumerate((first, second), 1):
        assert len(message.values(b"ARC-Seal")) == number
        status, results, reason = dkim.arc_verify(message.raw, dnsfunc=lambda name, timeout: record.encode())
        assert (status, len(results)) == (b"pass", number), reason
        assert mail_dkim_verify(message.raw, known) == ["pass"] * (2 * number)
        assert b"dkim-signature" in message.values(b"ARC-Message-Signature")[0]
    assert [line.split("arc ")[1].split(" module")[0] for line in daemon.log.splitlines() if " arc " in line] == [
        "none ok",
        "pass ok",
    ]
    assert first.values(b"Authentication-Results") == [b"mx.test; arc=none"]
    assert second.values(b"ARC-Authentication-Results")[0] == b"i=2; mx.test; arc=pass"
