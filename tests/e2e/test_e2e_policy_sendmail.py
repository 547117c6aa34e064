"""The policy of test_e2e_policy.py behind a real Sendmail: what the client hears, and what arrives.

The law: one site for all tests, every test has recipients of its own. Skipped only where Sendmail can't run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.mail_site import Site
from support.sendmail import Unavailable
from support.sink import Received

POLICY = Path(__file__).with_name("site_policy.lua").read_text()
OWN = (b"received", b"date", b"message-id")
"""What Sendmail puts into a message that lacks it."""
FROM = (b"From", b"ann@x.example")
MANY = [(b"X-Many", b"a"), (b"x-many", b"b")]
LAST = (b"X-Last", b"\xff\xfe folded")
BODY = b"\r\n..dots\r\n.\xe9\x80\r\n" + b"long " * 150 + b"\r\n"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="lumilter-e2e-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        made = Site(Path(name), POLICY, mta="sendmail")
        try:
            made.__enter__()
        except Unavailable as error:
            pytest.skip(str(error))
        try:
            yield made
        finally:
            made.__exit__(None, None, None)


def send(site: Site, *recipients: str, subject: str = "x", sender: str = "ann@x.example") -> str:
    """The first refusal, or the answer to the message; lines joined by LF."""
    head = b"From: ann@x.example\r\nX-Many: a\r\nx-many:  b\r\nSubject: %s\r\nX-Last: \xff\xfe\r\n\tfolded\r\n"
    with site.smtp() as client:
        client.ehlo()
        client.mail(sender, ["BODY=8BITMIME"])
        for recipient in recipients:
            code, text = client.rcpt(recipient)
            if code >= 400:
                return f"{code} {text.decode()}"
        client.putcmd("DATA")
        code, text = client.getreply()
        if code == 354:
            message = head % subject.encode() + b"\r\n" + BODY
            client.send(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            code, text = client.getreply()
        return f"{code} {text.decode()}"


def delivered(site: Site, recipient: str, *others: str, subject: str) -> Received:
    answer = send(site, recipient, *others, subject=subject)
    assert answer.startswith("250 2.0.0 "), answer
    return site.to(recipient)[0]


@pytest.mark.parametrize(
    ("recipient", "subject", "answer"),
    [
        ("refused@y.example", "x", "550 5.1.1 <refused@y.example>... refused@y.example is not here"),
        ("later@y.example", "x", "450 4.2.1 <later@y.example>... later@y.example is greylisted"),
        ("atdata@y.example", "x", "554 5.7.1 refused at DATA"),
        ("end@y.example", "refuse", "554 5.7.1 refused by content\n5.7.1 see https://x.example/"),
        ("end@y.example", "later", "451 4.7.1 content is looked at"),
        ("eachrefused@y.example", "x", "550 5.7.1 not for eachrefused@y.example"),
        ("done@y.example", "x", "554 5.7.0 Final validation failed"),
        ("retry@y.example", "x", "451 4.7.0 Final validation failed for now"),
    ],
)
def test_refused_with_code_and_text(site: Site, recipient: str, subject: str, answer: str) -> None:
    """At RCPT Sendmail puts the address before the text of 450 and 550."""
    assert send(site, recipient, subject=subject) == answer
    assert not any(recipient in message.recipients for message in site.sink.messages)


@pytest.mark.parametrize(
    ("rule", "head"),
    [
        ("untouched", [FROM, *MANY, (b"Subject", b"untouched"), LAST]),
        ("append", [FROM, *MANY, (b"Subject", b"append"), LAST, (b"X-Many", b"appended")]),
        ("replace", [FROM, (b"Subject", b"replace"), LAST, (b"X-Many", b"replaced")]),
        ("prepend", [(b"X-Top", b"one"), (b"X-Top", b"two"), FROM, *MANY, (b"Subject", b"prepend"), LAST]),
        ("delete", [FROM, (b"Subject", b"delete"), LAST]),
        ("several", [FROM, (b"Subject", b"several"), LAST, *((b"X-Many", each) for each in (b"n1", b"n2", b"n3"))]),
    ],
)
def test_headers_and_the_8_bit_body(site: Site, rule: str, head: list[tuple[bytes, bytes]]) -> None:
    message = delivered(site, f"head.{rule}@y.example", subject=rule)
    assert [field for field in message.headers if field[0].lower() not in OWN] == head
    assert message.body == BODY


def test_recipients_are_added_removed_readdressed_and_dropped(site: Site) -> None:
    delivered(site, "add@y.example", subject="add")
    assert [len(site.to(f"added{number}@y.example")) for number in (1, 2)] == [1, 1]
    delivered(site, "left@y.example", "removed@y.example", subject="remove")
    assert send(site, "moved@y.example", "eachdropped@y.example", "stays@y.example").startswith("250 ")
    site.to("new@y.example")
    site.to("stays@y.example")
    reached = {recipient for message in site.sink.messages for recipient in message.recipients}
    assert not reached & {"removed@y.example", "moved@y.example", "eachdropped@y.example"}


@pytest.mark.parametrize(("rule", "sender"), [("sender", "changed@z.example"), ("null", "")])
def test_the_sender_is_changed(site: Site, rule: str, sender: str) -> None:
    assert delivered(site, f"{rule}.from@y.example", subject=rule).sender == sender


def test_discarded_mail_is_accepted_and_reaches_nobody(site: Site) -> None:
    assert send(site, "nobody@y.example", subject="discard").startswith("250 ")
    delivered(site, "after.discard@y.example", subject="x")
    assert not any("nobody@y.example" in message.recipients for message in site.sink.messages)
