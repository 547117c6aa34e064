"""adapters.smtp with a real Postfix: its limits and what it makes of line ends that are none."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.smtp import Connection
from lumilter.config.address import MailServer
from support.postfix import PrivatePostfix
from support.sink import Sink


@pytest.fixture(scope="module")
def arrived() -> Iterator[tuple[Sink, PrivatePostfix]]:
    with tempfile.TemporaryDirectory(prefix="lumilter-test-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        with Sink() as sink, PrivatePostfix(Path(directory) / "mta", "", relay_port=sink.port) as postfix:
            yield sink, postfix


def connection(postfix: PrivatePostfix) -> Connection:
    return Connection(MailServer.parse(f"smtp:inet:{postfix.smtp_port}@127.0.0.1"), "mx.test", 30)


def test_more_recipients_than_it_takes_at_once(arrived: tuple[Sink, PrivatePostfix]) -> None:
    """smtpd_recipient_limit is 1000; some errors later (smtpd_hard_error_limit) it would hang up."""
    sink, postfix = arrived
    recipients = [f"r{number}@many.test" for number in range(2500)]
    with connection(postfix) as sending:
        assert sending.send("a@a.test", recipients, [b"Subject: a\r\n\r\nbody"], time.monotonic() + 120) == {}
    postfix.wait_empty(60)
    reached = Counter(who for message in sink.messages for who in message.recipients if who.endswith("@many.test"))
    assert reached == Counter(recipients)


def test_a_content_that_smuggles_commands_is_one_message(arrived: tuple[Sink, PrivatePostfix]) -> None:
    sink, postfix = arrived
    content = b"Subject: a\rBcc: b\r\r\n\n.\n\r.\rMAIL FROM:<x@x.test>\r\n.\r\nRCPT TO:<y@y.test>\nend\xff"
    with connection(postfix) as sending:
        assert sending.send("a@a.test", ["c@one.test"], [content], time.monotonic() + 60) == {}
    postfix.wait_empty(60)
    (message,) = [message for message in sink.messages if not message.recipients[0].endswith("@many.test")]
    assert (message.sender, message.recipients) == ("a@a.test", ("c@one.test",))
    assert message.values(b"Subject") == [b"a Bcc: b"]
    assert message.body == b".\r\n . MAIL FROM:<x@x.test>\r\n.\r\nRCPT TO:<y@y.test>\r\nend\xff\r\n"
