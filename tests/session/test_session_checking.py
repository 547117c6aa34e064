"""Questions about who mail is from: when they are asked, once, of whom, and what their answers do."""

from __future__ import annotations

import pytest

from lumilter.session.apply import apply
from lumilter.session.checking import Check, Checked, Checking, responsible
from lumilter.session.events import Mail, Rcpt
from lumilter.session.headers import Header, HeaderList
from lumilter.session.mail import MailMessage
from lumilter.session.steps import RunHook
from support.drive import BODY, CONNECT, Drive

HEADERS = (
    (b"Authentication-Results", b" forged"), (b"From", b" Ann <ann@example.org>, eve@example.net"),
    (b"Sender", b" bounce@example.com"), (b"Subject", b" x"),
)  # fmt: skip


def asked(drive: Drive) -> list[tuple[str, bool]]:
    return [(question.sender, question.content is not None) for question in drive.questions]


@pytest.mark.parametrize("command", ["mail", "rcpt"])
def test_once_about_the_sender_and_once_about_the_message(command: str) -> None:
    seen: list[str] = []

    def decide(request: RunHook) -> None:
        message = request.args[0]
        assert isinstance(message, MailMessage)
        seen.append(message.mess.get("status", ""))

    drive = Drive("validate_rcptto", "validate_data", decide=decide, checking=Checking(command, message=True))
    drive.answer = lambda question: Checked({"status": "message" if question.content else "sender"}, "found")
    drive.message("a@x", "b@x", headers=HEADERS)
    assert asked(drive) == [("ann@example.org", False), ("ann@example.org", True)]
    assert seen == ["sender", "sender", "message"]
    about = drive.questions[1]
    assert (about.client, about.helo, about.found) == ("192.0.2.1", "client.example", "found")
    assert about.authors == ("example.org", "example.net")
    assert about.responsible == "bounce@example.com"
    drive.message("c@x", sender="bob@example.org")
    assert asked(drive)[2:] == [("bob@example.org", False), ("bob@example.org", True)]
    assert drive.questions[2].found is None


def test_what_the_answer_does_to_the_message() -> None:
    drive = Drive("validate_data", checking=Checking("", message=True))
    fields = (Header(b"Authentication-Results", b" ours"), Header(b"Received-SPF", b" pass"))
    drive.answer = lambda question: Checked({}, None, frozenset({0}), fields)
    outcome = drive.message("a@x", headers=HEADERS)
    found = apply(HEADERS, BODY, "ann@example.org", ["<a@x>"], outcome.edits)[0]
    assert found == [(field.name, field.value) for field in fields] + list(HEADERS[1:])
    assert asked(drive) == [("ann@example.org", True)]


def test_clients_that_are_not_checked() -> None:
    context = {"can_relay": "true"}
    drive = Drive(checking=Checking("mail", message=True, unless="can_relay"), peer_context=lambda address: context)
    drive.message("a@x")
    assert not drive.questions
    assert Checking("mail").wanted(context)
    assert not Checking("mail", unless="can_relay").wanted({}, context)


def test_nothing_is_asked_where_nothing_is_configured() -> None:
    drive = Drive("validate_data")
    drive.message("a@x")
    assert not drive.questions


def test_no_recipient_no_question() -> None:
    drive = Drive(checking=Checking("rcpt"))
    drive.handle(CONNECT)
    drive.handle(Mail("<>"))
    assert not drive.questions
    drive.handle(Rcpt("<a@x>"))
    assert drive.questions == [Check("192.0.2.1", "", "")]


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ([("From", "Ann <ann@example.org>")], "ann@example.org"),
        ([("From", "a@b"), ("Sender", "c@d")], "c@d"),
        ([("Sender", "nobody"), ("From", "a@b")], "a@b"),
        ([("From", "nobody"), ("From", "a@b")], "a@b"),
        ([], ""),
    ],
)
def test_who_is_responsible(fields: list[tuple[str, str]], address: str) -> None:
    headers = HeaderList(Header(name.encode(), b" " + value.encode()) for name, value in fields)
    assert responsible(headers) == address
