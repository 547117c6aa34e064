"""msys.validate.dkim.reflect: what is mailed to whom, before and after there is a message."""

from __future__ import annotations

import email
import email.policy
import logging
from email.message import EmailMessage
from pathlib import Path

import pytest

from lumilter.services import Services
from lumilter.session.events import Data, EndOfMessage, Helo, Mail, Rcpt
from lumilter.session.headers import raw_fields
from support import rfc8463
from support.dns_zone import Zone
from support.mailbox import Mailbox
from support.policy import BODY, CONNECT, HEADERS, policy
from support.shadowed import shadowed

CALL = 'msys.validate.dkim.reflect(msg, vctx, "check@mx.example.com", "ann@example.org; log@a.example;log2@a.example"'
HEAD = 'require("msys.validate.dkim")\n'
EARLY = f"{HEAD}function mod:validate_rcptto(msg, str, ac, vctx) assert({CALL}) == true) end\n"
LATE = f'{HEAD}function mod:validate_data(msg, ac, vctx) assert({CALL}, "S\u00fcbj", "One\\nNot\u00e9") == true) end\n'
WITH_CONTENT = "function mod:validate_data_spool(msg) msg:header('Subject', 'changed') end\n"
SECTION, _, SIGNED_BODY = rfc8463.MESSAGE.partition(b"\r\n\r\n")
SIGNED = tuple((field.name, field.value) for field in raw_fields(SECTION + b"\r\n"))


def reflected(tmp_path: Path, code: str, mail: Mailbox, headers: tuple[tuple[bytes, bytes], ...] = SIGNED) -> list[str]:
    """What the policy's errors say after one message."""
    services = Services(Zone(rfc8463.KEYS), hostname="mx.example.com", mail=mail)
    with policy(tmp_path, code, services=services) as running:
        running.send(headers=headers, body=SIGNED_BODY if headers is SIGNED else BODY)
        return [str(error) for error in running.errors]


def read(mail: Mailbox) -> tuple[EmailMessage, str, str]:
    """The only message that was promised, its text, and the header section in it."""
    ((_, _, raw),) = mail.promised
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    text, section = found.iter_parts()
    assert isinstance(text, EmailMessage)
    assert section.get_content_type() == "text/rfc822-headers"
    payload = section.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return found, text.get_content().replace("\r\n", "\n"), payload.decode()


def test_before_there_is_a_message(tmp_path: Path) -> None:
    """The message is judged as it came, not as scripts changed it."""
    mail = Mailbox()
    assert reflected(tmp_path, EARLY + WITH_CONTENT, mail) == []
    ((sender, recipients, _),) = mail.promised
    assert (sender, recipients) == ("check@mx.example.com", ["ann@example.org", "log@a.example", "log2@a.example"])
    found, text, section = read(mail)
    assert (found["From"], found["To"], found["Cc"]) == ("check@mx.example.com", "ann@example.org", None)
    assert (found["Auto-Submitted"], found["Subject"]) == ("auto-replied", "Result of a DKIM check")
    assert "Result: pass\n" in text
    assert "Signature 1: pass (no signature error)\n  d=football.example.com s=brisbane a=ed25519-sha256" in text
    assert "Signature 2: pass" in text
    assert "Subject: Is dinner ready?" in section


def test_of_the_message_at_hand(tmp_path: Path) -> None:
    mail = Mailbox()
    assert reflected(tmp_path, LATE, mail, HEADERS) == []
    found, text, _ = read(mail)
    assert found["Subject"] == "S\u00fcbj"
    assert text.startswith("One\nNot\u00e9\n\nResult: none (the message has no DKIM-Signature)\n")


def test_a_broken_signature_is_told_about(tmp_path: Path) -> None:
    mail = Mailbox()
    other = tuple((name, b" No" if name == b"Subject" else value) for name, value in SIGNED)
    services = Services(Zone(rfc8463.KEYS), hostname="mx.example.com", mail=mail)
    with policy(tmp_path, LATE, services=services) as running:
        running.send(headers=other, body=SIGNED_BODY)
    assert "Result: fail\n" in read(mail)[1]


@pytest.mark.parametrize("code", [EARLY + WITH_CONTENT, LATE])
def test_a_message_that_went_round_is_not_reflected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    """Two reflectors that write to each other end it."""
    mail = Mailbox(hops=3)
    loop = (*HEADERS, (b"X-Lumilter-Hops", b" 3"))
    with caplog.at_level(logging.ERROR):
        errors = reflected(tmp_path, code, mail, loop)
    assert "it is in a loop" in " ".join([*errors, caplog.text])
    assert not mail.promised


def test_mail_goes_on_where_the_outbox_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert reflected(tmp_path, EARLY + WITH_CONTENT, Mailbox(down=True)) == []
    assert "what a script wanted done with a message was not done: the disk is full" in caplog.text
    assert "the disk is full" in reflected(tmp_path, LATE, Mailbox(down=True))[0]


def test_what_can_not_be(tmp_path: Path) -> None:
    errors = reflected(tmp_path, EARLY, Mailbox())
    assert "no message comes here: the MTA only sends it where a script has a hook at its end" in errors[0]
    wrong = LATE.replace("ann@example.org", "nobody here")
    assert "is not a list of addresses" in reflected(tmp_path, wrong, Mailbox())[0]
    nobody = LATE.replace("ann@example.org; log@a.example;log2@a.example", " ;")
    assert "receiver_addrs names nobody" in reflected(tmp_path, nobody, Mailbox())[0]
    services = Services(Zone({}), hostname="mx.example.com")
    with policy(tmp_path, EARLY + WITH_CONTENT, services=services) as running:
        running.send()
    assert "sending mail needs [inject] server in the configuration" in str(running.errors[0])


@pytest.mark.parametrize("code", [EARLY + WITH_CONTENT, LATE])
def test_nothing_leaves_a_session_in_shadow(tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str) -> None:
    """By then no script of the session runs, but perhaps another session's."""
    mail = Mailbox()
    services = Services(Zone(rfc8463.KEYS), hostname="mx.example.com", mail=mail)
    events = (CONNECT, Helo("a.example"), Mail("<ann@example.org>"), Rcpt("<bob@example.com>"), Data({}))
    with caplog.at_level(logging.INFO), shadowed(tmp_path, code, services=services) as shadow:
        shadow.session((*events, EndOfMessage(SIGNED, SIGNED_BODY, {"i": "QUEUE"})))
        assert not shadow.running.errors
    assert caplog.text.count("shadow: a message from <check@mx.example.com>") == 1
    assert not mail.promised


def test_nothing_for_a_message_that_never_comes(tmp_path: Path) -> None:
    mail = Mailbox()
    code = EARLY + WITH_CONTENT + "function mod:validate_rcptto_list(list, vctx) vctx:set_code(550, 'no') end\n"
    reflected(tmp_path, f'require("msys.extended.vctx") {code}', mail)
    assert not mail.promised
