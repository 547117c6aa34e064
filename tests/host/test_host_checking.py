"""host.checking: a check that fails costs no mail, and nobody gains by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.adapters.signatures import authentication, results
from lumilter.config import load
from lumilter.daemon.engine import Engine
from lumilter.daemon.setup import setup_of
from lumilter.session.apply import apply
from lumilter.session.events import Close, Data, EndOfMessage, Helo, Mail, Rcpt
from support.dns_zone import Zone
from support.policy import BODY, CONNECT

CONFIG = """
[spf]
enabled = true
[authentication]
domainkeys = true
authserv_id = "mx.test"
[[script]]
name = "policy"
source = "policy.lua"
"""
HEADERS = (
    (b"From", b" ann@example.org"),
    (b"Authentication-Results", b" mx.test; dkim=pass"),
    (b"Authentication-Results", b" other.test; dkim=pass"),
    (b"DomainKey-Status", b" good"),
    (b"Subject", b" x"),
)


def fails(*args: object, **more: object) -> None:
    raise KeyError("nobody foresaw it")


def left(tmp_path: Path) -> list[bytes]:
    """Names of a message's fields after it was looked at, and for whom its results are."""
    (tmp_path / "policy.lua").write_text("")
    (tmp_path / "lumilter.toml").write_text(CONFIG)
    engine = Engine(setup_of(load(tmp_path / "lumilter.toml"), resolver=Zone({})))
    try:
        conversation = engine.open()
        for event in (CONNECT, Helo("client.example"), Mail("<ann@example.org>"), Rcpt("<bob@example.com>"), Data({})):
            assert conversation.handle(event).reply is None
        outcome = conversation.handle(EndOfMessage(HEADERS, BODY, {"i": "QUEUE"}))
        assert outcome.reply is None
        conversation.handle(Close())
    finally:
        engine.stop()
    fields, *_ = apply(HEADERS, BODY, "ann@example.org", ["<bob@example.com>"], outcome.edits)
    return [name if name != results.NAME else value.split(b";")[0].strip() for name, value in fields]


def test_what_a_message_claims_of_us_goes_also_where_it_can_not_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(authentication, "check_message", fails)
    assert left(tmp_path) == [b"From", b"other.test", b"Subject"]
    assert "internal error while a sender was checked" in caplog.text


def test_mail_goes_on_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("check_sender", "check_message", "claims"):
        monkeypatch.setattr(authentication, name, fails)
    assert left(tmp_path) == [b"From", b"mx.test", b"other.test", b"DomainKey-Status", b"Subject"]
    assert "internal error while fields of a message were looked at" in caplog.text
