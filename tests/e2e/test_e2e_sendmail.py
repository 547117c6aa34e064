"""The policy of test_e2e_policy.py behind a real Sendmail: what the client hears, and what arrives.

The law: one daemon for all tests, every test has recipients of its own. Skipped only where Sendmail can't run.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.sink import Received
from support.site import Site

POLICY = Path(__file__).with_name("site_policy.lua").read_text()
OWN = (b"received", b"date", b"message-id")
"""What Sendmail puts into a message that lacks it."""
FROM = (b"From", b"ann@x.example")
MANY = [(b"X-Many", b"a"), (b"x-many", b"b")]
LAST = (b"X-Last", b"\xff\xfe folded")
BODY = b"\r\n..dots\r\n.\xe9\x80\r\n" + b"long " * 150 + b"\r\n"


@pytest.fixture(scope="module")
def site(sendmail: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with sendmail.serving(tmp_path_factory.mktemp("policy"), POLICY) as made:
        yield made


def send(site: Site, *recipients: str, subject: str = "x", sender: str = "ann@x.example") -> str:
    """The first refusal, or the answer to the message; lines joined by LF."""
    head = b"From: ann@x.example\r\nX-Many: a\r\nx-many:  b\r\nSubject: %s\r\nX-Last: \xff\xfe\r\n\tfolded\r\n"
    with site.smtp() as client:
        client.ehlo()
        code, text = client.mail(sender, ["BODY=8BITMIME"])
        if code >= 400:
            return f"{code} {text.decode()}"
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
    return site.to(recipient)


def test_a_refused_connection_gets_sendmails_own_text(site: Site) -> None:
    client = smtplib.SMTP(timeout=60, source_address=("127.0.0.2", 0))
    code, text = client.connect("127.0.0.1", site.port)
    assert code == 554
    assert b"not from there" not in text
    client.ehlo("client.example")
    code, text = client.mail("ann@x.example")
    assert (code, b"not from there" in text) == (550, False)
    client.close()


@pytest.mark.parametrize(
    ("helo", "answer"),
    [("refused.example", (550, b"5.7.1 not you, refused.example")), ("later.example", (450, b"4.7.1 not now"))],
)
def test_refused_at_ehlo(site: Site, helo: str, answer: tuple[int, bytes]) -> None:
    with site.smtp(helo) as client:
        client.ehlo()  # Sendmail keeps the refusal for the next command
        assert client.mail("ann@x.example") == answer


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        ("refused@x.example", (553, b"5.1.8 <refused@x.example>... no mail from <refused@x.example>")),
        ("lines@x.example", (550, b"5.7.1 <lines@x.example>... first line\n5.7.1 second line\n5.7.1 100% of it")),
        ("error@x.example", (451, b"4.3.0 local policy error")),
    ],
)
def test_refused_at_mail_and_the_session_goes_on(site: Site, sender: str, answer: tuple[int, bytes]) -> None:
    """Sendmail puts the address before the text of 550 and 553."""
    with site.smtp() as client:
        client.ehlo()
        assert client.mail(sender) == answer
        assert client.mail("ann@x.example")[0] == 250


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
    assert recipient not in site.reached()


@pytest.mark.parametrize(
    ("rule", "head"),
    [
        ("untouched", [FROM, *MANY, (b"Subject", b"untouched"), LAST]),
        ("append", [FROM, *MANY, (b"Subject", b"append"), LAST, (b"X-Many", b"c"), (b"X-Many", b"d")]),
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
    for each in ("added1@y.example", "added2@y.example"):  # Sendmail may send a copy to each
        site.to(each)
    delivered(site, "left@y.example", "Removed@Y.example", subject="remove")
    assert send(site, "moved@y.example", "eachdropped@y.example", "stays@y.example").startswith("250 ")
    site.to("new@y.example")
    site.to("stays@y.example")
    assert not site.reached() & {"Removed@Y.example", "removed@y.example", "moved@y.example", "eachdropped@y.example"}


@pytest.mark.parametrize(("rule", "sender"), [("sender", "changed@z.example"), ("null", "")])
def test_the_sender_is_changed(site: Site, rule: str, sender: str) -> None:
    assert delivered(site, f"{rule}.from@y.example", subject=rule).sender == sender


def test_discarded_and_held_mail_is_accepted_and_reaches_nobody(site: Site) -> None:
    assert send(site, "nobody@y.example", subject="discard").startswith("250 ")
    assert send(site, "held@y.example", subject="quarantine").startswith("250 ")
    delivered(site, "after.discard@y.example", subject="x")
    assert not site.reached() & {"nobody@y.example", "held@y.example"}
    assert any('reason="250 2.0.0 unwanted"' in line for line in site.log())
    assert "held for a look" in site.mta.log


def test_a_script_error_is_one_sessions_own(site: Site) -> None:
    before = len(site.log())

    def deliver(number: int) -> str:
        return send(site, f"error{number}@y.example", sender="error@x.example" if number == 5 else "ann@x.example")

    with ThreadPoolExecutor(10) as pool:
        heard = list(pool.map(deliver, range(10)))
    assert [answer[:3] for answer in heard] == ["250"] * 5 + ["451"] + ["250"] * 4, heard
    (line,) = [line for line in site.log()[before:] if " error: " in line]
    assert "one session fails script=policy.lua" in line
    for number in {*range(10)} - {5}:
        site.to(f"error{number}@y.example")


def test_several_messages_and_a_reset_on_one_connection(site: Site) -> None:
    message = b"Subject: count\r\n\r\nx\r\n"
    with site.smtp() as client:
        client.sendmail("ann@x.example", ["count1@y.example"], message)
        client.mail("forgotten@x.example")
        client.rcpt("count2@y.example")
        client.rset()
        client.sendmail("ann@x.example", ["count3@y.example"], message)
    assert [site.to(f"count{number}@y.example").values(b"X-Count") for number in (1, 3)] == [[b"1"], [b"3"]]
    assert "count2@y.example" not in site.reached()
