"""daemon.log: one line for each record, whatever is in the mail, as text and as JSON."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lumilter.calls import Here
from lumilter.config.sections.observing import Log
from lumilter.daemon import log
from lumilter.errors import ScriptError
from lumilter.session.events import Abort, Action, Close, Data, EndOfMessage, Event, Helo, Mail, Outcome, Rcpt
from lumilter.session.steps import RunHook
from support.drive import BODY, CONNECT, Drive

TEXT = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.text(max_size=30)
HOSTILE = 'a\nb\r\n\x1b[31m\0\x85\u2028\udce9 x="y" <7>'


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    """The file that the log goes to; the root logger is put back afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield tmp_path / "log"
    root.handlers[:] = handlers
    root.setLevel(level)


def record(text: str, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("lumilter.message", level, __file__, 1, "%s", (text,), None)
    made.created, made.msecs = 1_780_000_000.25, 250.0
    made.fields = fields
    return made


# --- lines ------------------------------------------------------------------------------------------------------------


@given(TEXT, TEXT)
@example(HOSTILE, HOSTILE)
def test_every_record_is_one_printable_line(text: str, value: str) -> None:
    made = record(text, helo=value, to=[value, value], ms={value: 1.5}, name=value.encode("utf-8", "surrogateescape"))
    for json_lines in (False, True):
        line = log.Formatter(json_lines, stamp=True, priority=True).format(made)
        assert re.fullmatch(r"[\x20-\x7e]+", line)


@given(TEXT, TEXT)
@example(HOSTILE, HOSTILE)
def test_json_gives_everything_back(text: str, value: str) -> None:
    found = json.loads(log.Formatter(True, stamp=True, priority=False).format(record(text, helo=value, to=[value])))
    assert found == {
        "time": "2026-05-28T20:26:40.250Z", "level": "info", "logger": "lumilter.message", "message": text,
        "helo": value, "to": [value],
    }  # fmt: skip


@given(TEXT)
@example('x" to="y')
@example("x to=y")
def test_a_value_can_t_look_like_another_field(value: str) -> None:
    line = log.Formatter(False, stamp=False, priority=False).format(record("message", helo=value, end="1"))
    match = re.fullmatch(r'message(?: helo=([^" ]+|"(?:[^"\\]|\\.)*"))? end=1', line)
    assert match
    assert bool(match[1]) == (value != "")


@pytest.mark.parametrize(
    ("level", "stamp", "priority", "line"),
    [
        (logging.INFO, False, False, "text a=1"),
        (logging.INFO, True, False, "2026-05-28T20:26:40.250Z text a=1"),
        (logging.INFO, False, True, "<6>text a=1"),
        (logging.WARNING, False, True, "<4>warning: text a=1"),
        (logging.ERROR, False, True, "<3>error: text a=1"),
        (logging.DEBUG, False, True, "<7>text a=1"),
        (logging.CRITICAL, True, True, "<2>2026-05-28T20:26:40.250Z critical: text a=1"),
    ],
)
def test_text_lines(level: int, stamp: bool, priority: bool, line: str) -> None:
    made = record("text", level, a=1, empty="", none=None, list=[], dict={})
    assert log.Formatter(False, stamp, priority).format(made) == line


def test_values() -> None:
    made = record("m", plain="a.b-c@d", spaced="a b", quote='a"b', list=["a", "b c"], dict={"x": 1}, flag=False, zero=0)
    assert log.Formatter(False, False, False).format(made) == (
        'm plain=a.b-c@d spaced="a b" quote="a\\"b" list="a,b c" dict=x:1 flag=False zero=0'
    )


def test_an_exception_stays_on_its_line(lines: Path) -> None:
    log.configure(Log(format="text", target=str(lines), level="info"))
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = lines.read_text().splitlines()
    assert "error: failed\\nTraceback" in line
    assert "first\\nsecond" in line


# --- targets ----------------------------------------------------------------------------------------------------------


def test_levels_and_a_file_that_is_rotated(lines: Path) -> None:
    log.configure(Log(format="json", target=str(lines), level="warning"))
    logging.getLogger("x").info("not written")
    logging.getLogger("x").warning("one")
    lines.rename(lines.with_suffix(".1"))
    logging.getLogger("x").warning("two")
    assert [json.loads(line)["message"] for line in lines.read_text().splitlines()] == ["two"]


@pytest.mark.parametrize(("journal", "line"), [(None, r"\d{4}-.*Z text\n"), ("8:1", r"<6>text\n")])
def test_standard_error_and_the_journal(
    lines: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], journal: str | None, line: str
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if journal:
        monkeypatch.setenv("JOURNAL_STREAM", journal)
    log.configure(Log(format="text", target="stderr", level="info"))
    logging.getLogger("x").info("text")
    assert re.fullmatch(line, capsys.readouterr().err)


# --- what is logged ---------------------------------------------------------------------------------------------------


def logged(lines: Path, drive: Drive, *events: Event) -> list[dict[str, object]]:
    """Run the events, observed; the log's lines."""
    log.configure(Log(format="json", target=str(lines), level="info"))
    for event in events:
        log.observe(drive.session, event, drive.handle(event))
    return [json.loads(line) for line in lines.read_text().splitlines()]


def transaction(helo: str = "client.example") -> tuple[Event, ...]:
    return (
        CONNECT, Helo(helo), Mail("<ann@example.org>"), Rcpt("<bob@x>"), Rcpt("<carol@x>"), Data({"i": "QUEUE"}),
        EndOfMessage(((b"A", b" 1"),), BODY, {"i": "QUEUE"}), Close(),
    )  # fmt: skip


def test_a_message_is_one_line(lines: Path) -> None:
    def edit(request: RunHook) -> None:
        request.args[0].content.headers.append("X-A\x7e", ["1"])  # type: ignore[attr-defined]

    (line,) = logged(lines, Drive("validate_data", decide=edit), *transaction())
    assert line["message"] == "endofmessage"
    assert line["verdict"] == "accept"
    assert (line["queue_id"], line["client"], line["helo"]) == ("QUEUE", "192.0.2.1", "client.example")
    assert (line["from"], line["to"], line["reply"]) == ("ann@example.org", ["bob@x", "carol@x"], "")
    assert line["edits"] == ["AddHeader:X-A~"]
    assert list(line["ms"]) == ["policy.validate_data"]  # type: ignore[call-overload]
    assert line["errors"] == 0
    assert line["msg_id"]


def test_a_refusal_and_a_script_error_are_lines_of_their_own(lines: Path) -> None:
    def decide(request: RunHook) -> object:
        if request.hook.name == "validate_rcptto" and str(request.args[1]) == "bob@x":
            request.args[3].code, request.args[3].note = 550, "5.7.1 one\ntwo"  # type: ignore[attr-defined]
        return ScriptError("failed\nbadly", "policy.lua", 7, "trace") if request.hook.name == "validate_data" else None

    found = logged(lines, Drive("validate_rcptto", "validate_data", decide=decide), *transaction())
    refused, error, message = found
    assert (refused["message"], refused["verdict"], refused["reply"]) == ("rcpt", "reject", "550 5.7.1 one / two")
    assert refused["to"] == "<bob@x>"
    assert (error["level"], error["script"], error["line"]) == ("error", "policy.lua", 7)
    assert error["message"] == "policy.lua:7: failed\nbadly"
    assert (message["verdict"], message["errors"], message["to"]) == ("tempfail", 1, ["carol@x"])


def test_a_discard_says_why(lines: Path) -> None:
    def decide(request: RunHook) -> None:
        request.args[0].discarded = "550 my reason"  # type: ignore[attr-defined]

    (line,) = logged(lines, Drive("validate_data", decide=decide), *transaction())
    assert (line["verdict"], line["reason"]) == ("discard", "550 my reason")


def test_hostile_mail_is_still_one_line(lines: Path) -> None:
    log.configure(Log(format="text", target=str(lines), level="info"))
    drive = Drive("validate_data")
    for event in transaction(HOSTILE):
        log.observe(drive.session, event, drive.handle(event))
    log.script_line(Here("ehlo", "policy", drive.session), HOSTILE)
    assert len(lines.read_bytes().splitlines()) == 2
    assert re.fullmatch(rb"[\x20-\x7e\n]+", lines.read_bytes())


def test_a_printed_line_names_its_module(lines: Path) -> None:
    log.configure(Log(format="json", target=str(lines), level="info"))
    log.script_line(Here("init", "policy", None), "hello\tthere")
    (line,) = (json.loads(text) for text in lines.read_text().splitlines())
    assert (line["message"], line["module"], line["phase"], line["queue_id"]) == ("hello\tthere", "policy", "init", "")


def test_the_trace_is_emptied_at_the_end_of_a_transaction(lines: Path) -> None:
    drive = Drive("validate_ehlo", "validate_mailfrom")
    logged(lines, drive, CONNECT, Helo("x"), Mail("<a@b>"))
    assert len(drive.session.trace.runs) == 2
    logged(lines, drive, Abort())
    assert drive.session.trace.runs == []


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (Action.CONTINUE, "accept"), (Action.ACCEPT, "accept"), (Action.REJECT, "reject"),
        (Action.TEMPFAIL, "tempfail"), (Action.DISCARD, "discard"),
    ],
)  # fmt: skip
def test_verdict_names(action: Action, name: str) -> None:
    assert log.verdict_name(Outcome(action)) == name
