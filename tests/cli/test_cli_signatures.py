"""`lumilter test` with signatures: lookups from fixtures, checks and signing as the daemon would do them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lumilter.adapters.dns import FixtureResolver
from lumilter.adapters.signatures.verification import Rules, verify
from support.command import Lumilter
from support.mail_keys import rsa_key
from support.signed import content

Write = Callable[..., Path]
ZONE = {
    "example.org": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
    "_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"]},
    "s._domainkey.example.org": {"TXT": [rsa_key().record()]},
}


@pytest.fixture
def files(tmp_path: Path, script: Write) -> list[object]:
    """The options of a configuration that checks and signs, and of its fixtures."""
    keys = tmp_path / "keys/example.org"
    keys.mkdir(parents=True)
    (keys / "s.key").write_bytes(rsa_key().pem)
    (keys / "s.key").chmod(0o600)
    source = script('function mod:validate_data(msg, ac, vctx) msg:header("X-Seen", "1") end')
    (tmp_path / "lumilter.toml").write_text(
        f'[dkim]\nselector = "s"\nkey = "keys/%{{d}}/%{{s}}.key"\n[spf]\nenabled = true\n'
        f'[authentication]\nauthserv_id = "mx.test"\ndmarc = true\n[[script]]\nname = "policy"\nsource = "{source}"\n'
    )
    (tmp_path / "dns.json").write_text(json.dumps(ZONE))
    return ["-c", tmp_path / "lumilter.toml", "--fixtures", tmp_path / "dns.json", "--json", "-f", "ann@example.org"]


def test_mail_from_outside_is_checked_and_not_signed(lumilter: Lumilter, files: list[object], message: Path) -> None:
    ran = lumilter("test", *files, "-i", "192.0.2.1", message)
    assert ran.status == 0, ran.err
    assert ran.json["context"]["mess"]["spf_status"] == "pass"
    assert ran.json["context"]["mess"]["dmarc_status"] == "pass"
    names = [action["name"] for action in ran.json["actions"]]
    assert names == ["Received-SPF", "Authentication-Results", "X-Seen"]
    assert "dmarc=pass" in ran.json["actions"][1]["value"]
    ran = lumilter("test", *files, "-i", "198.51.100.1", message)
    assert ran.json["context"]["mess"]["spf_status"] == "fail"
    assert ran.json["context"]["mess"]["dmarc_disposition"] == "reject"


def test_mail_of_our_own_is_signed_and_not_checked(lumilter: Lumilter, files: list[object], message: Path) -> None:
    ran = lumilter("test", *files, "-i", "198.51.100.1", "--auth", "ann", message)
    assert ran.status == 0, ran.err
    assert "spf_status" not in ran.json["context"]["mess"]
    (kept,) = ran.json["messages"]
    raw = kept["raw"].encode("utf-8", "surrogateescape")
    found = verify(content(raw), FixtureResolver(ZONE), Rules(), time.monotonic() + 30)
    assert [signature.error for signature in found.signatures] == ["no signature error"]
    assert raw.index(b"DKIM-Signature") < raw.index(b"From:")


def test_a_lookup_without_a_fixture_is_a_result(lumilter: Lumilter, files: list[object], message: Path) -> None:
    ran = lumilter("test", *files[:-1], "ann@other.example", "-i", "192.0.2.1", message)
    assert ran.status == 0
    assert ran.json["context"]["mess"]["spf_status"] == "temperror"


def test_a_key_that_is_no_key(lumilter: Lumilter, files: list[object], message: Path, tmp_path: Path) -> None:
    (tmp_path / "keys/example.org/s.key").write_text("junk")
    ran = lumilter("test", *files, "--auth", "ann", message)
    assert (ran.status, ran.json["verdict"]) == (70, "tempfail")
    assert "no private key" in ran.json["errors"][0]["message"]
    assert "junk" not in json.dumps(ran.json)


def test_a_message_that_a_script_made_is_signed_where_the_script_says_so(
    lumilter: Lumilter, files: list[object], message: Path, script: Write
) -> None:
    script("""
      function mod:validate_data(msg, ac, vctx)
        for _, relay in ipairs({ "no", "yes" }) do
          local new = msys.core.ec_message_new()
          new:raw(msg:raw())
          if relay == "yes" then new:context_set(msys.core.ECMESS_CTX_MESS, "can_relay", "true") end
          new:inject("ann@example.org", relay .. "@example.com")
        end
      end
    """)
    config = files[1]
    assert isinstance(config, Path)
    config.write_text(config.read_text() + '[inject]\nserver = "smtp:inet:1@127.0.0.1"\n')
    ran = lumilter("test", *files, "-i", "192.0.2.1", message)
    injected = {each["recipients"][0]: each["raw"] for each in ran.json["messages"] if each["how"] == "injected"}
    assert "DKIM-Signature" not in injected["no@example.com"]
    assert "DKIM-Signature" in injected["yes@example.com"]
