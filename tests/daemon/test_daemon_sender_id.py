"""[senderid] in an engine: its variables, its fields, and the texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lumilter.config import load
from lumilter.daemon.engine import Engine
from lumilter.daemon.setup import setup_of
from lumilter.session.events import AddHeader, Close, Connect, Data, EndOfMessage, Helo, InsertHeader, Mail, Rcpt
from support.dns_zone import Zone
from support.policy import BODY, CONNECT

CONFIG = """
[senderid]
enabled = true
{}
[authentication]
authserv_id = "mx.test"
[[script]]
name = "policy"
source = "policy.lua"
"""
POLICY = """
require("msys.core") require("msys.extended.vctx")
local mod = {}
local function told(vctx, ...)
  for _, name in ipairs({ ... }) do print(name .. "=" .. tostring(vctx:get(msys.core.VCTX_MESS, name))) end
end
function mod:validate_mailfrom(str, ac, vctx) told(vctx, "senderid_status", "senderid_status_text", "spf_status") end
function mod:validate_data(msg, ac, vctx) told(vctx, "senderid_pra_status", "own_pra") end
msys.registerModule("policy", mod)
"""
NAMES: dict[str, Any] = {
    "example.org": {"TXT": ["spf2.0/pra -all", "v=spf1 ip4:192.0.2.1 -all"]},
    "example.net": {"TXT": ["spf2.0/mfrom -all", "v=spf1 +all"]},
}


def told(
    tmp_path: Path, sender: str, origin: str, more: str = "", connect: Connect = CONNECT
) -> tuple[list[str], dict[bytes, bytes]]:
    """What the script saw, and the fields that were added."""
    (tmp_path / "policy.lua").write_text(POLICY)
    (tmp_path / "lumilter.toml").write_text(CONFIG.format(more))
    printed: list[str] = []
    setup = setup_of(
        load(tmp_path / "lumilter.toml"), resolver=Zone(NAMES), print_line=lambda here, text: printed.append(text)
    )
    engine = Engine(setup)
    try:
        conversation = engine.open()
        for event in (connect, Helo("client.example"), Mail(f"<{sender}>"), Rcpt("<bob@example.com>"), Data({})):
            assert conversation.handle(event).reply is None
        headers = ((b"From", b" " + origin.encode()), (b"Subject", b" x"))
        outcome = conversation.handle(EndOfMessage(headers, BODY, {"i": "QUEUE"}))
        conversation.handle(Close())
    finally:
        engine.stop()
    return printed, {edit.name: edit.value for edit in outcome.edits if isinstance(edit, AddHeader | InsertHeader)}


def test_both_senders(tmp_path: Path) -> None:
    printed, fields = told(tmp_path, "ann@example.org", "Ann <ann@example.org>")
    assert printed == [
        "senderid_status=pass", "senderid_status_text=", "spf_status=", "senderid_pra_status=fail", "own_pra=",
    ]  # fmt: skip
    assert fields[b"Authentication-Results"].split() == b"mx.test; sender-id=fail header.from=ann@example.org".split()
    assert fields[b"Received-SPF"].startswith(b" fail (mx.test: domain of example.org does not designate 192.0.2.1")
    assert b"identity=pra" in fields[b"Received-SPF"]


def test_what_it_can_be_told(tmp_path: Path) -> None:
    more = 'context_pra_variable = "own_pra"\nadd_headers = false\nadd_authentication_results = false\n'
    more += 'fail_fallback_string = "No."\ndefault_pra_rule = "-all"\n[spf]\nenabled = true\nadd_headers = false'
    printed, fields = told(tmp_path, "ann@example.net", "ann@none.example.org", more)
    assert printed == [
        "senderid_status=fail", "senderid_status_text=No.", "spf_status=pass",
        "senderid_pra_status=", "own_pra=none",
    ]  # fmt: skip
    assert set(fields) == {b"Authentication-Results"}
    assert b"sender-id" not in fields[b"Authentication-Results"]


@pytest.mark.parametrize("origin", ["a@example.org, b@example.org", "nobody", "x; sender-id=pass"])
def test_a_message_without_one(tmp_path: Path, origin: str) -> None:
    printed, fields = told(tmp_path, "ann@example.org", origin)
    assert "senderid_pra_status=permerror" in printed
    assert fields[b"Authentication-Results"].split() == b"mx.test; sender-id=permerror".split()
    assert b"Received-SPF" not in fields


def test_a_client_without_an_address(tmp_path: Path) -> None:
    printed, fields = told(tmp_path, "ann@example.org", "ann@example.org", connect=Connect("localhost", "unix", "", 0))
    assert "senderid_status=" in printed
    assert "senderid_pra_status=" in printed
    assert not fields
