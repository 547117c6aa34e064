"""daemon.trace: a record of each event of the clients that are traced, as JSON and as text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lumilter.daemon import trace
from lumilter.session.events import (
    CONTINUE,
    Abort,
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    Close,
    Connect,
    Data,
    EndOfMessage,
    Event,
    Helo,
    InsertHeader,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
    ReplaceBody,
    Reply,
)
from support.drive import CONNECT, Drive
from support.policy import BODY, HEADERS
from support.watched import MESSAGE, watched

TEXT = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.text(max_size=20)


def test_a_session(tmp_path: Path) -> None:
    text = """
      function mod:validate_connect(ac, vctx) vctx:set(vctx.VCTX_CONN, "seen", "yes") end
      function mod:validate_rcptto(msg, str, ac, vctx)
        if tostring(str):find("^carol") then vctx:set_code(550, "5.1.1 no Carol") end
      end
      function mod:validate_data_spool_each_rcpt(msg) msg:header("X-Policy", "yes") end"""
    with watched(tmp_path, text) as seen:
        seen.tracer.watch(["192.0.2.0/24"])
        conversation = seen.engine.open()
        for event in (*MESSAGE[:4], Rcpt("<carol@example.com>", ("NOTIFY=NEVER",)), *MESSAGE[4:], Close()):
            conversation.handle(event)
        by_event = {record["event"]: record for record in seen.records}
        assert [record["event"] for record in seen.records] == [
            "connect", "helo", "mail", "rcpt", "rcpt", "data", "endofmessage", "close",
        ]  # fmt: skip
        assert json.loads(json.dumps(seen.records)) == seen.records
        assert by_event["connect"]["hooks"][0]["hook"] == "validate_connect"
        assert by_event["connect"]["context"]["conn"] > 0
        assert (by_event["helo"]["hooks"], by_event["helo"]["verdict"]) == ([], "continue")
        refused = seen.records[4]
        assert refused["argument"] == "<carol@example.com> NOTIFY=NEVER"
        assert refused["decided"] == ["rcptto", "policy"]
        assert refused["reply"] == {"code": 550, "xcode": "5.1.1", "lines": ["no Carol"]}
        assert len(refused["hooks"]) == 1
        end = by_event["endofmessage"]
        assert (end["queue_id"], end["verdict"], end["decided"]) == ("QUEUE", "accept", None)
        assert end["argument"] == f"{len(HEADERS)} headers, body of {len(BODY)} bytes"
        assert end["edits"] == ["AddHeader X-Policy: yes"]
        assert end["hooks"][0]["recipient"] == "bob@example.com"
        text_of = ["\n".join(trace.lines(record)) for record in seen.records]
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d\.\d{3} 192\.0\.2\.1 \S+ rcpt <carol@example.com> NOTIFY=NEVER\n"
            r"    policy\.validate_rcptto: cont, \d+\.\d ms\n"
            r"    reject by policy in rcptto: 550 5\.1\.1 no Carol; context: \d+ conn, \d+ mess",
            text_of[4],
        )
        assert "QUEUE endofmessage" in text_of[6]
        assert "policy.validate_data_spool_each_rcpt <bob@example.com>: cont" in text_of[6]
        assert "accept; edits: AddHeader X-Policy: yes" in text_of[6]
        assert text_of[7].endswith(" close")


def test_script_errors(tmp_path: Path) -> None:
    with watched(tmp_path, "function mod:validate_connect() error('oops') end") as seen:
        seen.tracer.watch(["0.0.0.0/0", "::/0"])
        seen.session(CONNECT)
        assert seen.records[0]["errors"] == ["policy.lua:1: oops"]
        assert "    error: policy.lua:1: oops" in list(trace.lines(seen.records[0]))


def test_others_are_not_traced_and_nobody_is_by_default(tmp_path: Path) -> None:
    with watched(tmp_path, "function mod:validate_connect() end") as seen:
        seen.session(CONNECT)
        seen.tracer.watch(["198.51.100.0/24", "2001:db8::/32"])
        seen.session(CONNECT)
        assert seen.records == []
        seen.session(Connect("c", "inet6", "2001:db8::1", 1))
        assert len(seen.records) == 2
        seen.tracer.watch([])
        seen.session(Connect("c", "inet6", "2001:db8::1", 1))
        assert len(seen.records) == 2
        with pytest.raises(ValueError, match="nonsense"):
            seen.tracer.watch(["nonsense"])


@pytest.mark.parametrize(
    ("client", "networks", "is_in"),
    [
        ("192.0.2.1", ["192.0.2.1"], True),
        ("192.0.2.1", ["::/0"], False),
        ("::ffff:192.0.2.1", ["192.0.2.0/24"], True),
        ("2001:db8::1", ["0.0.0.0/0"], False),
        ("", ["0.0.0.0/0", "::/0"], True),
        ("", ["0.0.0.0/0"], False),
        ("unknown", ["192.0.2.0/24"], False),
        ("192.0.2.1", [], False),
    ],
)
def test_networks(client: str, networks: list[str], is_in: bool) -> None:
    records: list[trace.Record] = []
    tracer = trace.Tracer(records.append)
    tracer.watch(networks)
    session = Drive().session
    session.client_name = "client.test"
    session.ac.remote = type(session.ac.remote)("inet", client, 1)
    tracer.observe(session, Helo("x"), CONTINUE)
    assert bool(records) == is_in


@given(TEXT, TEXT, st.binary(max_size=20))
@example('a\nb\x1b[31m\u2028\udce9 "', "\r\n\0", b"\xff\n: x")
def test_hostile_mail_is_printable_lines(text: str, other: str, raw: bytes) -> None:
    edits = (
        AddHeader(raw, raw), InsertHeader(0, raw, raw), ChangeHeader(1, raw, raw), ReplaceBody(raw), AddRecipient(text),
        Quarantine(other),
    )  # fmt: skip
    events: list[Event] = [
        Connect(text, "inet", other, 1), Helo(text), Mail(text, (other,)), Rcpt(text), Data(), Abort(), Close(),
        EndOfMessage(((raw, raw),), raw),
    ]  # fmt: skip
    drive = Drive("validate_ehlo", decide=lambda request: text)
    drive.handle(Connect(text, "inet", other, 1, {"i": other}))
    drive.handle(Helo(text))
    drive.session.trace.begun = 0
    for event in events:
        record = trace.trace_record(drive.session, event, Outcome(Action.REJECT, Reply(550, "", (text,)), edits))
        assert json.loads(json.dumps(record)) == record
        assert all(re.fullmatch(r"[\x20-\x7e]+", line) for line in trace.lines(record))
