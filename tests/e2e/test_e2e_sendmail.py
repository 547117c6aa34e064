"""`lumilter serve` behind a real Sendmail: what is not the same as behind Postfix, and that the rest is.

The law: conversations say what a policy does; here is what Sendmail itself adds to it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.daemon import Daemon, write
from support.postfix import free_port
from support.sendmail import PrivateSendmail, Unavailable
from support.sink import Received, Sink
from support.smtp_client import SmtpClient

Serving = Callable[[str], AbstractContextManager[Daemon]]


@dataclass
class Site:
    """mta: asks the milter on `socket`; sink: where its mail ends."""

    mta: PrivateSendmail
    socket: Path
    sink: Sink

    @property
    def port(self) -> int:
        return self.mta.smtp_port

    def recipients(self, count: int) -> list[str]:
        """Recipients of what arrived, sorted, once there are `count`; Sendmail may deliver a message in parts."""
        with self.sink.arrived:
            self.sink.arrived.wait_for(lambda: len(self._recipients()) >= count, 30)
        return sorted(self._recipients())

    def _recipients(self) -> list[str]:
        return [recipient for message in self.sink.messages for recipient in message.recipients]

    def message(self) -> Received:
        """The first that arrives."""
        return self.sink.wait(1)[0]


@pytest.fixture(scope="module")
def sendmail() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="lumilter-e2e-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        socket = directory / "m.sock"
        with Sink() as sink:
            try:
                mta = PrivateSendmail(directory / "mta", f"local:{socket}", free_port(), sink.port)
                mta.start()
            except Unavailable as error:
                pytest.skip(str(error))
            try:
                yield Site(mta, socket, sink)
            finally:
                mta.stop()


@pytest.fixture
def site(sendmail: Site) -> Site:
    sendmail.sink.messages.clear()
    return sendmail


@pytest.fixture
def serving(site: Site, tmp_path: Path) -> Serving:
    return lambda policy: Daemon(write(tmp_path / "etc", site.socket, [policy]), tmp_path / "log")


def test_refusals_keep_code_status_and_text(site: Site, serving: Serving) -> None:
    policy = """
    function mod:validate_ehlo(str, ac, vctx)
      if tostring(str) == "bad.example" then vctx:set_code(550, "5.7.1 100% no") end
    end
    function mod:validate_mailfrom(str, ac, vctx)
      if tostring(str) == "spam@example.org" then vctx:set_code(554, "5.7.1 not from you\\nsee example.com") end
    end
    function mod:validate_rcptto(msg, str, ac, vctx)
      if tostring(str) == "later@example.com" then vctx:set_code(451, "4.7.1 later") end
    end
    function mod:validate_data(msg, ac, vctx)
      if msg:header("Subject")[1] == "spam" then vctx:set_code(550, "5.7.1 one\\ntwo") end
    end
"""
    with serving(policy), SmtpClient(site.port) as client:
        client.ask("EHLO bad.example")  # Sendmail keeps the refusal for the next command
        assert client.ask("MAIL FROM:<ann@example.org>") == "550 5.7.1 100% no"
    with serving(policy), SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com", sender="spam@example.org").startswith("554 5.7.1 not from you / ")
        assert client.deliver("later@example.com") == "451 4.7.1 later"
        client.ask("RSET")
        spam = b"Subject: spam\r\n\r\nx\r\n"
        assert client.deliver("bob@example.com", message=spam) == "550 5.7.1 one / 5.7.1 two"
        assert client.deliver("bob@example.com").startswith("250 ")
        assert site.recipients(1) == ["bob@example.com"]


def test_a_refused_connection_gets_sendmails_own_text(site: Site, serving: Serving) -> None:
    policy = 'function mod:validate_connect(ac, vctx) vctx:set_code(554, "5.7.1 no") end'
    with serving(policy), SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com")[:1] == "5"
    assert site.sink.messages == []


def test_headers_are_edited(site: Site, serving: Serving) -> None:
    policy = """
    function mod:validate_data(msg)
      msg:header("Subject", "[tag] " .. msg:header("Subject")[1])
      msg:header("X-Secret", "")
      msg:header("X-First", "top", "prepend")
      msg:header("X-Last", "bottom", "append")
    end
"""
    message = (
        b"From: a@example.org\r\nX-Secret: 1\r\nX-Kept: \xff 8-bit\r\nx-secret: 2\r\nSubject: x\r\n\r\n8-bit \xff\r\n"
    )
    with serving(policy), SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com", message=message).startswith("250 ")
        arrived = site.message()
    own = [(name, value) for name, value in arrived.headers if name not in (b"Received", b"Date", b"Message-Id")]
    assert own == [
        (b"X-First", b"top"),
        (b"From", b"a@example.org"),
        (b"X-Kept", b"\xff 8-bit"),
        (b"Subject", b"[tag] x"),
        (b"X-Last", b"bottom"),
    ]
    assert arrived.body == b"8-bit \xff\r\n"


def test_added_headers_of_one_name_keep_their_order(site: Site, serving: Serving) -> None:
    policy = """
    function mod:validate_data(msg)
      msg:header("X-New", { "1", "2" }, "append")
      msg:header("X-Old", { "1", "2" }, "append")
    end
"""
    with serving(policy), SmtpClient(site.port) as client:
        client.deliver("bob@example.com", message=b"From: a@example.org\r\nX-Old: 0\r\n\r\nx\r\n")
        arrived = site.message()
    assert (arrived.values(b"X-New"), arrived.values(b"X-Old")) == ([b"1", b"2"], [b"0", b"1", b"2"])


def test_recipients_and_sender_are_changed(site: Site, serving: Serving) -> None:
    policy = """
    function mod:validate_data(msg, ac, vctx)
      vctx:remove_recipient("drop@example.com")
      vctx:add_recipient("archive@example.net")
      msg:mailfrom("bounce@example.net")
    end
    function mod:validate_data_spool_each_rcpt(msg)
      if msg:rcptto() == "old@example.com" then msg:rcptto("new@example.com") end
      if msg:rcptto() == "trap@example.com" then msg:discard("550 trap") end
    end
"""
    with serving(policy), SmtpClient(site.port) as client:
        heard = client.deliver("old@example.com", "Drop@Example.com", "trap@example.com", "bob@example.com")
        assert heard.startswith("250 ")
        assert site.recipients(3) == ["archive@example.net", "bob@example.com", "new@example.com"]
    assert {message.sender for message in site.sink.messages} == {"bounce@example.net"}


def test_a_discarded_message_is_told_250_and_goes_nowhere(site: Site, serving: Serving) -> None:
    policy = """
    function mod:validate_data(msg) if msg:header("Subject")[1] == "drop" then msg:discard("550 5.7.1 dropped") end end
"""
    with serving(policy) as daemon, SmtpClient(site.port) as client:
        assert client.deliver("gone@example.com", message=b"Subject: drop\r\n\r\nx\r\n").startswith("250 ")
        assert client.deliver("bob@example.com").startswith("250 ")
        assert site.recipients(1) == ["bob@example.com"]
        daemon.wait_log('reason="550 5.7.1 dropped"')


def test_a_held_message_is_not_delivered(site: Site, serving: Serving) -> None:
    policy = (
        'function mod:validate_data(msg) if msg:header("Subject")[1] == "odd" then msg:quarantine("looks odd") end end'
    )
    with serving(policy), SmtpClient(site.port) as client:
        assert client.deliver("held@example.com", message=b"Subject: odd\r\n\r\nx\r\n").startswith("250 ")
        assert client.deliver("bob@example.com").startswith("250 ")
        assert site.recipients(1) == ["bob@example.com"]
        assert "looks odd" in site.mta.log


def test_a_script_error_is_one_sessions_own(site: Site, serving: Serving) -> None:
    policy = """
    function mod:validate_mailfrom(str)
      if tostring(str) == "bad@example.org" then error("boom") end
    end
"""
    with serving(policy) as daemon:

        def deliver(number: int) -> str:
            with SmtpClient(site.port) as client:
                sender = "bad@example.org" if number == 5 else "ann@example.org"
                return client.deliver(f"to{number}@example.com", sender=sender)

        with ThreadPoolExecutor(10) as pool:
            heard = list(pool.map(deliver, range(10)))
        assert heard.pop(5) == "451 4.3.0 local policy error"
        assert all(answer.startswith("250 ") for answer in heard), heard
        assert site.recipients(9) == sorted(f"to{number}@example.com" for number in range(10) if number != 5)
        (line,) = daemon.errors
        assert "policy.lua:4: boom script=policy.lua line=4" in line


def test_several_messages_and_a_reset_on_one_connection(site: Site, serving: Serving) -> None:
    policy = """
    function mod:validate_mailfrom(str) self.count = (self.count or 0) + 1 end
    function mod:validate_data(msg) msg:header("X-Count", tostring(self.count)) end
"""
    with serving(policy), SmtpClient(site.port) as client:
        assert client.deliver("one@example.com").startswith("250 ")
        for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<reset@example.com>", "RSET"):
            assert client.ask(line).startswith("250 ")
        assert client.deliver("two@example.com").startswith("250 ")
        assert site.recipients(2) == ["one@example.com", "two@example.com"]
    counts = {message.recipients[0]: message.values(b"X-Count") for message in site.sink.messages}
    assert counts == {"one@example.com": [b"1"], "two@example.com": [b"3"]}


def test_no_daemon_means_come_back_later(site: Site) -> None:
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com")[:1] == "4"
    assert site.sink.messages == []
