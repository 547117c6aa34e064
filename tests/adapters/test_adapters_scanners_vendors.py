"""Cloudmark's HTTP server and Cyren's ctasd, against stand-ins: the request as public clients make it, every answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from lumilter.adapters.scanners.contract import Envelope, Result, Sample, ScanError, Verdict
from support.scanners import scanner
from support.vendors import Vendor, vendor

KNOWN = Envelope(
    sender="ann@example.org",
    recipients=("bob@example.com", "carol@example.com"),
    helo="client.example",
    client_ip="192.0.2.1",
    client_name="host.example",
)
MESSAGE = b"Subject: caf\xe9\r\nX: \0\r\n\r\n" + b"body\r\n" * 20_000


@pytest.fixture
def server() -> Iterator[Vendor]:
    with vendor() as made:
        yield made


def asked(kind: str, server: Vendor, answer: bytes, status: int = 200, envelope: Envelope = KNOWN) -> Result:
    server.answer = status, answer
    scan = scanner(kind, [server.address], timeout=60, retries=0, cache=0)
    return scan.scan(Sample((MESSAGE[:9], memoryview(MESSAGE)[9:]), envelope), time.monotonic() + 60)


def test_what_cloudmark_is_asked(server: Vendor) -> None:
    asked("cloudmark", server, b'{"score": 1}')
    path, fields, body = server.asked[0]
    assert path == "/score/v2/message"
    assert fields["content-type"].startswith('multipart/form-data; boundary="')
    assert MESSAGE in body
    assert server.form().keys() == {"heloDomain", "mailFrom", "rcptTo", "connIp", "fromHost", "rfc822"}
    assert server.form()["rcptTo"] == b"bob@example.com,carol@example.com"
    assert server.form()["connIp"] == b"192.0.2.1"
    odd = Envelope(sender='x"\r\n\r\n--x\r\nContent-Disposition: form-data; name="connIp"')
    asked("cloudmark", server, b'{"score": 1}', envelope=odd)
    assert set(server.form()) == {"mailFrom", "rfc822"}


def test_what_cloudmark_answers(server: Vendor) -> None:
    reply = {
        "score": "99.4",
        "analysis": "v=2.3 cv=x",
        "category": 1,
        "appendHeaders": [{"headerField": "X", "body": "y"}],
    }
    found = asked("cloudmark", server, json.dumps(reply).encode())
    assert (found.verdict, found.score, found.code) == (Verdict.SPAM, 99.4, "99.4")
    assert found.details == {"analysis": "v=2.3 cv=x", "category": "1"}
    assert asked("cloudmark", server, b'{"score": 0}').verdict is Verdict.CLEAN
    assert asked("cloudmark", server, b'{"score": 1e9}').score == 100


CTASD = b"X-CTCH-PVer: 0000001\r\nX-CTCH-Spam: %b\r\nX-CTCH-VOD: %b\r\nX-CTCH-RefID: str=0001.0A,ss=1\r\n"


def test_what_ctasd_is_asked(server: Vendor) -> None:
    asked("ctasd", server, CTASD % (b"Unknown", b"Unknown"))
    path, _, body = server.asked[0]
    assert path == "/ctasd/ClassifyMessage_Inline"
    head, _, message = body.partition(b"\r\n\r\n")
    assert head == b"X-CTCH-PVer: 0000001\r\nX-CTCH-MailFrom: ann@example.org\r\nX-CTCH-SenderIP: 192.0.2.1"
    assert message == MESSAGE


@pytest.mark.parametrize(
    ("spam", "virus", "verdict"),
    [
        (b"Unknown", b"Unknown", Verdict.CLEAN),
        (b"NonSpam", b"NonVirus", Verdict.CLEAN),
        (b"Suspect", b"Unknown", Verdict.SUSPECT),
        (b"Bulk", b"Unknown", Verdict.BULK),
        (b"Confirmed", b"Medium", Verdict.SPAM),
        (b"Unknown", b"High", Verdict.INFECTED),
        (b"Confirmed", b"Virus", Verdict.INFECTED),
    ],
)
def test_what_ctasd_answers(server: Vendor, spam: bytes, virus: bytes, verdict: Verdict) -> None:
    found = asked("ctasd", server, CTASD % (spam, virus))
    assert found.verdict is verdict
    assert found.details == {
        "spam": spam.decode().lower(), "virus": virus.decode().lower(), "refid": "str=0001.0A,ss=1",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["cloudmark", "ctasd", "rspamd"])
@pytest.mark.parametrize(
    ("status", "answer", "word"),
    [
        (200, b"", "nonsense"),
        (200, b"<html>", "nonsense"),
        (200, b"[" * 100_000, "nonsense"),
        (200, b"[1]", "nonsense"),
        (200, b'{"score": "x", "action": {}}', "nonsense"),
        (200, b'{"score": NaN, "action": "reject"}', "nonsense"),
        (200, b'{"score": 1e999, "action": "reject"}', "nonsense"),
        (200, b"x" * (5 << 20), "nonsense"),
        (403, b"no", "refused"),
        (404, b"", "refused"),
        (500, b"\xff\0", "nonsense"),
        (503, b"busy", "nonsense"),
    ],
)
def test_answers_that_are_none(server: Vendor, kind: str, status: int, answer: bytes, word: str) -> None:
    with pytest.raises(ScanError) as caught:
        asked(kind, server, answer, status)
    assert caught.value.word == word
    assert len(str(caught.value)) < 500


def test_ctasd_says_why_not(server: Vendor) -> None:
    with pytest.raises(ScanError, match="licence expired") as caught:
        asked("ctasd", server, b"X-CTCH-PVer: 0000001\r\nX-CTCH-Error: licence expired\r\n")
    assert caught.value.word == "refused"
