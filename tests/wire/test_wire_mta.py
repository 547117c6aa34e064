"""The wire behind real MTAs: a private Postfix and a private Sendmail, to a sink."""

from __future__ import annotations

import os
import shutil
import smtplib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from lumilter.session.events import (
    Abort,
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteRecipient,
    EndOfMessage,
    Helo,
    InsertHeader,
    Mail,
    Outcome,
    ReplaceBody,
    Reply,
)
from support.ports import free_port
from support.postfix import PrivatePostfix
from support.sendmail import PrivateSendmail, Unavailable
from support.sink import Sink
from support.wire_server import Address, Plan, WireServer

Serve = Callable[..., WireServer]

MESSAGE = (
    b"Received: from before by client.test; Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"From: a@client.test\r\n"
    b"Message-Id: <1@client.test>\r\n"
    b"Subject: one\r\n\ttwo\r\n"
    b"X-Tight:tight\r\n"
    b"X-Wide:  wide\r\n"
    b"\r\n"
    b"body\r\n"
)


@dataclass
class Site:
    """An MTA that runs, with the address of its milter and its sink."""

    name: str
    port: int
    milter: Address
    sink: Sink


@pytest.fixture(scope="module", params=["postfix", "sendmail"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    if os.geteuid():
        pytest.skip("an MTA of one's own needs root")
    base = Path(tempfile.mkdtemp(prefix="lumilter-wire-"))  # Postfix has no way into pytest's tmp_path
    base.chmod(0o755)
    milter = Address("unix", path=str(base / "milter.sock"))
    port = free_port()
    try:
        with ExitStack() as stack:
            sink = stack.enter_context(Sink())
            if request.param == "postfix":
                if not shutil.which("postfix"):
                    pytest.skip("Postfix is not installed")
                stack.enter_context(PrivatePostfix(base / "mta", f"unix:{milter.path}", port, sink.port))
            else:
                try:
                    stack.enter_context(PrivateSendmail(base / "mta", f"local:{milter.path}", port, sink.port))
                except Unavailable as error:
                    pytest.skip(str(error))
            yield Site(request.param, port, milter, sink)
    finally:
        shutil.rmtree(base)


def send(site: Site) -> tuple[int, bytes]:
    """Send MESSAGE to two recipients; the last reply."""
    with smtplib.SMTP("127.0.0.1", site.port, "client.test") as client:
        client.ehlo()
        client.mail("a@client.test")
        client.rcpt("b@mx.test")
        client.rcpt("c@mx.test")
        return client.data(MESSAGE)


@pytest.fixture
def serve(site: Site, wire: str) -> Callable[..., WireServer]:
    """serve(outcome, event="EndOfMessage"): the wire that gives this answer."""
    return lambda outcome, event="EndOfMessage": WireServer(
        site.milter, Plan(answers={event: outcome}, mode=0o666, wire=wire)
    )


def test_a_message_as_it_is(site: Site, serve: Serve) -> None:
    before = len(site.sink.messages)
    with serve(Outcome(Action.CONTINUE)) as server:
        assert send(site)[0] == 250
        (message,) = site.sink.wait(before + 1)[before:]
    assert message.raw.endswith(MESSAGE)
    (event,) = [event for event in server.told() if isinstance(event, EndOfMessage)]
    assert event.headers[-3:] == ((b"Subject", b" one\n\ttwo"), (b"X-Tight", b"tight"), (b"X-Wide", b"  wide"))
    assert event.body == b"body\r\n"
    assert {"j", "i", "client_addr", "client_port", "daemon_port", "rcpt_addr", "mail_addr"} <= set(event.macros)


def test_every_edit(site: Site, serve: Serve) -> None:
    before = len(site.sink.messages)
    edits = (
        ChangeHeader(1, b"X-Tight", b"changed"),
        ChangeHeader(1, b"Subject", b""),
        AddHeader(b"X-Added", " ädded\n\tfolded".encode()),
        AddHeader(b"X-Tight", b"also"),
        InsertHeader(0, b"X-Top", b" top"),
        ReplaceBody(b"new\r\n"),
        ChangeSender(""),
        AddRecipient("new@mx.test"),
        DeleteRecipient("<b@mx.test>"),
    )
    with serve(Outcome(Action.CONTINUE, edits=edits)):
        assert send(site)[0] == 250
        (message,) = site.sink.wait(before + 1)[before:]
    expected = [b"Received", b"X-Top", b"Received", b"Date", b"From", b"Message-Id", b"X-Tight"]
    expected += [b"X-Wide", b"X-Added", b"X-Tight"]
    assert [name for name, _ in message.headers] == expected
    assert message.values(b"X-Tight") == [b"changed", b"also"]
    assert "\r\nX-Added: ädded\r\n\tfolded\r\n".encode() in message.raw
    assert b"\r\nX-Tight:changed\r\nX-Wide:  wide\r\n" in message.raw
    assert b"\r\nX-Tight:also\r\n" in message.raw
    assert (message.sender, set(message.recipients), message.body) == ("", {"c@mx.test", "new@mx.test"}, b"new\r\n")


def test_replies(site: Site, serve: Serve) -> None:
    with serve(Outcome(Action.REJECT, Reply(550, "5.7.1", ("one 100%", "two")))):
        assert send(site) == (550, b"5.7.1 one 100%\n5.7.1 two")


@pytest.mark.parametrize("event", ["Helo", "Mail", "Rcpt", "Data", "EndOfMessage"])
def test_421_closes_the_session(site: Site, serve: Serve, event: str) -> None:
    with (
        serve(Outcome(Action.TEMPFAIL, Reply(421, "4.7.0", ("later",))), event),
        smtplib.SMTP("127.0.0.1", site.port) as client,
    ):
        steps: dict[str, Callable[[], tuple[int, bytes | str]]] = {
            "Helo": lambda: client.ehlo("client.test"),
            "Mail": lambda: client.mail("a@client.test"),
            "Rcpt": lambda: client.rcpt("b@mx.test"),
            "Data": lambda: client.data(MESSAGE),
        }
        for step in steps.values():
            try:
                code, text = step()
            except smtplib.SMTPDataError as error:
                code, text = error.smtp_code, error.smtp_error
            if code == 421:
                break
        assert (code, text) == (421, b"4.7.0 later")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.docmd("NOOP")


def test_rset_and_a_second_message(site: Site, serve: Serve) -> None:
    with serve(Outcome(Action.DISCARD)) as server, smtplib.SMTP("127.0.0.1", site.port) as client:
        client.ehlo("client.test")
        client.mail("a@client.test")
        client.rcpt("b@mx.test")
        client.rset()
        client.sendmail("a2@client.test", ["b@mx.test"], MESSAGE)
    told = server.told()
    assert [type(event) for event in told].count(Abort) == 1
    assert [event.address for event in told if isinstance(event, Mail)] == ["<a@client.test>", "<a2@client.test>"]
    assert isinstance(told[1], Helo)
