"""adapters.smtp: messages, addresses and refusals, with servers that keep to the rules."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller, UnixSocketController
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.smtp import Connection, Refusal
from lumilter.adapters.smtp_address import unsendable
from lumilter.adapters.smtp_content import BLOCK
from lumilter.config.address import MailServer
from support.scripted_server import Talk, scripted
from support.sink import Sink

MESSAGE = [b"Subject: a\r\n\r\n", memoryview(b"body\r\n")]


def soon(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def smtp(port: int) -> MailServer:
    return MailServer.parse(f"smtp:inet:{port}@127.0.0.1")


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as server:
        yield server


class Kept:
    """aiosmtpd's handler: keeps messages, refuses who is told to."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[str], bytes]] = []
        self.after_data: list[str] = []
        self.options: list[list[str]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address.startswith("no"):
            return "550 5.1.1 nobody"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        self.options.append(envelope.mail_options)
        return "\r\n".join(self.after_data) or "250 kept"


class Aio(Controller):
    """On a free port, which aiosmtpd can't find out by itself."""

    def factory(self) -> SMTP:
        return SMTP(self.handler, enable_SMTPUTF8=True)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class UnixLmtp(UnixSocketController):
    def factory(self) -> SMTP:
        return LMTP(self.handler)


class UnixSmtp(UnixSocketController):
    def factory(self) -> SMTP:
        return SMTP(self.handler)


def test_aiosmtpd_takes_messages_over_one_connection() -> None:
    kept = Kept()
    controller = Aio(kept, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        with Connection(smtp(controller.port), "mx.test", 10) as connection:
            assert connection.send("a@a.test", ["b@b.test", "b@b.test", "c@c.test"], MESSAGE, soon()) == {}
            assert connection.send("", ["no@b.test", "d@b.test"], [b".\r\n\xff"], soon()) == {
                "no@b.test": Refusal(550, "5.1.1 nobody")
            }
            assert connection.send("", ["no@b.test"], MESSAGE, soon()) == {"no@b.test": Refusal(550, "5.1.1 nobody")}
            assert connection.send("\u00fc@a.test", ["\u00f6@b.test"], MESSAGE, soon()) == {}
    finally:
        controller.stop()
    assert kept.messages == [
        ("a@a.test", ["b@b.test", "c@c.test"], b"Subject: a\r\n\r\nbody\r\n"),
        ("<>", ["d@b.test"], b".\r\n\xff\r\n"),
        ("\u00fc@a.test", ["\u00f6@b.test"], b"Subject: a\r\n\r\nbody\r\n"),
    ]
    assert kept.options == [[], ["BODY=8BITMIME"], ["SMTPUTF8"]]


def test_aiosmtpd_over_unix_sockets(tmp_path: Path) -> None:
    kept = Kept()
    for protocol, kind in (("lmtp", UnixLmtp), ("smtp", UnixSmtp)):
        controller = kind(kept, unix_socket=str(tmp_path / protocol))
        controller.start()
        try:
            kept.after_data = ["250 a", "452 4.2.2 b is full", "550 5.0.0 c"] if protocol == "lmtp" else []
            server = MailServer.parse(f"{protocol}:unix:{tmp_path / protocol}")
            with Connection(server, "mx.test", 10) as connection:
                refused = connection.send(
                    "a@a.test", ["a@b.test", "no@b.test", "b@b.test", "c@b.test"], MESSAGE, soon()
                )
                again = connection.send("a@a.test", ["no@b.test"], MESSAGE, soon())
        finally:
            controller.stop()
        expected = {"no@b.test": Refusal(550, "5.1.1 nobody")}
        assert again == expected
        if protocol == "lmtp":
            expected |= {"b@b.test": Refusal(452, "4.2.2 b is full"), "c@b.test": Refusal(550, "5.0.0 c")}
        assert refused == expected
    assert [message[1] for message in kept.messages] == [["a@b.test", "b@b.test", "c@b.test"]] * 2


@pytest.mark.parametrize(
    "address",
    ["a\r\nRCPT TO:<b>", "a\nb", "a\0b", "a>b", "a<b", "a b@c", '"a', 'a\\"b> SIZE=1@c', '"a\r"@b', '"a\x7f"@b',
     "\udcff@b", "a" * 600, '"a\\', "\t@b"],
)  # fmt: skip
def test_addresses_that_are_never_sent(sink: Sink, address: str) -> None:
    before = len(sink.messages)
    with Connection(smtp(sink.port), "mx.test", 10) as connection:
        refused = connection.send("a@a.test", [address, "", "b@b.test"], MESSAGE, soon())
        assert {who: why.code for who, why in refused.items()} == {address: 553, "": 553}
        refused = connection.send(address, ["b@b.test", "c@c.test"], MESSAGE, soon())
        assert {who: why.code for who, why in refused.items()} == {"b@b.test": 553, "c@c.test": 553}
    assert [message.recipients for message in sink.messages[before:]] == [("b@b.test",)]


@pytest.mark.parametrize("address", ['"a b>c"@d.test', '"a\\"<> b"@d.test', "a@[IPv6:::1]", "@r.test:a@b.test", '""@b'])
def test_odd_addresses_that_are_sent(sink: Sink, address: str) -> None:
    with Connection(smtp(sink.port), "mx.test", 10) as connection:
        assert connection.send(address, [address], MESSAGE, soon()) == {}
    assert (sink.messages[-1].sender, sink.messages[-1].recipients) == (address, (address,))


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('ab@"\\<> \r\n\0\u00fc\udc80') | st.characters(codec=None), max_size=40))
def test_no_address_closes_the_bracket_or_the_line(address: str) -> None:
    if not unsendable(address, True):
        quoted, escaped = False, False
        for char in address:
            assert char not in "\r\n\0"
            assert quoted or char not in "<> \\"
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = not quoted
        assert not quoted
        address.encode()


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello(b"8BITMIME")
        talk.commands(b"250 a", b"250 b", b"354 go")
        talk.data()
        talk.say(b"250 kept")
        talk.wait()

    with scripted(talk) as server, Connection(server.server, "mx.test", 10) as connection:
        refused = connection.send("a@a.test", ["\u00fc@b.test", "b@b.test"], [b"\xff"], soon())
        assert list(refused) == ["\u00fc@b.test"]
        assert refused["\u00fc@b.test"].code == 553
        assert "SMTPUTF8" in refused["\u00fc@b.test"].text
        assert server.talks[0].heard[1:] == [b"MAIL FROM:<a@a.test> BODY=8BITMIME", b"RCPT TO:<b@b.test>", b"DATA"]
        assert set(connection.send("\u00fc@a.test", ["b@b.test"], [b""], soon())) == {"b@b.test"}


def test_an_old_server_gets_helo_and_no_parameters() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.say(b"220 old")
        talk.commands(b"502 what", b"250 old", b"250 a", b"250 b", b"354 go")
        assert talk.data() == b"\xff\r\n"
        talk.say(b"250")
        talk.wait()

    with scripted(talk) as server, Connection(server.server, "mx.test", 10) as connection:
        assert connection.send("a@a.test", ["b@b.test"], [b"\xff"], soon()) == {}
        assert server.talks[0].heard[1:3] == [b"helo mx.test", b"MAIL FROM:<a@a.test>"]


def test_long_and_many_lines_are_one_text() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.command(b"250-a", b"250-b", b"250 c")
        talk.command(b"550-5.1.1 no\x1b[2J", b"550-5.1.1 \xff", b"550 " + b"x" * 10000)
        talk.command(b"250 reset")
        talk.wait()

    with scripted(talk) as server, Connection(server.server, "mx.test", 10) as connection:
        refusal = connection.send("a@a.test", ["b@b.test"], MESSAGE, soon())["b@b.test"]
    assert refusal.code == 550
    assert refusal.text.startswith("5.1.1 no [2J 5.1.1 \ufffd xxx")
    assert refusal.text.isprintable()
    assert len(refusal.text) < 400


def test_refusals_at_each_command() -> None:
    replies = iter([b"550 5.7.1 not you", b"250 a", b"250 b", b"452 4.3.1 no room", b"250 reset",
                    b"250 a", b"250 b", b"354 go"])  # fmt: skip

    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        for reply in replies:
            talk.command(reply)
        talk.data()
        talk.say(b"554 5.6.0 bad content")
        talk.command(b"250 a")
        talk.wait()

    with scripted(talk) as server, Connection(server.server, "mx.test", 10) as connection:
        for expected in ("550 5.7.1 not you", "452 4.3.1 no room", "554 5.6.0 bad content"):
            refused = connection.send("a@a.test", ["b@b.test"], MESSAGE, soon())
            assert {who: str(why) for who, why in refused.items()} == {"b@b.test": expected}
        assert len(server.talks) == 1


@pytest.mark.parametrize("goodbye", [b"421 4.4.2 idle for too long", b""])
def test_a_connection_closed_between_messages_is_opened_again(goodbye: bytes) -> None:
    """And what the new one offers counts."""

    def talk(talk: Talk, number: int) -> None:
        talk.hello(*[b"SMTPUTF8"] * number)
        talk.command(b"250 a")
        talk.commands(*[b"250 b"] * (number + 1), b"354 go")
        talk.data()
        talk.say(b"250 kept")
        if number:
            talk.wait()
        elif goodbye:
            talk.command(goodbye)

    with scripted(talk) as server, Connection(server.server, "mx.test", 10) as connection:
        assert connection.send("a@a.test", ["b@b.test"], MESSAGE, soon()) == {}
        assert connection.send("a@a.test", ["b@b.test", "\u00fc@b.test"], MESSAGE, soon()) == {}
        assert [one.heard[1] for one in server.talks] == [b"MAIL FROM:<a@a.test>", b"MAIL FROM:<a@a.test> SMTPUTF8"]
        assert server.talks[1].heard[3] == "RCPT TO:<\u00fc@b.test>".encode()


def test_lmtp_answers_for_some_and_closes() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.commands(b"250 m", b"250 a", b"550 b", b"250 c", b"250 d", b"354 go")
        talk.data()
        talk.say(b"250 a is kept")

    with scripted(talk, "lmtp") as server, Connection(server.server, "mx.test", 10) as connection:
        refused = connection.send("a@a.test", ["a", "b", "c", "d"], MESSAGE, soon())
        assert server.talks[0].heard[0] == b"lhlo mx.test"
    assert {who: why.code for who, why in refused.items()} == {"b": 550, "c": 451, "d": 451}
    assert "may have taken" in refused["c"].text


def test_ten_thousand_recipients_to_a_server_that_takes_a_thousand_at_once() -> None:
    taken: list[list[bytes]] = []

    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        batch: list[bytes] = []
        over = 0
        while True:
            command = talk.command()
            if command.startswith(b"RCPT") and len(batch) == 1000:
                over += 1
                talk.say(b"452 4.5.3 too many recipients" if over < 20 else b"421 4.7.0 too many errors")
            elif command.startswith(b"RCPT"):
                batch.append(command)
                talk.say(b"250 fine")
            elif command == b"DATA":
                talk.say(b"354 go")
                talk.data()
                taken.append(batch)
                batch = []
                over = 0
                talk.say(b"250 kept")
            else:
                talk.say(b"250 fine")

    recipients = [f"r{number}@b.test" for number in range(10_000)]
    with scripted(talk) as server, Connection(server.server, "mx.test", 10) as connection:
        assert connection.send("a@a.test", recipients, MESSAGE, soon(120)) == {}
        assert len(server.talks) == 1
    assert [len(batch) for batch in taken] == [1000] * 10
    assert [line for batch in taken for line in batch] == [f"RCPT TO:<{who}>".encode() for who in recipients]


def test_who_was_served_by_a_first_transaction_stays_so_when_the_second_fails() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.hello()
        talk.command(b"250 m")
        for _ in range(150):
            talk.command(b"250 r")
        talk.commands(b"452 4.5.3 too many", b"354 go")
        talk.data()
        talk.say(b"250 kept")

    recipients = [f"r{number}@b.test" for number in range(160)]

    def closing(talk_: Talk, number: int) -> None:
        if number == 0:
            talk(talk_, number)

    with scripted(closing) as server, Connection(server.server, "mx.test", 10) as connection:
        refused = connection.send("a@a.test", recipients, MESSAGE, soon())
    assert list(refused) == recipients[150:]
    assert {why.code for why in refused.values()} == {451}


def test_a_content_that_fails_is_not_sent(sink: Sink) -> None:
    class Broken(list[bytes]):
        reads = 0

        def __iter__(self) -> Iterator[bytes]:
            self.reads += 1
            yield b"Subject: a\r\n\r\n" * BLOCK
            if self.reads == 2:
                raise OSError("disk")

    before = len(sink.messages)
    with Connection(smtp(sink.port), "mx.test", 10) as connection:
        with pytest.raises(OSError, match="disk"):
            connection.send("a@a.test", ["b@b.test"], Broken(), soon())
        assert connection.send("a@a.test", ["b@b.test"], MESSAGE, soon()) == {}
    assert [message.raw for message in sink.messages[before:]] == [b"Subject: a\r\n\r\nbody\r\n"]
