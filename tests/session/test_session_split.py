"""Recipients whose messages part ways: who stays on the MTA's message, what is sent, what a second try does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.session.apply import apply
from lumilter.session.events import Action, Outcome
from lumilter.session.mail import MailMessage
from lumilter.session.routing import Routing
from lumilter.session.steps import RunHook
from support.drive import BODY, HEADERS, Drive

EACH = "validate_data_spool_each_rcpt"


def each(change: Callable[[MailMessage], None]) -> Callable[[RunHook], object]:
    """Do that to every recipient's message."""

    def decide(request: RunHook) -> object:
        if request.hook.name == EACH:
            message = request.args[0]
            assert isinstance(message, MailMessage)
            change(message)
        return None

    return decide


def delivered(drive: Drive, outcome: Outcome, recipients: list[str]) -> dict[str, tuple[str, bytes]]:
    """Sender and content that every recipient gets, from the MTA or by what was sent."""
    found: dict[str, tuple[str, bytes]] = {}
    if outcome.action is Action.CONTINUE:
        received = [f"<{recipient}>" for recipient in recipients]
        headers, body, sender, left, _ = apply(HEADERS, BODY, "ann@example.org", received, outcome.edits)
        raw = b"".join(name + b":" + value + b"\r\n" for name, value in headers) + b"\r\n" + body
        found = {recipient.strip("<>"): (sender, raw) for recipient in left}
    for message in drive.sent:
        for recipient in message.recipients:
            assert recipient not in found, "twice"
            found[recipient] = message.sender, b"".join(message.content)
    return found


def mark(message: MailMessage) -> None:
    message.content.headers.append("X-To", [message.content.rcptto])


def test_all_different() -> None:
    recipients = [f"r{n}@x" for n in range(5)]
    drive = Drive(EACH, decide=each(mark))
    got = delivered(drive, drive.message(*recipients), recipients)
    assert sorted(got) == recipients
    for recipient, (sender, raw) in got.items():
        assert sender == "ann@example.org"
        assert raw.count(b"X-To:") == 1
        assert f"X-To: {recipient}\r\n".encode() in raw
    assert len(drive.sent) == 4


def test_the_largest_group_stays() -> None:
    recipients = ["a@one", "b@two", "c@two", "d@one", "e@two"]
    drive = Drive(EACH, decide=each(lambda m: m.content.headers.append("X-D", [m.content.rcptto.split("@")[1]])))
    outcome = drive.message(*recipients)
    assert [message.recipients for message in drive.sent] == [("a@one", "d@one")]
    assert sorted(delivered(drive, outcome, recipients)) == sorted(recipients)


def test_a_sender_for_each_recipient() -> None:
    """VERP."""

    def verp(message: MailMessage) -> None:
        message.content.mailfrom = "bounce+" + message.content.rcptto.replace("@", "=") + "@example.org"

    drive = Drive(EACH, decide=each(verp))
    got = delivered(drive, drive.message("a@x", "b@y"), ["a@x", "b@y"])
    assert {recipient: sender for recipient, (sender, _) in got.items()} == {
        "a@x": "bounce+a=x@example.org", "b@y": "bounce+b=y@example.org",
    }  # fmt: skip


def test_a_body_for_one() -> None:
    def change(message: MailMessage) -> None:
        if message.content.rcptto == "b@x":
            message.content.body = b"other\r\n"

    drive = Drive(EACH, decide=each(change))
    got = delivered(drive, drive.message("a@x", "b@x", "c@x"), ["a@x", "b@x", "c@x"])
    assert {recipient: raw.rpartition(b"\r\n\r\n")[2] for recipient, (_, raw) in got.items()} == {
        "a@x": BODY, "b@x": b"other\r\n", "c@x": BODY,
    }  # fmt: skip


def test_the_held_one_stays_and_two_can_not() -> None:
    def hold(message: MailMessage) -> None:
        if message.content.rcptto == "b@x":
            message.held = "look at it"

    drive = Drive(EACH, decide=each(hold))
    drive.message("a@x", "b@x", "c@x")
    assert [message.recipients for message in drive.sent] == [("a@x", "c@x")]

    def hold_all(message: MailMessage) -> None:
        message.held = message.content.rcptto

    drive = Drive(EACH, decide=each(hold_all))
    assert drive.message("a@x", "b@x").action is Action.TEMPFAIL
    assert not drive.sent


def test_one_is_discarded_one_readdressed_one_different() -> None:
    def change(message: MailMessage) -> None:
        match message.content.rcptto:
            case "a@x":
                message.discarded = "550 no"
            case "b@x":
                message.content.rcptto = "new@x"
            case "c@x":
                mark(message)

    drive = Drive(EACH, decide=each(change))
    got = delivered(drive, drive.message("a@x", "b@x", "c@x", "d@x"), ["a@x", "b@x", "c@x", "d@x"])
    assert sorted(got) == ["c@x", "d@x", "new@x"]


def test_a_try_that_failed_is_gone_on_with() -> None:
    recipients = ["a@x", "b@x", "c@x", "d@x"]
    drive = Drive(EACH, decide=each(mark))
    drive.refuse_to_send = {"c@x"}
    outcome = drive.message(*recipients)
    assert outcome.action is Action.TEMPFAIL
    first = [message.recipients for message in drive.sent]
    assert first == [("b@x",)]
    drive.refuse_to_send = set()
    got = delivered(drive, drive.message(*recipients), recipients)
    assert sorted(got) == recipients, "each once"


def test_a_second_try_for_some_of_the_recipients() -> None:
    """The client has put the recipients together in another way meanwhile."""
    drive = Drive(EACH, decide=each(mark))
    drive.refuse_to_send = {"c@x"}
    drive.message("a@x", "b@x", "c@x")
    drive.refuse_to_send = set()
    outcome = drive.message("b@x")
    assert outcome.action is Action.DISCARD
    outcome = drive.message("a@x")
    assert outcome.action is Action.CONTINUE


def test_another_message_is_another_one() -> None:
    drive = Drive(EACH, decide=each(mark))
    drive.refuse_to_send = {"c@x"}
    drive.message("a@x", "b@x", "c@x")
    drive.refuse_to_send = set()
    drive.sent.clear()
    drive.message("a@x", "b@x", headers=(*HEADERS, (b"Message-ID", b" <2@x>")))
    assert [message.recipients for message in drive.sent] == [("b@x",)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.sets(st.integers(0, 11)))
def test_everybody_gets_their_own_once_however_often_it_fails(kinds: list[int], failing: set[int]) -> None:
    recipients = [f"r{number}@x" for number in range(len(kinds))]
    wanted = dict(zip(recipients, kinds, strict=True))
    drive = Drive(EACH, decide=each(lambda m: m.content.headers.append("X-Kind", [str(wanted[m.content.rcptto])])))
    drive.refuse_to_send = {f"r{number}@x" for number in failing}
    outcome = drive.message(*recipients)
    if outcome.action is Action.TEMPFAIL:
        drive.refuse_to_send = set()
        outcome = drive.message(*recipients)
    got = delivered(drive, outcome, recipients)
    assert sorted(got) == sorted(recipients)
    assert all(f"X-Kind: {wanted[recipient]}\r\n".encode() in raw for recipient, (_, raw) in got.items())


def test_a_recipient_whom_a_later_hook_removes_gets_nothing() -> None:
    def decide(request: RunHook) -> object:
        message = request.args[0]
        mark(message)
        if message.content.rcptto == "c@x":
            drive.session.recipients.remove("b@x")
            drive.session.recipients.add("added@x")
        return None

    drive = Drive(EACH, decide=decide)
    got = delivered(drive, drive.message("a@x", "b@x", "c@x"), ["a@x", "b@x", "c@x"])
    assert sorted(got) == ["a@x", "added@x", "c@x"]


def test_one_that_a_script_added_is_not_forgotten_with_those_who_were_served() -> None:
    drive = Drive(EACH, decide=each(mark))
    drive.refuse_to_send = {"c@x"}
    drive.message("a@x", "b@x", "c@x")

    def decide(request: RunHook) -> object:
        drive.session.recipients.add("added@x")
        return None

    drive.decide = decide
    got = delivered(drive, drive.message("b@x"), ["b@x"])
    assert sorted(got) == ["added@x", "b@x"]
    assert [message.recipients for message in drive.sent] == [("b@x",)]


# --- routing ----------------------------------------------------------------------------------------------------------

ROUTING = Routing(
    enabled=True, bindings={"one": "binding-one"}, routes={"sms.x": ("", "[192.0.2.1]:25"), "l.x": ("lmtp", "unix:x")},
    priority="fast",
)  # fmt: skip


@pytest.mark.parametrize(
    ("binding", "domain", "priority", "header"),
    [
        ("", "", 0, b""),
        ("default", "", 0, b""),
        ("one", "", 0, b"binding-one:"),
        ("one", "sms.x", 1, b"binding-one:[192.0.2.1]:25"),
        ("", "sms.x", 0, b"smtp:[192.0.2.1]:25"),
        ("one", "l.x", 0, b"lmtp:unix:x"),
        ("", "other.x", 0, b"smtp:other.x"),
        ("", "", 1, b"fast:"),
        ("", "other.x", 1, b"fast:other.x"),
        ("one", "", 0, b"binding-one:"),
    ],
)
def test_the_private_header(binding: str, domain: str, priority: int, header: bytes) -> None:
    def route(message: MailMessage) -> None:
        message.route.binding, message.route.domain, message.priority = binding, domain, priority

    drive = Drive(EACH, decide=each(route), routing=ROUTING)
    got = delivered(drive, drive.message("a@x"), ["a@x"])
    assert got["a@x"][1].startswith(b"X-Lumilter-Route: " + header + b"\r\n") == bool(header)
    assert got["a@x"][1].count(b"X-Lumilter-Route") == bool(header)


def test_a_client_s_own_header_is_removed() -> None:
    forged = (*HEADERS, (b"x-lumilter-route", b" binding-one:evil.example"))
    drive = Drive(EACH, routing=ROUTING)
    outcome = drive.message("a@x", headers=forged)
    headers, *_ = apply(forged, BODY, "", [], outcome.edits)
    assert headers == list(HEADERS)
    drive = Drive(EACH, decide=each(mark), routing=ROUTING)
    drive.message("a@x", "b@x", headers=forged)
    assert b"lumilter-route" not in b"".join(drive.sent[0].content).lower()


def routed_to(domain: bytes, routing: Routing, version: str = "Postfix 3.7.11") -> tuple[Drive, Outcome]:
    """A session whose hook names a routing domain."""

    def decide(request: RunHook) -> object:
        request.args[2].buffer = domain
        return 1

    drive = Drive("core_config_get_message_routing_domain", decide=decide, routing=routing)
    drive.session.macros["v"] = version
    return drive, drive.message("a@x")


@pytest.mark.parametrize("domain", [b"caf\xe9.example", b"a b.example", b"x.example\r\nX-Evil: 1", b"x:25", b"a" * 300])
def test_a_hook_says_what_is_no_domain(domain: bytes) -> None:
    drive, outcome = routed_to(domain, ROUTING)
    assert outcome.action is Action.TEMPFAIL
    (error,) = drive.session.trace.errors
    assert "is not a domain" in str(error)


@pytest.mark.parametrize(
    ("routing", "version", "why"),
    [
        (Routing(), "Postfix 3.7.11", "routing needs [routing] enabled = true"),
        (ROUTING, "8.17.1", "only Postfix can be told"),
    ],
)
def test_a_hook_says_a_domain_where_nobody_can_be_told(routing: Routing, version: str, why: str) -> None:
    """Else the private header would leave with the message."""
    drive, outcome = routed_to(b"other.x", routing, version)
    assert outcome.action is Action.TEMPFAIL
    (error,) = drive.session.trace.errors
    assert why in str(error)
    _, outcome = routed_to(b"", routing, version)
    assert outcome.edits == ()


def test_a_hook_says_the_routing_domain() -> None:
    hook = "core_config_get_message_routing_domain"

    def decide(request: RunHook) -> object:
        assert request.hook.name == hook
        closure, message, buffer, room = request.args
        assert closure is None
        assert room == 256
        buffer.buffer = b"Other.X"
        return 7 if message.content.rcptto == "a@x" else 0

    drive = Drive(hook, decide=decide, routing=ROUTING)
    got = delivered(drive, drive.message("a@x", "b@x"), ["a@x", "b@x"])
    assert got["a@x"][1].startswith(b"X-Lumilter-Route: smtp:other.x\r\n")
    assert b"X-Lumilter-Route" not in got["b@x"][1]
