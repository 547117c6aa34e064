"""`lumilter replay`: saved sessions and messages against another configuration: differences, sums, exit status."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lumilter.cli.difference import Difference
from lumilter.cli.envelope import session_of
from lumilter.daemon.record import Recorder
from lumilter.daemon.session_file import header_line, step_line
from lumilter.errors import ConfigError
from lumilter.session.events import (
    CONTINUE,
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    Close,
    Connect,
    DeleteRecipient,
    EndOfMessage,
    Event,
    Helo,
    InsertHeader,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
    ReplaceBody,
)
from support.command import Lumilter, Ran
from support.policy import policy
from support.shadowed import shadowed
from support.watched import MESSAGE

Configure = Callable[[str, str], Path]
SESSION: tuple[Event, ...] = (*MESSAGE, Close())

MARK = 'function mod:validate_data(msg) msg:header("X-Mark", "{}") end'
REFUSE = """
  function mod:validate_rcptto(msg, str, ac, vctx)
    if msg:rcptto() == "{}" then vctx:set_code(550, "5.1.1 nobody") end
  end"""


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Write a policy and a configuration of that name; the configuration's path."""

    def write(name: str, text: str) -> Path:
        (tmp_path / f"{name}.lua").write_text(f'local mod = {{}}; {text}\nmsys.registerModule("{name}", mod)\n')
        file = tmp_path / f"{name}.toml"
        file.write_text(f'[milter]\nsocket = "unix:/x"\n[[script]]\nname = "{name}"\nsource = "{name}.lua"\n')
        return file

    return write


def record(directory: Path, text: str, *sessions: Sequence[Event], shadow: bool = False) -> Path:
    """Sessions as a daemon with that policy saves them; each ends like an MTA's. Where they are."""
    saved = directory / "saved"
    recorder = Recorder(str(saved))
    recorder.watch(["0.0.0.0/0", "::/0"])
    if shadow:
        with shadowed(directory, text, observe=recorder.observe) as running:
            for events in sessions:
                running.session(events)
        return saved
    with policy(directory, text) as real:
        object.__setattr__(real.engine.setup, "observe", recorder.observe)
        for events in sessions:
            conversation = real.engine.open()
            for event in events:
                conversation.handle(event)
    return saved


def objects(ran: Ran) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The sessions, and the summary."""
    *sessions, last = map(json.loads, ran.out.splitlines())
    return sessions, last["summary"]


# --- what was decided then --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        MARK.format("a"),
        REFUSE.format("bob@example.com"),
        "function mod:validate_connect(ac, vctx) vctx:set_code(550, 'no') end",
        "function mod:validate_mailfrom(str, ac, vctx) vctx.disconnect = 1 end",
        "function mod:validate_mailfrom(str, ac, vctx) vctx:set_code(550, 'no') vctx.disconnect = 1 end",
        "function mod:validate_data(msg, ac, vctx) vctx:tarpit(0.001) msg:discard() end",
        'function mod:validate_data(msg, ac, vctx) msg:header("X-Id", msg.id and "an id") end',
    ],
)
@pytest.mark.parametrize("shadow", [False, True])
def test_the_same_policy_is_no_difference(
    lumilter: Lumilter, configure: Configure, tmp_path: Path, text: str, shadow: bool
) -> None:
    saved = record(tmp_path, text, SESSION, (*SESSION[:-1], *SESSION[2:]), shadow=shadow)
    ran = lumilter("replay", saved, "--against", configure("same", text))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == ("2 sessions with 3 messages: 0 sessions differ, 0 script errors, 0 cut short, 0 unreadable\n")


def test_other_edits(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    saved = record(tmp_path, MARK.format("old"), SESSION)
    ran = lumilter("replay", saved, "--against", configure("new", MARK.format("new")))
    (file,) = saved.iterdir()
    assert ran.status == 1
    assert ran.out == (
        f"{file}\n"
        "  message 1 (QUEUE) from <ann@example.org> to <bob@example.com>\n"
        "      accept\n"
        "    -   add header X-Mark: old\n"
        "    +   add header X-Mark: new\n"
        "1 sessions with 1 messages: 1 sessions differ, 0 script errors, 0 cut short, 0 unreadable\n"
        "      1 other edits\n"
    )


def test_other_verdicts_as_json(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    saved = record(tmp_path, REFUSE.format("x"), SESSION, SESSION)
    ran = lumilter("replay", saved, "--json", "--against", configure("new", REFUSE.format("bob@example.com")))
    (first, second), summary = objects(ran)
    refused = {"action": "reject", "reply": {"code": 550, "xcode": "5.1.1", "lines": ["nobody"]}, "edits": []}
    went_on = {"action": "continue", "reply": None, "edits": []}
    assert first["differences"] == second["differences"]
    assert first["differences"] == [
        {"message": 1, "event": "Rcpt", "about": "message 1: RCPT TO:<bob@example.com>", "before": went_on,
         "after": refused},
        {"message": 1, "event": "EndOfMessage",
         "about": "message 1 (QUEUE) from <ann@example.org> to <bob@example.com>", "before": went_on, "after": refused},
    ]  # fmt: skip
    assert (first["messages"], first["cut"], first["errors"]) == (1, "", [])
    assert summary == {
        "sessions": 2, "messages": 2, "different": 2, "kinds": {"accept -> reject": 4}, "script_errors": 0, "cut": 0,
        "unreadable": 0,
    }  # fmt: skip
    assert ran.status == 1


def test_other_replies(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    text = """
      function mod:validate_mailfrom(str, ac, vctx) if #str == 0 then vctx:set_code(550, "{}") end end"""
    saved = record(tmp_path, text.format("old"), SESSION, (*SESSION[:2], Mail("<>"), Close()))
    ran = lumilter("replay", saved, "--against", configure("new", text.format("new")))
    assert "  message 1: MAIL FROM:<>\n    - reject: 550 old\n    + reject: 550 new\n" in ran.out
    assert "      1 other reply\n" in ran.out


def test_every_edit_as_text() -> None:
    edits = (
        AddHeader(b"A", b" 1"), InsertHeader(0, b"B", b"\t2"), ChangeHeader(1, b"C", b" 3"), ChangeHeader(2, b"D", b""),
        ReplaceBody(b"same\r\nnew\r\n"), AddRecipient("e@x"), DeleteRecipient("<f@x>"), ChangeSender(""),
        Quarantine("look\n"),
    )  # fmt: skip
    before = Outcome(Action.CONTINUE, None, (ReplaceBody(b"same\r\nold\r\n"),))
    shown = list(Difference(1, Helo("x"), "HELO x", before, Outcome(Action.CONTINUE, None, edits)).lines())
    assert [line for line in shown if "sha256" not in line] == [
        "  HELO x",
        "      accept",
        "    +   add header A: 1",
        "    +   insert header 0 B:\\t2",
        "    +   change header C, number 1: 3",
        "    +   delete header D, number 2",
        "          | same",
        "    -     | old",
        "    +     | new",
        "          | ",
        "    +   add recipient e@x",
        "    +   delete recipient <f@x>",
        "    +   change sender to <>",
        "    +   quarantine: look\\n",
    ]


def test_long_bodies_are_told_apart_by_their_hash() -> None:
    outcomes = [Outcome(Action.CONTINUE, None, (ReplaceBody(b"a\r\n" * 100_000 + end),)) for end in (b"1", b"2")]
    shown = list(Difference(1, Helo("x"), "HELO x", *outcomes).lines())
    assert sum(line.startswith(("    -", "    +")) for line in shown) == 2
    assert len(shown) < 110


def test_a_session_that_did_not_end(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    saved = record(tmp_path, MARK.format("a"), SESSION[:3], [SESSION[0], Helo("x" * 20_000_000), Close()])
    ran = lumilter("replay", saved, "--json", "--against", configure("same", MARK.format("a")))
    (_, second), summary = objects(ran)
    assert second["cut"].startswith("the rest would pass")
    assert (ran.status, summary["sessions"], summary["cut"]) == (0, 2, 1)


# --- two configurations -----------------------------------------------------------------------------------------------


def test_two_configurations(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    saved = record(tmp_path, MARK.format("neither"), SESSION)
    one, two = configure("one", MARK.format("same")), configure("two", MARK.format("same"))
    assert lumilter("replay", saved, "-c", one, "--against", two).status == 0
    ids = 'function mod:validate_data(msg) msg:header("X-Id", msg.id) end'
    assert lumilter("replay", saved, "-c", configure("three", ids), "--against", configure("four", ids)).status == 0
    ran = lumilter("replay", saved, "-c", one, "--against", configure("five", MARK.format("other")))
    assert ran.status == 1
    assert "-   add header X-Mark: same" in ran.out


def test_dns_is_from_fixtures(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    text = 'function mod:validate_data(m) m:header("X-A", (msys.dnsLookup("a.example", "A") or {"none"})[1]) end'
    fixtures = tmp_path / "dns.json"
    fixtures.write_text('{"a.example": {"A": ["192.0.2.7"]}}')
    saved = record(tmp_path, MARK.format("x"), SESSION)
    config = configure("dns", text)
    assert "X-A: none" in lumilter("replay", saved, "--against", config).out
    assert "X-A: 192.0.2.7" in lumilter("replay", saved, "--against", config, "--fixtures", fixtures).out


@pytest.mark.parametrize("side", ["before", "after"])
def test_script_errors(lumilter: Lumilter, configure: Configure, tmp_path: Path, side: str) -> None:
    saved = record(tmp_path, MARK.format("x"), SESSION, SESSION)
    good = configure("good", MARK.format("x"))
    bad = configure("bad", "\nfunction mod:validate_data() error('oops\\n') end")
    before, after = (bad, good) if side == "before" else (good, bad)
    ran = lumilter("replay", saved, "-c", before, "--against", after)
    assert ran.status == 70
    assert ran.out.count(f"  error {side}: bad.lua:2: oops\\n\n") == 2
    assert "2 script errors" in ran.out


# --- messages ---------------------------------------------------------------------------------------------------------

EML = b"Return-Path: <bounce@example.org>\nFrom: ann@example.org\nTo: Bob <bob@example.com>\nCc: c@example.com\n\nHi.\n"
SHOW = """
  function mod:validate_data(msg, ac, vctx)
    local function conn(name) return vctx:get(msys.core.VCTX_CONN, name) end
    msg:header("X-Seen", table.concat({ msg:mailfrom(), tostring(ac.remote_addr), conn("ehlo_string"),
      conn("auth_user") }, " "))
  end"""


def test_messages_with_an_envelope(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    mail = tmp_path / "mail" / "below"
    mail.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (mail / f"{name}.eml").write_bytes(EML)
    (mail / "a.json").write_text('{"from": "json@example.org", "to": "x@example.com", "ip": "2001:db8::1"}')
    (mail / "b.toml").write_text('from = ""\nhelo = "toml.example"\nauth = "ann"\nmacros = { i = "ABC" }\n')
    (mail / "notes.txt").write_text("not a message")
    old, new = configure("old", "function mod:validate_data() end"), configure("new", SHOW)
    ran = lumilter("replay", mail.parent, "--json", "-c", old, "--against", new)
    sessions, _ = objects(ran)
    edits = [session["differences"][0]["after"]["edits"][0]["value"] for session in sessions]
    assert edits == [
        " json@example.org 2001:db8::1.40000 client.example",
        " 192.0.2.1:40000 toml.example ann",
        " bounce@example.org 192.0.2.1:40000 client.example",
    ]
    assert sessions[1]["differences"][0]["about"] == "message 1 (ABC) from <> to <postmaster@localhost>"
    assert sessions[2]["differences"][0]["about"].endswith("to <bob@example.com> to <c@example.com>")


@pytest.mark.parametrize(
    ("headers", "sender", "recipients"),
    [
        (b"X-A: b", "<>", ["<postmaster@localhost>"]),
        (b"Return-Path: <>\nFrom: a@b\nTo: c@d", "<>", ["<c@d>"]),
        (b"From: A <a@b>\nTo: c@d,\n e@f\nCc: c@d", "<a@b>", ["<c@d>", "<e@f>"]),
        (b"from: a@b\nTo: list@x\nDelivered-To: g@h", "<a@b>", ["<g@h>"]),
        (b"X-Original-To: caf\xe9@i\nDelivered-To: g@h", "<>", ["<caf\udce9@i>"]),
        (b"From: (((\nTo: ,;:", "<>", ["<postmaster@localhost>"]),
    ],
)
def test_an_envelope_from_the_headers(tmp_path: Path, headers: bytes, sender: str, recipients: list[str]) -> None:
    (tmp_path / "m.eml").write_bytes(headers + b"\n\nbody\n")
    events = session_of(tmp_path / "m.eml")
    assert [event.address for event in events if isinstance(event, Mail)] == [sender]
    assert [event.address for event in events if isinstance(event, Rcpt)] == recipients
    assert isinstance(events[0], Connect)
    assert isinstance(events[-1], Close)
    assert [event.body for event in events if isinstance(event, EndOfMessage)] == [b"body\r\n"]


@pytest.mark.parametrize(
    "text", ["[]", "x", '{"form": "a@b"}', '{"to": 5}', '{"to": [5]}', '{"macros": {"i": 5}}', '{"ip": []}', "[" * 9999]
)
def test_an_envelope_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.eml").write_bytes(EML)
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ConfigError, match=r"m\.json: is no envelope"):
        session_of(tmp_path / "m.eml")


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_a_message_needs_two_configurations(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(EML)
    ran = lumilter("replay", tmp_path / "m.eml", "--against", configure("a", MARK.format("a")))
    assert (ran.status, ran.out) == (78, "")
    assert "name a configuration with -c" in ran.err


def test_files_that_are_no_sessions_are_told_and_the_others_are_compared(
    lumilter: Lumilter, configure: Configure, tmp_path: Path
) -> None:
    saved = record(tmp_path, MARK.format("a"), SESSION)
    (saved / "0.session").write_text("x\n")
    ran = lumilter("replay", saved, tmp_path / "gone", "--against", configure("same", MARK.format("a")))
    assert ran.status == 65
    assert "0.session:1: is no line of a saved session" in ran.err
    assert "gone: can't be read: No such file" in ran.err
    assert ran.out.startswith("1 sessions with 1 messages: 0 sessions differ")


@pytest.mark.parametrize(("side", "other"), [("-c", "--against"), ("--against", "-c")])
def test_configurations_that_do_not_load(
    lumilter: Lumilter, configure: Configure, tmp_path: Path, side: str, other: str
) -> None:
    saved, good = record(tmp_path, MARK.format("a"), SESSION), configure("good", MARK.format("a"))
    ran = lumilter("replay", saved, side, tmp_path / "nowhere.toml", other, good)
    assert (ran.status, ran.out) == (78, "")
    assert "nowhere.toml" in ran.err
    ran = lumilter("replay", saved, side, configure("bad", "x = = 1"), other, good)
    assert (ran.status, ran.out) == (70, "")
    assert "bad.toml: " in ran.err
    assert "bad.lua:1" in ran.err


def test_nothing_to_compare_is_not_the_same(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = lumilter("replay", tmp_path / "empty", "--against", configure("a", MARK.format("a")))
    assert ran.status == 78
    assert "there is no *.session" in ran.err


def test_hostile_names_and_mail_are_printable(lumilter: Lumilter, configure: Configure, tmp_path: Path) -> None:
    hostile = "a\n\x1b[31m\udce9\0"
    steps: list[tuple[Event, Outcome]] = [
        (Connect(hostile, "inet", hostile, 1), CONTINUE), (Helo(hostile), CONTINUE), (Mail(hostile), CONTINUE),
        (Rcpt(hostile), CONTINUE), (EndOfMessage(((b"\xff", b"\0"),), b"\xff", {"i": hostile}), CONTINUE),
    ]  # fmt: skip
    file = tmp_path / "a\nb.session"
    file.write_bytes(header_line({}) + b"".join(step_line(*step) for step in steps))
    text = "".join(
        f"function mod:{hook}(...) local v = select(select('#', ...), ...); v:set_code(450, 'x') end\n"
        for hook in ("validate_connect",)
    )
    for arguments in ((), ("--json",)):
        ran = lumilter("replay", file, "--against", configure("a", text), *arguments)
        assert ran.status == 1
        assert re.fullmatch(r"[\x20-\x7e\n]+", ran.out)


def test_what_the_configuration_checks_and_signs_is_part_of_it(
    lumilter: Lumilter, configure: Configure, tmp_path: Path
) -> None:
    """What [spf] and its kin find out is there for hooks and in the edits, as it is in the daemon."""
    seen = """function mod:validate_data(msg, ac, vctx)
      msg:header("X-SPF", tostring(vctx:get(msys.core.VCTX_MESS, "spf_status")))
    end"""
    old, new = configure("old", seen), configure("new", seen)
    with new.open("a") as file:
        file.write("[spf]\nenabled = true\n")
    zone = tmp_path / "dns.json"
    zone.write_text(json.dumps({"example.org": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}}))
    (tmp_path / "m.eml").write_text("From: ann@example.org\n\nHello.\n")
    (tmp_path / "m.toml").write_text('from = "ann@example.org"\nto = ["bob@example.com"]\nip = "192.0.2.1"\n')
    ran = lumilter("replay", "-c", old, "--against", new, "--fixtures", zone, "--json", tmp_path / "m.eml")
    assert ran.status == 1, ran.err
    difference = json.loads(ran.out.splitlines()[0])["differences"][0]
    added = {edit["name"]: edit["value"].strip() for edit in difference["after"]["edits"]}
    assert added["Received-SPF"].startswith("pass") and added["X-SPF"] == "pass"
