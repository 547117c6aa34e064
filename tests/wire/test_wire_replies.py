"""What an outcome becomes: replies, edits, refusals, as an MTA reads them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lumilter.session.events import (
    Abort,
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    Close,
    DeleteRecipient,
    Edit,
    EndOfMessage,
    InsertHeader,
    Outcome,
    Quarantine,
    ReplaceBody,
    Reply,
)
from lumilter.session.needs import Edits, Needs
from support.milter_client import ALL_ACTIONS, ALL_STEPS, HDR_LEADSPC, Answer, Gone, MilterClient
from support.wire_server import Address, Plan, WireServer

Start = Callable[..., WireServer]
Client = Callable[..., MilterClient]


def answered(mta: MilterClient, event: str) -> tuple[str, str]:
    """The answer to `event` after everything before it."""
    steps: dict[str, Callable[[], Answer]] = {
        "Connect": mta.connect,
        "Helo": mta.helo,
        "Mail": mta.mail,
        "Rcpt": mta.rcpt,
        "Data": mta.data,
    }
    for name, step in steps.items():
        answer = step()
        if name == event:
            return answer.kind, answer.text
        assert answer.kind == "continue"
    mta.eoh()
    answer = mta.eom()
    return answer.kind, answer.text


@pytest.mark.parametrize("event", ["Connect", "Helo", "Mail", "Rcpt", "Data", "EndOfMessage"])
@pytest.mark.parametrize("action", list(Action))
def test_plain_actions(start: Start, client: Client, event: str, action: Action) -> None:
    server = start(Plan(answers={event: Outcome(action)}))
    assert answered(client(server), event) == (action.value, "")


@pytest.mark.parametrize("event", ["Connect", "Helo", "Mail", "Rcpt", "Data", "EndOfMessage"])
@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(550, "5.7.1", ("no",)), "550 5.7.1 no"),
        (Reply(421, "4.7.0", ("later",)), "421 4.7.0 later"),
        (Reply(554, "", ("100% sure, 50%% not",)), "554 100%% sure, 50%%%% not"),
        (Reply(450, "4.1.1", ("one", "", "3 %")), "450-4.1.1 one\r\n450-4.1.1 \r\n450 4.1.1 3 %%"),
        (Reply(550, "5.0.0", ()), "550 5.0.0"),
        (Reply(550, "5.0.0", ("a\r\n250 b\0 ü \udcff",)), "550 5.0.0 a??250 b? ü ?"),
    ],
)
def test_replies(start: Start, client: Client, event: str, reply: Reply, text: str) -> None:
    server = start(Plan(answers={event: Outcome(Action.REJECT, reply)}))
    kind, got = answered(client(server), event)
    assert (kind, got.rstrip()) == ("replycode", text)


def test_a_long_reply_is_continued_and_cut(start: Start, client: Client) -> None:
    reply = Reply(550, "5.7.1", ("%" * 1000, "ü" * 1000, *["x"] * 40))
    server = start(Plan(answers={"Mail": Outcome(Action.REJECT, reply)}))
    lines = answered(client(server), "Mail")[1].split("\r\n")
    assert len(lines) == 32
    assert all(line.startswith("550") and len(line.encode()) <= 990 for line in lines)
    texts = [line[10:] for line in lines]
    assert "".join(texts[:3]) == "%" * 2000
    assert "".join(texts[3:6]) == "ü" * 1000


def test_a_reply_that_is_none_is_given_without_its_text(start: Start, client: Client) -> None:
    server = start(Plan(answers={"Mail": Outcome(Action.REJECT, Reply(250, "nonsense", ("x",)))}))
    assert answered(client(server), "Mail") == ("reject", "")
    server.stop()
    assert "the MTA's own text is sent" in server.log


def test_a_rejected_recipient_does_not_end_the_message(start: Start, client: Client) -> None:
    server = start(Plan(answers={"Rcpt <bad@mx.test>": Outcome(Action.REJECT, Reply(550, "5.1.1", ("no",)))}))
    mta = client(server)
    mta.connect()
    mta.helo()
    mta.mail()
    assert mta.rcpt("<bad@mx.test>").text == "550 5.1.1 no"
    assert mta.rcpt("<good@mx.test>").kind == "continue"
    mta.data()
    mta.eoh()
    assert mta.eom().kind == "continue"


EVERY_EDIT: tuple[Edit, ...] = (
    AddHeader(b"X-Added", b" added"),
    AddHeader(b"X-Tight", b"no space"),
    AddHeader(b"X-Folded", " földed\n\tvalue".encode()),
    InsertHeader(0, b"X-Top", b" top"),
    InsertHeader(3, b"X-Third", b"  two spaces"),
    ChangeHeader(2, b"Subject", b" changed"),
    ChangeHeader(1, b"Subject", b""),
    ReplaceBody(b"line\r\n" * 30_000),
    AddRecipient("new@mx.test"),
    DeleteRecipient("<to@mx.test>"),
    ChangeSender("sender@client.test"),
    ChangeSender(""),
    Quarantine("held for a look"),
)


@pytest.mark.parametrize("leading", [True, False], ids=["leading space", "without"])
@pytest.mark.parametrize("action", [Action.CONTINUE, Action.ACCEPT])
def test_every_edit_in_order(start: Start, client: Client, leading: bool, action: Action) -> None:
    server = start(Plan(answers={"EndOfMessage": Outcome(action, edits=EVERY_EDIT)}))
    mta = client(server, steps=ALL_STEPS if leading else ALL_STEPS & ~HDR_LEADSPC)
    mta.connect()
    mta.helo()
    answer = mta.message()
    assert answer.kind == action.value
    expected: list[Edit] = []
    for edit in EVERY_EDIT:
        match edit:
            case AddHeader(name, value) if not leading:
                expected.append(AddHeader(name, value.removeprefix(b" ")))
            case InsertHeader(index, name, value):  # number 0 is the MTA's own Received
                expected.append(InsertHeader(index + 1, name, value if leading else value.removeprefix(b" ")))
            case ChangeHeader(nth, name, value) if not leading:
                expected.append(ChangeHeader(nth, name, value.removeprefix(b" ")))
            case AddRecipient(address):
                expected.append(AddRecipient(f"<{address}>"))
            case ChangeSender(address):
                expected.append(ChangeSender(f"<{address}>"))
            case ReplaceBody():
                body = edit
            case _:
                expected.append(edit)
    got = [edit for edit in answer.edits if not isinstance(edit, ReplaceBody)]
    assert got == expected
    assert [edit for edit in answer.edits if isinstance(edit, ReplaceBody)] == [body]


def test_an_empty_body_can_replace_one(start: Start, client: Client) -> None:
    server = start(Plan(answers={"EndOfMessage": Outcome(Action.CONTINUE, edits=(ReplaceBody(b""),))}))
    mta = client(server)
    mta.connect()
    mta.helo()
    assert mta.message().edits == (ReplaceBody(b""),)


@pytest.mark.parametrize(
    "bad",
    [
        AddHeader(b"X", b" a\nX-Injected: b"),
        AddHeader(b"X", b" a\n"),
        AddHeader(b"X", b" a\r\n b"),
        AddHeader(b"X", b" a\0b"),
        AddHeader(b"", b" a"),
        AddHeader(b"X Y", b" a"),
        AddHeader(b"X:", b" a"),
        AddHeader("Ü".encode(), b" a"),
        InsertHeader(-1, b"X", b" a"),
        InsertHeader(0, b"X", b" a\nb"),
        ChangeHeader(0, b"X", b" a"),
        ChangeHeader(1, b"X", b" a\nb: c"),
        AddRecipient(""),
        AddRecipient("a@b>\r\n"),
        DeleteRecipient(""),
        ChangeSender("a\0b"),
        Quarantine(""),
        Quarantine("a\nb"),
    ],
    ids=repr,
)
def test_an_edit_that_can_not_be_written_tempfails_the_message_untouched(
    start: Start, client: Client, bad: Edit
) -> None:
    edits = (AddHeader(b"X-First", b" 1"), bad)
    server = start(Plan(answers={"EndOfMessage": Outcome(Action.CONTINUE, edits=edits)}))
    mta = client(server)
    mta.connect()
    mta.helo()
    answer = mta.message()
    mta.quit()
    assert (answer.kind, answer.edits) == ("tempfail", ())
    server.stop()
    assert "the edits of this message can't be made" in server.log


@pytest.mark.parametrize("wire", ["libmilter"])
@pytest.mark.parametrize("raw", [AddHeader(b"X", b" caf\xe9"), DeleteRecipient("<\udcff@mx.test>")], ids=repr)
def test_what_pymilter_can_not_send_tempfails_the_message_untouched(start: Start, client: Client, raw: Edit) -> None:
    edits = (AddHeader(b"X-First", b" 1"), raw)
    server = start(Plan(answers={"EndOfMessage": Outcome(Action.CONTINUE, edits=edits)}))
    mta = client(server)
    mta.connect()
    mta.helo()
    answer = mta.message()
    mta.quit()
    assert (answer.kind, answer.edits) == ("tempfail", ())
    server.stop()
    assert "expected UTF-8" in server.log


def test_an_edit_that_was_not_negotiated_tempfails(start: Start, client: Client) -> None:
    edits = (AddHeader(b"X", b" 1"), Quarantine("x"))
    needs = Needs(edits=Edits.ADD_HEADER)
    server = start(Plan(needs=needs, answers={"EndOfMessage": Outcome(Action.CONTINUE, edits=edits)}))
    mta = client(server)
    mta.connect()
    mta.helo()
    answer = mta.message()
    mta.quit()
    assert (answer.kind, answer.edits) == ("tempfail", ())
    server.stop()
    assert "Quarantine was not negotiated" in server.log


def test_a_refused_message_is_not_edited(start: Start, client: Client) -> None:
    outcome = Outcome(Action.REJECT, Reply(550, "5.7.1", ("no",)), (AddHeader(b"X", b" 1"),))
    server = start(Plan(answers={"EndOfMessage": outcome}))
    mta = client(server)
    mta.connect()
    mta.helo()
    answer = mta.message()
    assert (answer.text, answer.edits) == ("550 5.7.1 no", ())


# --- negotiation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bit", "edit", "what"),
    [
        (0x01, Edits.ADD_HEADER, "add headers"),
        (0x02, Edits.REPLACE_BODY, "replace the body"),
        (0x04, Edits.ADD_RECIPIENT, "add recipients"),
        (0x08, Edits.DELETE_RECIPIENT, "delete recipients"),
        (0x10, Edits.CHANGE_HEADER, "change headers"),
        (0x20, Edits.QUARANTINE, "quarantine"),
        (0x40, Edits.CHANGE_SENDER, "change the sender"),
    ],
)
def test_an_action_that_the_mta_does_not_offer(start: Start, client: Client, bit: int, edit: Edits, what: str) -> None:
    server = start(Plan(needs=Needs(edits=edit)))
    with pytest.raises(Gone):
        client(server, actions=ALL_ACTIONS & ~bit)
    mta = client(server, actions=bit)
    mta.quit()
    assert mta.granted_actions == bit
    server.stop()
    assert (
        f"ERROR a connection of the MTA is refused: the scripts need to {what}; the MTA does not offer it" in server.log
    )
    assert server.told() == [Close()]


def test_the_data_command_needs_a_protocol_that_has_it(start: Start, client: Client) -> None:
    server = start(Plan(needs=Needs(frozenset({"data"}), Edits.NONE)))
    with pytest.raises(Gone):
        client(server, steps=ALL_STEPS & ~0x200)
    server.stop()
    assert "see the DATA command" in server.log


def test_no_reply_is_waited_for_where_none_is_needed(start: Start, client: Client) -> None:
    server = start(Plan(needs=Needs(frozenset({"message"}), Edits.NONE)))
    mta = client(server)
    kinds = [mta.connect().kind, mta.helo().kind, mta.mail().kind, mta.rcpt().kind, mta.data().kind]
    kinds += [mta.header("X", " y").kind, mta.eoh().kind, mta.body(b"x").kind]
    assert kinds == ["none"] * 8
    assert mta.eom().kind == "continue"
    mta.quit()
    server.stop()
    assert [type(event).__name__ for event in server.told()] == [
        *("Connect", "Helo", "Mail", "Rcpt", "Data", "EndOfMessage", "Close")
    ]


def test_an_mta_without_no_reply_flags_is_answered_at_once(start: Start, client: Client) -> None:
    server = start(Plan(needs=Needs(frozenset({"message"}))))
    mta = client(server, steps=0x37F)
    steps: list[Callable[[], Answer]] = [
        mta.connect,
        mta.helo,
        mta.mail,
        mta.rcpt,
        mta.data,
        lambda: mta.header("X", " y"),
        mta.eoh,
        mta.eom,
    ]
    assert [step().kind for step in steps] == ["continue"] * 8


def test_headers_and_body_are_switched_off(start: Start, client: Client) -> None:
    server = start(Plan(needs=Needs(frozenset({"rcpt"}), Edits.NONE, content=False)))
    mta = client(server)
    mta.connect()
    mta.helo()
    mta.mail()
    assert mta.rcpt().kind == "continue"
    mta.data()
    assert {mta.header("X", " y").kind, mta.eoh().kind, mta.ask("B", b"x").kind} == {"off"}
    assert mta.eom().kind == "continue"
    mta.quit()
    server.stop()
    (event,) = [event for event in server.told() if isinstance(event, EndOfMessage)]
    assert (event.headers, event.body) == ((), b"")


def test_macros_are_asked_for_only_where_the_mta_takes_a_list(start: Start, client: Client) -> None:
    server = start()
    assert "{client_port}" in client(server).symbols[0].split()
    assert client(server, actions=0xFF).symbols == {}


def test_an_answer_that_the_mta_does_not_wait_for_is_given_later(start: Start, client: Client) -> None:
    plan = Plan(
        Needs(frozenset({"message"})), {"Rcpt <to@mx.test>": Outcome(Action.REJECT, Reply(550, "5.1.1", ("no",)))}
    )
    server = start(plan)
    mta = client(server)
    mta.connect()
    mta.helo()
    assert mta.message().text == "550 5.1.1 no"
    mta.mail()
    mta.rcpt("<good@mx.test>")
    mta.data()
    mta.eoh()
    assert mta.eom().kind == "continue"
    mta.quit()
    server.stop()
    assert [type(event).__name__ for event in server.told()][2:] == [
        *("Mail", "Rcpt", "Abort", "Mail", "Rcpt", "Data", "EndOfMessage", "Close")
    ]


# --- failures and load -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["Connect", "Helo", "Mail", "Rcpt", "Data", "EndOfMessage"])
@pytest.mark.parametrize("replies", [frozenset({"message"}), Needs().replies], ids=["silent", "all"])
def test_an_exception_tempfails_that_connection_only(
    start: Start, client: Client, event: str, replies: frozenset[str]
) -> None:
    special = {"Helo": "Helo bad", "Mail": "Mail <bad>", "Rcpt": "Rcpt <bad>"}.get(event, event)
    server = start(Plan(Needs(replies), {special: "boom"}))
    bad, good = client(server), client(server)

    def message(mta: MilterClient, name: str, again: bool = False) -> str:
        steps: list[Callable[[], Answer]] = [] if again else [mta.connect, lambda: mta.helo(name)]
        steps += [lambda: mta.mail(f"<{name}>"), lambda: mta.rcpt(f"<{name}>"), mta.data, mta.eoh, mta.eom]
        for step in steps:
            answer = step()
            if answer.kind not in ("continue", "none"):
                break
        return answer.kind

    assert message(bad, "bad") == "tempfail"
    if special != event:
        assert message(good, "good") == "continue"
    assert message(bad, "good", again=True) == "tempfail"
    for mta in (bad, good):
        mta.quit()
    server.stop()
    assert "RuntimeError: boom" in server.log


def test_abort_and_close_may_fail(start: Start, client: Client) -> None:
    server = start(Plan(answers={"Abort": "boom", "Close": "bang"}))
    mta = client(server)
    mta.connect()
    mta.helo()
    mta.mail()
    mta.quit()
    server.stop()
    assert [type(event) for event in server.told()[-2:]] == [Abort, Close]
    assert "RuntimeError: bang" in server.log


def test_sixty_four_connections_at_once(start: Start, address: Address) -> None:
    edits = (AddHeader(b"X", b" 1"),)
    server = start(Plan(answers={"EndOfMessage": Outcome(Action.CONTINUE, edits=edits)}), address=address)

    def session(number: int) -> int:
        with MilterClient(address.target) as mta:
            mta.negotiate()
            mta.connect(f"host{number}")
            mta.helo()
            done = 0
            for message in range(10):
                answer = mta.message(((b"X-Number", b" %d.%d" % (number, message)),))
                done += answer.kind == "continue" and answer.edits == edits
            mta.quit()
            return done

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(session, range(64))) == [10] * 64
    assert server.stop() == 0
    told = [event.headers[0][1] for event in server.told() if isinstance(event, EndOfMessage)]
    assert sorted(told) == sorted(b" %d.%d" % (number, message) for number in range(64) for message in range(10))
    for number in range(1, 65):
        assert [type(event).__name__ for event in server.told(number)] == [
            *("Connect", "Helo", *("Mail", "Rcpt", "Data", "EndOfMessage") * 10, "Close")
        ]
