"""The mailer: who is remembered, what is refused, what the Received field says."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lumilter.config.address import MailServer
from lumilter.config.sections.mail import Inject
from lumilter.daemon.mail import Mailer
from lumilter.errors import LumilterError
from lumilter.session.split import Outgoing
from support.sink import Sink

KEYS = tuple(f"{number:064x}" for number in range(4))
TRACE = "from client.example (client.example [192.0.2.1]) by lumilter with ESMTP id QUEUE"


@pytest.fixture
def made(tmp_path: Path) -> Callable[[int], Mailer]:
    def make(port: int) -> Mailer:
        server = MailServer.parse(f"smtp:inet:{port}@127.0.0.1")
        return Mailer(Inject(server=server, outbox=str(tmp_path / "outbox"), timeout=5.0, deadline=10.0), "mx.test")

    return make


def message(*numbers: int) -> Outgoing:
    recipients = tuple(f"r{number}@example.com" for number in numbers)
    return Outgoing(
        "ann@example.org", recipients, tuple(KEYS[n] for n in numbers), (b"Subject: x\r\n", b"\r\n", b"b\r\n")
    )


def test_who_was_served_is_remembered_until_forgotten(made: Callable[[int], Mailer]) -> None:
    with Sink() as sink:
        mailer = made(sink.port)
        assert not mailer.remembers()
        mailer.send([message(0), message(1, 2)], TRACE)
        assert [each.recipients for each in sink.messages] == [
            ("r0@example.com",), ("r1@example.com", "r2@example.com"),
        ]  # fmt: skip
        assert sink.messages[0].values(b"Received")[0].startswith(TRACE.encode() + b"; ")
        assert mailer.remembers()
        assert list(mailer.recall(KEYS)) == list(KEYS[:3])
        mailer.forget(KEYS[:3])
        assert not mailer.remembers()
        assert list(mailer.recall(KEYS)) == []


def test_one_is_refused(made: Callable[[int], Mailer]) -> None:
    """The others of the message are served and remembered; what comes after it is not sent."""
    with Sink() as sink:
        sink.replies["r1@example.com"] = "550 5.1.1 nobody"
        mailer = made(sink.port)
        with pytest.raises(LumilterError, match=r"refuses <r1@example.com>: 550"):
            mailer.send([message(0, 1), message(2)], TRACE)
        assert [each.recipients for each in sink.messages] == [("r0@example.com",)]
        assert list(mailer.recall(KEYS)) == [KEYS[0]]


def test_the_server_is_away(made: Callable[[int], Mailer]) -> None:
    with Sink() as sink:
        port = sink.port
    mailer = made(port)
    with pytest.raises(LumilterError, match=r"127\.0\.0\.1"):
        mailer.send([message(0)], TRACE)
    assert list(mailer.recall(KEYS)) == []


def test_what_can_not_be_forgotten_is_said(
    made: Callable[[int], Mailer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mailer = made(1)
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox/sent").write_text("a file")
    with caplog.at_level(logging.ERROR):
        mailer.forget(KEYS[:1])
    assert "stay remembered" in caplog.text


def test_promised_mail_is_sent_by_whoever_has_the_outbox(made: Callable[[int], Mailer]) -> None:
    with Sink() as sink:
        first, second = made(sink.port), made(sink.port)
        events: list[str] = []
        first.on_event = events.append
        first.start()
        try:
            second.put("", ["a@example.com", "b@example.com"], (b"Subject: y\r\n\r\n", memoryview(b"body\r\n")))
            (got,) = sink.wait(1)
            end = time.monotonic() + 10
            while first.waiting() and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            first.stop()
    assert (got.sender, got.recipients, got.body) == ("", ("a@example.com", "b@example.com"), b"body\r\n")
    assert events == ["sent", "sent"]
    assert first.waiting() == 0
