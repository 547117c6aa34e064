"""The tools of the end-to-end tests themselves: mail passes through them as it is."""

from __future__ import annotations

import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postfix import PrivatePostfix, settings
from support.sink import Sink


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that the user postfix can reach."""
    with tempfile.TemporaryDirectory(prefix="lumilter-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_message_passes_byte_for_byte(open_directory: Path) -> None:
    message = b"Subject: h\xe9\r\n\tfolded\r\n\r\n.dot\r\n..\r\n\xff" + b"x" * 900 + b"\r\nend\r\n"
    with Sink() as sink, PrivatePostfix(open_directory / "postfix", "", relay_port=sink.port) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.smtp_port, local_hostname="client.test") as client:
            client.sendmail("a@x.test", ["b@y.test", '"c>d"@z.test'], message)
        (received,) = sink.wait(1)
        assert received.sender == "a@x.test"
        assert received.recipients == ("b@y.test", '"c>d"@z.test')
        trace, _, rest = received.raw.partition(b"(UTC)\r\n")
        assert trace.startswith(b"Received: from client.test")
        assert rest == message
        assert received.values(b"subject") == [b"h\xe9 folded"]
        postfix.wait_empty()
        postfix.wait_log("status=sent")


def test_what_the_sink_refuses_stays_in_the_queue(open_directory: Path) -> None:
    with (
        Sink(replies={"b@y.test": "451 4.0.0 not now"}) as sink,
        PrivatePostfix(open_directory / "postfix", "", relay_port=sink.port) as postfix,
    ):
        with smtplib.SMTP("127.0.0.1", postfix.smtp_port) as client:
            client.sendmail("a@x.test", ["b@y.test", "c@z.test"], b"Subject: x\r\n\r\n")
        assert sink.wait(1)[0].recipients == ("c@z.test",)
        postfix.wait_log("status=deferred")
        (queued,) = postfix.queue()
        assert [recipient["address"] for recipient in queued["recipients"]] == ["b@y.test"]


def test_a_directory_that_postfix_cannot_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(RuntimeError, match="closed to the user postfix"):
        PrivatePostfix(tmp_path / "postfix", "").start()


def test_a_main_cf_is_read() -> None:
    assert settings("# no\na = b\n  c\n\n d\n") == {"a": "b c d"}
