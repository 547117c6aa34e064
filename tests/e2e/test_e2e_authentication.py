"""SPF, DKIM, DMARC and Authentication-Results, through Postfix, with DNS from a zone that the test serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from support.dns_server import DnsServer
from support.mail_keys import rsa_key
from support.sink import Received
from support.site import PostfixSite, Serve, Site

LOG = """
require("msys.core")
local function shown(vctx, names)
  local out = {}
  for name in names:gmatch("%S+") do out[#out + 1] = name .. "=" .. tostring(vctx:get(msys.core.VCTX_MESS, name)) end
  print("seen " .. table.concat(out, " "))
end
function mod:validate_mailfrom(str, ac, vctx) shown(vctx, "spf_status spf_status_text") end
function mod:validate_rcptto(msg, str, ac, vctx) shown(vctx, "spf_status") end
function mod:validate_data(msg, ac, vctx)
  shown(vctx, "spf_status dkim_status dmarc_status dmarc_domain dmarc_policy dmarc_disposition dk_status")
  print("results " .. #msg:header("Authentication-Results"))
end
"""
ALL = '[spf]\nenabled = true\n[authentication]\nauthserv_id = "mx.test"\ndkim = true\ndmarc = true\ndomainkeys = true\n'
MESSAGE = (
    b"Authentication-Results: mx.test; spf=pass smtp.mailfrom=bank.example\r\n"
    b'Authentication-Results: (a comment) "MX.Test" 1; dmarc=pass\r\nAuthentication-Results: other.test; spf=fail\r\n'
    b"DomainKey-Status: good\r\n"
    b"From: Ann <ann@good.test>\r\nSubject: x\r\nDate: Mon, 1 Jun 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\n"
    b"Hello.\r\n"
)


def records() -> dict[tuple[str, str], list[str]]:
    key = rsa_key().record()
    parts = " ".join(f'"{key[at : at + 200]}"' for at in range(0, len(key), 200))
    texts = {
        "good.test": '"v=spf1 ip4:127.0.0.1 -all"', "bad.test": '"v=spf1 -all"',
        "_dmarc.good.test": '"v=DMARC1; p=reject"', "_dmarc.bad.test": '"v=DMARC1; p=quarantine"',
        "s._domainkey.good.test": parts,
    }  # fmt: skip
    return {(name, "TXT"): [f"{name}. 60 IN TXT {text}"] for name, text in texts.items()}


@pytest.fixture
def zone() -> Iterator[DnsServer]:
    with DnsServer(records()) as server:
        yield server


def config(server: DnsServer, more: str = ALL) -> str:
    return f'[dns]\nservers = ["{server.address}"]\n{more}'


def deliver(site: PostfixSite, sender: str, message: bytes = MESSAGE) -> Received:
    with site.smtp() as client:
        client.sendmail(sender, ["bob@example.com"], message)
    (arrived,) = site.arrived()
    site.sink.messages.clear()
    return arrived


def seen(log: str) -> list[str]:
    found = [line.partition("seen ")[2] for line in log.splitlines() if "seen " in line]
    return [line.partition(" module=")[0] for line in found]


def test_a_sender_who_may(site: PostfixSite, serve: Serve, zone: DnsServer) -> None:
    daemon = serve(LOG, config(zone))
    signed = dkim.sign(MESSAGE, b"s", b"good.test", rsa_key().pem, include_headers=[b"from", b"subject"]) + MESSAGE
    message = deliver(site, "ann@good.test", signed)
    ours, theirs = message.values(b"Authentication-Results")
    assert ours == (
        b"mx.test; spf=pass smtp.mailfrom=ann@good.test; dkim=pass header.d=good.test; "
        b"dmarc=pass header.from=good.test policy.dmarc=reject"
    )
    assert theirs == b"other.test; spf=fail"
    (received,) = message.values(b"Received-SPF")
    assert received.startswith(
        b"pass (mx.test: domain of good.test designates 127.0.0.1 as permitted sender) client-ip"
    )
    assert message.values(b"DomainKey-Status") == [b"no signature"]
    names = [name for name, _ in message.headers]
    assert names.index(b"Authentication-Results") < names.index(b"DKIM-Signature")
    assert seen(daemon.log) == [
        "spf_status=pass spf_status_text=",
        "spf_status=pass",
        "spf_status=pass dkim_status=pass dmarc_status=pass dmarc_domain=good.test dmarc_policy=reject "
        "dmarc_disposition=none dk_status=",
    ]
    assert "results 2" in daemon.log


def test_through_sendmail(sendmail: Site, tmp_path: Path, zone: DnsServer) -> None:
    with sendmail.serving(tmp_path / "daemon", LOG, config(zone)) as site:
        with site.smtp() as client:
            client.sendmail("ann@good.test", ["authenticated@example.com"], MESSAGE)
        message = site.to("authenticated@example.com")
    assert message.values(b"Authentication-Results") == [
        b"mx.test; spf=pass smtp.mailfrom=ann@good.test; dkim=none; "
        b"dmarc=pass header.from=good.test policy.dmarc=reject",
        b"other.test; spf=fail",
    ]
    assert message.values(b"DomainKey-Status") == [b"no signature"]
    assert len(message.values(b"Received-SPF")) == 1


def test_a_sender_who_may_not(site: PostfixSite, serve: Serve, zone: DnsServer) -> None:
    daemon = serve(LOG, config(zone))
    message = deliver(site, "ann@bad.test", MESSAGE.replace(b"good.test>", b"bad.test>"))
    assert message.values(b"Authentication-Results")[0] == (
        b"mx.test; spf=fail smtp.mailfrom=ann@bad.test; dkim=none; "
        b"dmarc=fail header.from=bad.test policy.dmarc=quarantine"
    )
    assert seen(daemon.log)[0] == "spf_status=fail spf_status_text=SPF validation failure"
    assert "dmarc_status=fail dmarc_domain=bad.test dmarc_policy=quarantine dmarc_disposition=quarantine" in daemon.log


def test_a_check_that_is_put_off_and_a_domain_that_is_not_there(
    site: PostfixSite, serve: Serve, zone: DnsServer
) -> None:
    spf = '[spf]\nenabled = true\ndelay_check = true\nadd_headers = false\ncontext_variable = "own"\n'
    policy = LOG.replace("spf_status", "own")
    daemon = serve(policy, config(zone, spf + '[authentication]\nauthserv_id = "mx.test"\n'))
    message = deliver(site, "ann@gone.test")
    assert message.values(b"Authentication-Results")[0] == b"mx.test; spf=none smtp.mailfrom=ann@gone.test"
    assert not message.values(b"Received-SPF")
    assert seen(daemon.log)[:2] == ["own= own_text=", "own=none"]


def test_clients_who_may_relay_are_not_checked(site: PostfixSite, serve: Serve, zone: DnsServer) -> None:
    daemon = serve(LOG, config(zone) + '[[context]]\nset = { can_relay = "true" }\n')
    message = deliver(site, "ann@bad.test")
    assert len(message.values(b"Authentication-Results")) == 3
    assert seen(daemon.log)[1] == "spf_status="
    assert not zone.queries


def test_dns_is_silent(site: PostfixSite, serve: Serve) -> None:
    with DnsServer(lambda query, transport: None) as server:
        daemon = serve(LOG, config(server, ALL.replace("dkim = true", "timeout = 1\ndkim = true")))
        begun = time.monotonic()
        message = deliver(site, "ann@good.test")
        assert time.monotonic() - begun < 60
        assert message.values(b"Authentication-Results")[0] == (
            b"mx.test; spf=temperror smtp.mailfrom=ann@good.test; dkim=none; dmarc=temperror header.from=good.test"
        )
        assert "spf_status=temperror spf_status_text=Temporary SPF failure" in daemon.log
