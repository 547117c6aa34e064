"""adapters.smtp: servers that are away, hang, drip, hang up, or speak something else than SMTP."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lumilter.adapters.smtp import Connection, SendError
from lumilter.config.address import MailServer
from support.scripted_server import Talk, scripted
from support.sink import Sink

MESSAGE = [b"Subject: a\r\n\r\n", memoryview(b"body\r\n")]


SHORT = 0.3
"""Seconds for an answer that does not come."""


def soon(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def smtp(port: int) -> MailServer:
    return MailServer.parse(f"smtp:inet:{port}@127.0.0.1")


def failing(talk_to: Any, text: str, protocol: str = "smtp", seconds: float = 30, **states: bool) -> None:
    """A server that makes `send` fail, with a text that names it."""
    with scripted(talk_to, protocol) as server, Connection(server.server, "mx.test", SHORT, SHORT) as connection:
        start = time.monotonic()
        with pytest.raises(SendError, match=text) as caught:
            connection.send("a@a.test", ["b@b.test", "c@c.test"], MESSAGE, soon(seconds))
        assert time.monotonic() - start < 20
        assert str(server.server) in str(caught.value)
        assert (caught.value.permanent, caught.value.unanswered) == (
            states.get("permanent", False), states.get("unanswered", False),
        )  # fmt: skip


def test_nobody_listens(tmp_path: Path) -> None:
    with Sink() as sink:
        port = sink.port
    for server in (smtp(port), MailServer.parse(f"lmtp:unix:{tmp_path}/none"), MailServer.parse("inet:25@a..b")):
        with Connection(server, "mx.test", 10) as connection, pytest.raises(SendError, match=re.escape(str(server))):
            connection.send("a@a.test", ["b@b.test"], MESSAGE, soon())


def test_the_deadline_has_passed() -> None:
    with (
        Sink() as sink,
        Connection(smtp(sink.port), "mx.test", 10) as connection,
        pytest.raises(SendError, match="in time"),
    ):
        connection.send("a@a.test", ["b@b.test"], MESSAGE, time.monotonic() - 1)


def test_hangs_after_accept() -> None:
    failing(lambda talk, number: talk.wait(), "no answer in time at the greeting")


@pytest.mark.parametrize("steps", range(4))
def test_hangs_at_a_command(steps: int) -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.commands(*[b"250 a", b"250 b", b"250 c", b"354 d"][:steps])
        talk.command()
        talk.wait()

    failing(talk, f"no answer in time at {['MAIL', 'RCPT', 'RCPT', 'DATA'][steps]}")


def test_hangs_after_the_dot() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.commands(b"250 a", b"250 b", b"250 c", b"354 d")
        talk.data()
        talk.wait()

    failing(talk, "no answer in time at the end of the message; it may have taken the message", unanswered=True)


def test_closes_after_the_dot_and_nothing_is_repeated() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.commands(b"250 a", b"250 b", b"354 d")
        talk.data()
        if number == 0:
            talk.say(b"250 first")
            talk.commands(b"250 a", b"250 b", b"354 d")
            talk.data()

    with scripted(talk) as server, Connection(server.server, "mx.test", 10) as connection:
        assert connection.send("a@a.test", ["b@b.test"], MESSAGE, soon()) == {}
        with pytest.raises(SendError, match="closed the connection") as caught:
            connection.send("a@a.test", ["b@b.test"], MESSAGE, soon())
        assert caught.value.unanswered
        assert len(server.talks) == 1


def test_half_a_reply() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.command()
        talk.sock.sendall(b"250 o")

    failing(talk, "closed the connection at MAIL")


@pytest.mark.parametrize(
    "garbage", [b"hello", b"", b"\x16\x03\x01\xff", b"999 a", b"25 a", b"100 a", b"2500 a", b"-1 a"]
)
def test_garbage(garbage: bytes) -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.say(garbage)
        talk.wait()

    failing(talk, "nonsense|said 999")

    def later(talk: Talk, number: int) -> None:
        talk.hello()
        talk.command(garbage)
        talk.wait()

    failing(later, "nonsense at MAIL|nonsense: ")


def test_a_reply_of_the_wrong_kind() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.commands(b"250 a", b"250 b", b"250 c", b"250 not 354")
        talk.wait()

    failing(talk, "answered 250 not 354 at DATA")


def test_a_reply_without_end_in_lines_or_in_one() -> None:
    def lines(talk: Talk, number: int) -> None:
        while True:
            talk.say(*[b"220-" + b"x" * 100] * 1000)

    def line(talk: Talk, number: int) -> None:
        talk.hello()
        talk.command()
        while True:
            talk.sock.sendall(b"250 " + b"x" * 60000)

    failing(lines, "more than 65536 bytes")
    failing(line, "more than 65536 bytes")


def test_a_reply_that_drips() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.command()
        while True:
            talk.sock.sendall(b"2")
            time.sleep(SHORT / 10)

    failing(talk, "no answer in time at MAIL")


def test_a_server_that_does_not_read() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.commands(b"250 a", b"250 b", b"354 go")
        released.wait(30)

    released = threading.Event()
    big = [b"x" * 1_000_000] * 50
    with scripted(talk) as server, Connection(server.server, "mx.test", SHORT) as connection:
        with pytest.raises(SendError, match="no answer in time at the message") as caught:
            connection.send("a@a.test", ["b@b.test"], big, soon())
        assert not caught.value.unanswered
        released.set()


@pytest.mark.parametrize(("greeting", "permanent"), [(b"554 5.7.1 no mail here", True), (b"421 4.3.2 busy", False)])
def test_a_server_that_wants_no_mail(greeting: bytes, permanent: bool) -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.say(greeting)
        talk.wait()

    failing(talk, greeting.decode(), permanent=permanent)


def test_421_in_the_middle() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.commands(b"250 a", b"250 b", b"421 4.3.2 going down")

    failing(talk, "421 4.3.2 going down at RCPT")
