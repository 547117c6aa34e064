"""Signing as the last step: on what leaves, for each group of recipients once, before anything is sent."""

from __future__ import annotations

from lumilter.session.apply import apply
from lumilter.session.events import Action
from lumilter.session.mail import MailMessage
from lumilter.session.steps import RunHook
from support.drive import BODY, HEADERS, Drive

EACH = "validate_data_spool_each_rcpt"
FINAL = "core_post_final_validation"


def kept(drive: Drive, *recipients: str) -> list[tuple[bytes, bytes]]:
    """The headers that stay with the MTA."""
    outcome = drive.message(*recipients)
    assert outcome.action is Action.CONTINUE
    return apply(HEADERS, BODY, "ann@example.org", [f"<{r}>" for r in recipients], outcome.edits)[0]


def test_a_seal_goes_over_the_last_edit_and_before_all_others() -> None:
    def decide(request: RunHook) -> object:
        message = request.args[0]
        assert isinstance(message, MailMessage)
        if request.hook.name == "validate_data":
            message.seals.append("one")
        elif request.hook.name == FINAL:
            message.content.headers.prepend("X-Late", ["edit"])
        return None

    drive = Drive("validate_data", FINAL, decide=decide)
    size = len(b"X-Late: edit\r\n") + sum(len(n) + len(v) + 3 for n, v in HEADERS) + 2 + len(BODY)
    assert kept(drive, "a@x", "b@x") == [(b"X-Seal", b" one %d" % size), (b"X-Late", b" edit"), *HEADERS]


def test_recipients_with_other_seals_part_ways() -> None:
    def decide(request: RunHook) -> object:
        message = request.args[0]
        assert isinstance(message, MailMessage)
        if message.content.rcptto != "c@x":
            message.seals.append("same")
        return None

    drive = Drive(EACH, decide=decide)
    assert [name for name, _ in kept(drive, "a@x", "b@x", "c@x")] == [b"X-Seal", b"From", b"Subject"]
    (sent,) = drive.sent
    assert sent.recipients == ("c@x",)
    assert b"X-Seal" not in b"".join(sent.content)


def test_each_group_is_sealed_on_its_own() -> None:
    def decide(request: RunHook) -> object:
        message = request.args[0]
        assert isinstance(message, MailMessage)
        message.content.headers.append("X-To", [message.content.rcptto])
        return None

    drive = Drive(EACH, decide=decide, sealing=lambda message: (message.content.rcptto,))
    assert kept(drive, "a@x", "b@xy")[0][1].startswith(b" a@x ")
    (sent,) = drive.sent
    raw = b"".join(sent.content)
    assert raw.startswith(b"X-Seal: b@xy %d\r\n" % (len(raw) - raw.index(b"\r\n") - 2))


def test_what_can_not_be_sealed_is_put_off_and_nothing_is_sent() -> None:
    def decide(request: RunHook) -> object:
        message = request.args[0]
        assert isinstance(message, MailMessage)
        message.content.headers.append("X-To", [message.content.rcptto])
        return None

    drive = Drive(EACH, decide=decide, sealing=lambda message: ("x",))
    drive.refuse_to_seal = True
    outcome = drive.message("a@x", "b@x")
    assert outcome.action is Action.TEMPFAIL
    assert outcome.reply is not None
    assert outcome.reply.lines == ("The message could not be signed, try again later",)
    assert not drive.sent
    assert [str(error) for error in drive.session.trace.errors] == ["no key"]


def test_no_seal_is_asked_for_what_nobody_gets() -> None:
    drive = Drive(
        EACH, decide=lambda request: setattr(request.args[0], "discarded", "550 no"), sealing=lambda m: ("x",)
    )
    drive.refuse_to_seal = True
    assert drive.message("a@x").action is Action.DISCARD
