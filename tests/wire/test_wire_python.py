"""What only the Python wire does: raw bytes, late answers, limits, silence, progress."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lumilter.session.events import (
    Abort,
    Action,
    AddHeader,
    ChangeHeader,
    ChangeSender,
    Close,
    Connect,
    DeleteRecipient,
    EndOfMessage,
    Helo,
    InsertHeader,
    Outcome,
    Quarantine,
    ReplaceBody,
    Reply,
)
from lumilter.session.needs import Needs
from support.milter_client import Gone, MilterClient
from support.wire_server import Plan, WireServer

Start = Callable[..., WireServer]
Client = Callable[..., MilterClient]

pytestmark = pytest.mark.parametrize("wire", ["python"])


def begun(mta: MilterClient) -> MilterClient:
    mta.connect()
    mta.helo()
    return mta


# --- raw bytes -------------------------------------------------------------------------------------------------------


def test_eight_bit_names_are_told(start: Start, client: Client) -> None:
    server = start(Plan(answers={"Helo m\udcfcller": Outcome(Action.REJECT)}))
    mta = client(server)
    mta.connect(b"h\xf6st")
    assert mta.helo(b"m\xfcller").kind == "reject"
    assert mta.message(((b"Subject", b" x"), (b"X-\xfc", b" \xff"))).kind == "continue"
    mta.quit()
    server.stop()
    connect, helo, *_, message, _ = server.told()
    assert isinstance(connect, Connect)
    assert connect.hostname == "h\udcf6st"
    assert isinstance(helo, Helo)
    assert helo.name == "m\udcfcller"
    assert isinstance(message, EndOfMessage)
    assert message.headers == ((b"Subject", b" x"), (b"X-\xfc", b" \xff"))


def test_raw_bytes_are_written(start: Start, client: Client) -> None:
    edits = (
        AddHeader(b"X-Added", b" caf\xe9"),
        InsertHeader(0, b"X-Top", b" \xff\n\t\xfe"),
        ChangeHeader(1, b"X-\xfc", b""),
        ChangeSender("\udcff@client.test"),
        DeleteRecipient("<\udcff@mx.test>"),
        Quarantine("\udce9"),
    )
    server = start(Plan(answers={"EndOfMessage": Outcome(Action.CONTINUE, edits=edits)}))
    got = begun(client(server)).message().edits
    expected = (edits[0], InsertHeader(1, b"X-Top", b" \xff\n\t\xfe"), edits[2], ChangeSender("<\udcff@client.test>"))
    assert got == (*expected, *edits[4:])


def test_large_edits_to_an_mta_that_is_slow_to_read(start: Start, client: Client) -> None:
    body = bytes(range(256)) * 80_000
    edits = (AddHeader(b"X", b" 1"), ReplaceBody(body))
    server = start(Plan(answers={"EndOfMessage": Outcome(Action.CONTINUE, edits=edits)}))
    slow, other = begun(client(server)), begun(client(server))
    for step in (slow.mail, slow.rcpt, slow.data, slow.eoh):
        step()
    slow.send("E")
    time.sleep(0.1)
    assert other.mail().kind == "continue"
    answer = slow.answer()
    assert (answer.kind, answer.edits) == ("continue", edits)
    assert slow.message().edits == edits


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.TEMPFAIL, Action.REJECT, Action.ACCEPT])
def test_connections_beyond_the_limit_get_the_configured_answer(start: Start, client: Client, action: Action) -> None:
    server = start(Plan(options={"max_sessions": 2, "refuse": Outcome(action)}))
    first, second = begun(client(server)), begun(client(server))
    for _ in range(3):
        assert client(server).connect().kind == action.value
    assert second.message().kind == "continue"
    first.quit()
    while (mta := client(server)).connect().kind != "continue":  # until the end of the first one was noticed
        mta.close()
        time.sleep(0.01)
    mta.close()
    second.quit()
    server.stop()
    assert server.log.count("connections are open: more are answered") >= 1
    assert server.log.count("limit: sessions") >= 3
    assert [type(event) for event in server.told()].count(Close) == 3


def test_the_reply_to_connections_beyond_the_limit(start: Start, client: Client) -> None:
    refuse = Outcome(Action.TEMPFAIL, Reply(421, "4.3.2", ("busy",)))
    server = start(Plan(Needs(frozenset({"message"})), options={"max_sessions": 1, "refuse": refuse}))
    begun(client(server))
    assert client(server).connect().text == "421 4.3.2 busy"


def test_long_bodies_are_spooled(start: Start, client: Client) -> None:
    server = start(Plan(limits={"memory_body": 100_000}))
    mta = begun(client(server))
    bodies = [bytes(range(256)) * 1000, b"short", b"\0" * 3_000_000]
    for body in bodies:
        assert mta.message(body=body).kind == "continue"
    mta.quit()
    server.stop()
    assert [event.body for event in server.told() if isinstance(event, EndOfMessage)] == bodies
    assert server.log.count("a spooled body, read-only: True") == 2


def test_a_message_that_is_too_large(start: Start, client: Client) -> None:
    answer = Outcome(Action.REJECT, Reply(552, "5.3.4", ("too large",)))
    server = start(Plan(limits={"message_size": 1000, "on_message_size": answer}))
    mta = begun(client(server))
    assert mta.message(body=b"x" * 100_000).text == "552 5.3.4 too large"
    assert mta.message(((b"X", b" " + b"x" * 1000),)).text == "552 5.3.4 too large"
    assert mta.message().kind == "continue"
    mta.quit()
    server.stop()
    kinds = [type(event).__name__ for event in server.told()]
    assert kinds[2:] == [*("Mail", "Rcpt", "Data", "Abort") * 2, "Mail", "Rcpt", "Data", "EndOfMessage", "Close"]
    assert server.log.count("limit: message_size") == 2


def test_a_body_that_can_not_be_spooled_is_tempfailed(start: Start, client: Client) -> None:
    server = start(Plan(limits={"memory_body": 10, "spool": "/nonexistent"}))
    mta = begun(client(server))
    assert mta.message(body=b"x" * 100).kind == "tempfail"
    assert mta.message().kind == "continue"
    server.stop()
    assert "limit: spool" in server.log


def test_an_mta_that_is_silent_is_given_up(start: Start, client: Client) -> None:
    server = start(Plan(sleep={"EndOfMessage": 3.0}, options={"timeout": 1.5}))
    silent, waits = begun(client(server)), begun(client(server))
    silent.mail()
    assert waits.message().kind == "continue"  # who waits for an answer is not silent
    with pytest.raises(Gone):
        silent.receive()
    server.stop()
    assert "silent for 1.5 s" in server.log
    assert server.told(1)[-2:] == [Abort(), Close()]


# --- late answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", ["Connect", "Helo", "Mail", "Rcpt", "Data", "EndOfMessage", "Abort", "Close"])
def test_late_answers(start: Start, client: Client, slow: str) -> None:
    server = start(Plan(sleep={slow: 0.05}, answers={"EndOfMessage": Outcome(Action.DISCARD)}, deadline=20))
    mta = begun(client(server))
    assert mta.message().kind == "discard"
    mta.mail()
    mta.abort()
    assert mta.message().kind == "discard"
    mta.quit()
    assert server.stop() == 0
    message = ["Mail", "Rcpt", "Data", "EndOfMessage"]
    expected = ["Connect", "Helo", *message, "Mail", "Abort", *message, "Close"]
    assert [type(event).__name__ for event in server.told()] == expected


def test_what_comes_while_an_answer_is_outstanding_waits(start: Start, client: Client) -> None:
    """Without replies the MTA sends on: events are told one after the other none the less."""
    server = start(Plan(Needs(frozenset({"message"})), sleep={"Connect": 0.1, "Mail": 0.1, "Rcpt": 0.1}, deadline=20))
    mta = begun(client(server))
    assert mta.message(body=b"x" * 1_000_000).kind == "continue"
    mta.quit()
    assert server.stop() == 0
    assert [type(event).__name__ for event in server.told()] == [
        *("Connect", "Helo", "Mail", "Rcpt", "Data", "EndOfMessage", "Close")
    ]
