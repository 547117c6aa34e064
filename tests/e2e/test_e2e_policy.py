"""One policy behind a real Postfix: what the client hears, and what arrives byte for byte.

The law: one daemon for all tests. The policy decides by addresses and subjects, every test has recipients of its own.
"""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator
from email.header import decode_header, make_header
from pathlib import Path

import pytest

from support.sink import Received
from support.site import PostfixSite

POLICY = Path(__file__).with_name("site_policy.lua").read_text()

HEAD = b"From: ann@x.example\r\nX-Many: a\r\nx-many:  b\r\nSubject: %s\r\nX-Last: \xff\xfe\r\n\tfolded\r\n"
BODY = b"\r\n..dots\r\n.\xe9\x80\r\n" + b"long " * 150 + b"\r\n"


@pytest.fixture(scope="module")
def site(postfix: PostfixSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostfixSite]:
    with postfix.serving(tmp_path_factory.mktemp("policy"), POLICY) as made:
        yield made


def told(answer: tuple[int, bytes]) -> str:
    return f"{answer[0]} {answer[1].decode()}"


def send(
    site: PostfixSite, *recipients: str, subject: str = "x", sender: str = "ann@x.example", raw: bytes = b""
) -> str:
    """The first refusal, or the answer to the message; lines joined by LF."""
    with site.smtp() as client:
        client.ehlo()
        answers = [client.mail(sender)]
        for recipient in recipients:
            answers.append(client.rcpt(recipient))
        for answer in answers:
            if answer[0] >= 400:
                return told(answer)
        try:
            return told(client.data(raw or HEAD % subject.encode() + b"\r\n" + BODY))
        except smtplib.SMTPDataError as error:
            assert isinstance(error.smtp_error, bytes)
            return told((error.smtp_code, error.smtp_error))


def delivered(site: PostfixSite, *recipients: str, subject: str, raw: bytes = b"") -> Received:
    answer = send(site, *recipients, subject=subject, raw=raw)
    assert answer.startswith("250 2.0.0 Ok: queued as "), answer
    return site.to(recipients[0])


def fields(message: Received) -> bytes:
    """The message without the trace that Postfix put at its top."""
    lines = message.raw.split(b"\r\n")
    end = next(at for at, line in enumerate(lines) if at and line[:1] not in b" \t")
    assert lines[0].startswith(b"Received: from client.example")
    return b"\r\n".join(lines[end:])


# --- what the client hears ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("helo", "answer"),
    [("refused.example", "550 5.7.1 not you, refused.example"), ("later.example", "450 4.7.1 not now")],
)
def test_refused_at_ehlo(site: PostfixSite, helo: str, answer: str) -> None:
    with site.smtp(helo) as client:
        client.ehlo()  # Postfix keeps the refusal for the next command
        assert told(client.mail("ann@x.example")) == answer


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        ("refused@x.example", "553 5.1.8 no mail from <refused@x.example>"),
        ("later@x.example", "451 4.7.1 come back"),
        ("lines@x.example", "550 5.7.1 first line\n5.7.1 second line\n5.7.1 100% of it"),
        ("plain@x.example", "550 no status here"),
        ("digit@x.example", "550 5.0.0 192.0.2.1 is listed"),
        ("class@x.example", "550 5.7.1 of another class\n5.7.1 twice"),
    ],
)
def test_refused_at_mail_and_the_session_goes_on(site: PostfixSite, sender: str, answer: str) -> None:
    with site.smtp() as client:
        client.ehlo()
        assert told(client.mail(sender)) == answer
        assert client.mail("ann@x.example")[0] == 250


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        ("closed@x.example", "421 4.3.2 closing"),
        ("hangup@x.example", "421 4.7.1 Service unavailable, try again later"),
    ],
)
def test_421_closes_the_connection(site: PostfixSite, sender: str, answer: str) -> None:
    client = site.smtp()
    client.ehlo()
    client.putcmd("MAIL", f"FROM:<{sender}>")
    assert told(client.getreply()) == answer
    assert client.file is not None
    assert client.file.readline() == b""
    client.close()


def test_two_recipients_of_four_are_refused(site: PostfixSite) -> None:
    with site.smtp() as client:
        client.ehlo()
        client.mail("ann@x.example")
        heard = [told(client.rcpt(f"{who}.four@y.example")) for who in ("kept", "refused", "later", "dropped")]
        assert heard == [
            "250 2.1.5 Ok",
            "550 5.1.1 refused.four@y.example is not here",
            "450 4.2.1 later.four@y.example is greylisted",
            "250 2.1.5 Ok",
        ]
        assert client.data(b"Subject: x\r\n\r\n")[0] == 250
    assert site.to("kept.four@y.example").recipients == ("kept.four@y.example",)


def test_refused_at_data_by_the_list(site: PostfixSite) -> None:
    assert send(site, "atdata@y.example") == "554 5.7.1 refused at DATA"
    many = [f"many{number}@y.example" for number in range(6)]
    assert send(site, *many) == "452 4.5.3 6 recipients are too many"


@pytest.mark.parametrize(
    ("recipient", "subject", "answer"),
    [
        ("end@y.example", "refuse", "554 5.7.1 refused by content\n5.7.1 see https://x.example/"),
        ("end@y.example", "later", "451 4.7.1 content is looked at"),
        ("eachrefused@y.example", "x", "550 5.7.1 not for eachrefused@y.example"),
        ("done@y.example", "x", "554 5.7.0 Final validation failed"),
        ("retry@y.example", "x", "451 4.7.0 Final validation failed for now"),
    ],
)
def test_refused_at_the_end_of_the_message(site: PostfixSite, recipient: str, subject: str, answer: str) -> None:
    assert send(site, "other@y.example", recipient, subject=subject) == answer
    assert not site.reached() & {recipient, "other@y.example"}


# --- what arrives ---------------------------------------------------------------------------------------------------

KEPT = b"From: ann@x.example\r\n"
MANY = b"X-Many: a\r\nx-many:  b\r\n"
LAST = b"X-Last: \xff\xfe\r\n\tfolded\r\n"


def test_what_no_rule_touches_arrives_byte_for_byte(site: PostfixSite) -> None:
    message = delivered(site, "same.bytes@y.example", subject="untouched")
    assert fields(message) == HEAD % b"untouched" + b"X-Same: 1\r\n\r\n" + BODY


@pytest.mark.parametrize(
    ("rule", "head"),
    [
        ("append", KEPT + MANY + b"Subject: append\r\n" + LAST + b"X-Many: c\r\nX-Many: d\r\n"),
        ("replace", KEPT + b"Subject: replace\r\n" + LAST + b"X-Many: replaced\r\n"),
        ("prepend", b"X-Top: one\r\nX-Top: two\r\n" + KEPT + MANY + b"Subject: prepend\r\n" + LAST),
        ("delete", KEPT + b"Subject: delete\r\n" + LAST),
        ("several", KEPT + b"Subject: several\r\n" + LAST + b"X-Many: n1\r\nX-Many: n2\r\nX-Many: n3\r\n"),
    ],
)
def test_headers(site: PostfixSite, rule: str, head: bytes) -> None:
    message = delivered(site, f"head.{rule}@y.example", subject=rule)
    assert fields(message) == head + b"\r\n" + BODY


def test_encoded_words_are_read_and_written(site: PostfixSite) -> None:
    head = b"Subject: encode\r\nX-Word: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?B?4oKs?=\r\n"
    message = delivered(site, "encode@y.example", subject="encode", raw=head + b"\r\nx\r\n")
    assert fields(message).startswith(head)
    (value,) = message.values(b"X-Read")
    assert value.isascii()
    assert str(make_header(decode_header(value.decode()))) == "Grüße€ für alle"


def _huge(lines: int) -> bytes:
    return b"Subject: huge\r\nX-Huge: " + b"\r\n ".join([b"x" * 98] * lines) + b"\r\n"


def test_a_header_of_59_kb(site: PostfixSite) -> None:
    message = delivered(site, "huge@y.example", subject="huge", raw=_huge(580) + b"\r\nx\r\n")
    assert fields(message) == _huge(580) + b"X-Length: %d\r\n\r\nx\r\n" % (99 * 580 - 1)


def test_of_a_header_of_100_kb_postfix_keeps_60000_octets(site: PostfixSite) -> None:
    """It cuts where there is a milter, whatever header_size_limit says; the policy sees what will arrive."""
    message = delivered(site, "cut@y.example", subject="huge", raw=_huge(1000) + b"\r\nx\r\n")
    head, _, length = fields(message).partition(b"\r\nX-Length: ")
    assert _huge(1000).startswith(head)
    (value,) = message.values(b"X-Huge")
    assert 59_000 < len(value) < 61_000
    assert length == b"%d\r\n\r\nx\r\n" % len(value)


# --- whom it reaches ------------------------------------------------------------------------------------------------


def test_recipients_are_added_and_removed(site: PostfixSite) -> None:
    message = delivered(site, "add@y.example", subject="add")
    assert sorted(message.recipients) == ["add@y.example", "added1@y.example", "added2@y.example"]
    message = delivered(site, "left@y.example", "Removed@Y.example", subject="remove")
    assert message.recipients == ("left@y.example",)


def test_what_is_no_address_is_the_scripts_error(site: PostfixSite) -> None:
    """Postfix would deliver it to ab@y.example, Sendmail to a.b@y.example."""
    before = len(site.log())
    assert send(site, "odd@y.example", subject="odd") == "451 4.3.0 local policy error"
    (line,) = [line for line in site.log()[before:] if " error: " in line]
    assert "vctx:add_recipient: 'a b@y.example' is not an address" in line
    assert "queue_id=" in line


def test_one_recipient_is_readdressed_and_one_dropped(site: PostfixSite) -> None:
    answer = send(site, "moved@y.example", "eachdropped@y.example", "stays@y.example")
    assert answer.startswith("250 ")
    assert sorted(site.to("new@y.example").recipients) == ["new@y.example", "stays@y.example"]


@pytest.mark.parametrize(("rule", "sender"), [("sender", "changed@z.example"), ("null", "")])
def test_the_sender_is_changed(site: PostfixSite, rule: str, sender: str) -> None:
    assert delivered(site, f"{rule}.from@y.example", subject=rule).sender == sender


def test_discarded_mail_is_accepted_and_reaches_nobody(site: PostfixSite) -> None:
    before = len(site.log())
    assert send(site, "nobody@y.example", subject="discard").startswith("250 ")
    assert send(site, "eachdropped@y.example").startswith("250 ")
    assert send(site, "dropped@y.example").startswith("250 ")
    delivered(site, "after.discard@y.example", subject="x")
    assert not site.reached() & {"nobody@y.example", "eachdropped@y.example", "dropped@y.example"}
    assert sum("verdict=discard" in line for line in site.log()[before:]) == 3


def test_the_same_change_for_all_is_made_a_different_one_puts_the_mail_off(site: PostfixSite) -> None:
    message = delivered(site, "same.1@y.example", "same.2@y.example", subject="x")
    assert message.values(b"X-Same") == [b"1"]
    before = len(site.log())
    why = "recipients need different messages: that needs [inject] server in the configuration"
    assert send(site, "own.1@y.example", "own.2@y.example") == f"451 4.3.5 {why}"
    assert any(f"error: {why} queue_id=" in line for line in site.log()[before:])
    assert delivered(site, "own.1@y.example", subject="x").values(b"X-For") == [b"own.1@y.example"]


def test_quarantined_mail_is_in_the_hold_queue(site: PostfixSite) -> None:
    assert send(site, "held@y.example", subject="quarantine").startswith("250 ")
    (held,) = [entry for entry in site.mta.queue() if entry["queue_name"] == "hold"]
    assert [recipient["address"] for recipient in held["recipients"]] == ["held@y.example"]
    postcat = ["/usr/sbin/postcat", "-c", site.mta.directory / "etc", "-bh", "-q", held["queue_id"]]
    kept = subprocess.run(postcat, check=True, capture_output=True).stdout
    assert kept.endswith((HEAD % b"quarantine" + b"\r\n" + BODY).replace(b"\r\n", b"\n"))
    site.mta.delete(held["queue_id"])
