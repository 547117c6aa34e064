"""Bindings, routing domains and injected mail through a Postfix that has the lines of `lumilter postfix-config`."""

from __future__ import annotations

import os
import smtplib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from lumilter.cli import main
from support.daemon import Daemon, write
from support.ports import free_port
from support.postfix import PrivatePostfix, settings
from support.sink import Received, Sink
from support.smtp_client import SmtpClient

POLICY = """
require("msys.extended.message")
require("msys.extended.message_routing")
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local to = msg:rcptto()
  if to:find("^routed") then msg:routing_domain("sms.example.com") end
  if to:find("^boxed") then msg:routing_domain("boxes.example.com") end
  if to:find("^different") then msg:header("X-For", to) end
  if to:find("^fast") then msg.priority = 1 end
  if to:find("^copied") then msg:copy():inject("", "archive@example.com") end
end
function mod:validate_set_binding(msg)
  local binding = msg:rcptto():match("[.](%a+)@")
  if binding and not msg:binding(binding) then msg:header("X-Unknown", binding) end
  if msg:rcptto():find("^group") then msg:binding_group("marketing") end
end
"""

CONFIG = """
[routing]
enabled = true
priority = "smtp-priority"
[inject]
server = "smtp:inet:{inject}@127.0.0.1"
outbox = "{outbox}"
retry = 1
[[binding]]
name = "one"
address = "127.0.0.2"
helo = "one.example.net"
[[binding]]
name = "two"
address = "127.0.0.3"
group = "marketing"
[[route]]
domain = "sms.example.com"
nexthop = "[127.0.0.1]:{other}"
[[route]]
domain = "boxes.example.com"
nexthop = "inet:127.0.0.1:{boxes}"
transport = "lmtp"
[[route]]
domain = "local.example"
nexthop = "[127.0.0.1]:{sink}"
[[route]]
domain = "example.com"
nexthop = "[127.0.0.1]:{sink}"
"""


class Boxes(Controller):
    """An LMTP server on a free port, which aiosmtpd can't find out by itself. raw: the messages."""

    def __init__(self) -> None:
        super().__init__(self, hostname="127.0.0.1", port=0)
        self.raw: list[bytes] = []

    def factory(self) -> SMTP:
        return LMTP(self)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.raw.append(envelope.content)
        return "250 2.0.0 kept"


@dataclass
class Routed:
    """mta: Postfix; sink: where it sends what is not routed; other, boxes: the routing domains' hosts."""

    mta: PrivatePostfix
    sink: Sink
    other: Sink
    boxes: Boxes
    inject: int
    filtered: int
    outbox: Path
    daemon: Daemon

    def send(self, *recipients: str, message: bytes = b"Subject: x\r\n\r\nbody\r\n", port: int = 0) -> list[Received]:
        """What arrived, at either host, of a message for these."""
        self.sink.messages.clear()
        self.other.messages.clear()
        with SmtpClient(port or self.mta.smtp_port) as client:
            assert client.deliver(*recipients, message=message).startswith("250 ")
        self.mta.wait_empty()
        found = [*self.sink.messages, *self.other.messages]
        assert not any(b"lumilter-route" in each.raw.lower() for each in found)
        return found


@pytest.fixture(scope="module")
def routed(reachable: Callable[[str], Path]) -> Iterator[Routed]:
    if os.geteuid():
        pytest.skip("a Postfix of one's own needs root")
    directory = reachable("routed")
    with ExitStack() as stack:
        sink, other, boxes = stack.enter_context(Sink()), stack.enter_context(Sink()), Boxes()
        boxes.start()
        stack.callback(boxes.stop)
        inject = free_port()
        socket = directory / "m.sock"
        outbox = directory / "outbox"
        ports = {"inject": inject, "other": other.port, "sink": sink.port, "boxes": boxes.port}
        more = CONFIG.format(outbox=outbox, **ports)
        file = write(directory / "etc", socket, [POLICY], more)
        tables = directory / "tables"
        assert main(["postfix-config", "-c", str(file), "--tables", str(tables), "--write", str(tables)]) == 0
        services = (tables / "master.cf.add").read_text().splitlines()
        own = settings((tables / "main.cf.add").read_text())
        filtered = free_port()
        services.append(f"127.0.0.1:{filtered} inet n - n - - smtpd -o content_filter=discard:")
        own |= {"mydestination": "local.example", "local_recipient_maps": "", "local_transport": "discard"}
        mta = PrivatePostfix(directory / "mta", f"unix:{socket}", 0, sink.port, own, services)
        stack.enter_context(mta)
        daemon = stack.enter_context(Daemon(file, directory / "log"))
        yield Routed(mta, sink, other, boxes, inject, filtered, outbox, daemon)


def test_two_bindings_leave_from_two_addresses(routed: Routed) -> None:
    (plain,) = routed.send("plain@example.com")
    assert plain.peer == "127.0.0.1"
    (one,) = routed.send("a.one@example.com")
    assert (one.peer, one.helo) == ("127.0.0.2", "one.example.net")
    (two,) = routed.send("a.two@example.com")
    assert two.peer == "127.0.0.3"


def test_recipients_with_bindings_of_their_own(routed: Routed) -> None:
    """One binding stays with the MTA, the others go by the injection listener."""
    found = routed.send("a.one@example.com", "b.two@example.com", "c@example.com", "d.one@example.com")
    assert {to: each.peer for each in found for to in each.recipients} == {
        "a.one@example.com": "127.0.0.2",
        "b.two@example.com": "127.0.0.3",
        "c@example.com": "127.0.0.1",
        "d.one@example.com": "127.0.0.2",
    }


def test_a_group_and_a_name_that_is_not_configured(routed: Routed) -> None:
    (group,) = routed.send("group@example.com")
    assert group.peer == "127.0.0.3"
    (unknown,) = routed.send("a.nowhere@example.com")
    assert (unknown.peer, unknown.values(b"X-Unknown")) == ("127.0.0.1", [b"nowhere"])


def test_a_routing_domain_reaches_another_host(routed: Routed) -> None:
    routed.send("routed@example.com", "routed.one@example.com", "plain@example.com")
    assert {to: each.peer for each in routed.other.messages for to in each.recipients} == {
        "routed@example.com": "127.0.0.1",
        "routed.one@example.com": "127.0.0.2",
    }
    assert [each.recipients for each in routed.sink.messages] == [("plain@example.com",)]


def test_a_binding_goes_past_local_delivery_and_content_filters(routed: Routed) -> None:
    """Both end mail here; what they would have done is lost to mail with a binding, as docs/routing.md says."""
    assert routed.send("plain@local.example") == []
    (local,) = routed.send("a.one@local.example")
    assert local.peer == "127.0.0.2"
    assert routed.send("plain@example.com", port=routed.filtered) == []
    (unfiltered,) = routed.send("a.one@example.com", port=routed.filtered)
    assert unfiltered.peer == "127.0.0.2"


def test_priority_has_a_transport(routed: Routed) -> None:
    routed.send("fast@example.com")
    log = (routed.mta.directory / "maillog").read_text()
    assert "postfix/smtp-priority/smtp" in log


@pytest.mark.parametrize("name", [b"X-Lumilter-Route", b"x-lumilter-route"])
def test_a_client_s_own_header_is_not_obeyed(routed: Routed, name: bytes) -> None:
    forged = name + b": binding-one:[127.0.0.1]:%d\r\nSubject: x\r\n\r\nbody\r\n" % routed.other.port
    for recipient in ("plain@example.com", "different@example.com"):
        (found,) = routed.send(recipient, message=forged)
        assert found.peer == "127.0.0.1"
    assert not routed.other.messages
    assert {each.peer for each in routed.send("plain@example.com", "different@example.com", message=forged)} == {
        "127.0.0.1"
    }


def test_what_a_script_injects_comes_by_the_listener_and_not_through_the_milter(routed: Routed) -> None:
    """Through the milter the copy would be copied again, for ever."""
    before = routed.mta.maillog().count("postfix/lumilter-inject/smtpd")
    routed.send("copied@example.com")
    routed.sink.wait(2)
    routed.mta.wait_empty()
    assert sorted(to for each in routed.sink.messages for to in each.recipients) == [
        "archive@example.com", "copied@example.com",
    ]  # fmt: skip
    assert routed.mta.maillog().count("postfix/lumilter-inject/smtpd") > before


def test_a_routing_domain_by_lmtp(routed: Routed) -> None:
    """Both ways: what the MTA holds, and what parted from it."""
    for other in ((), ("plain@example.com",)):
        routed.boxes.raw.clear()
        routed.send(*other, "boxed@example.com")
        (raw,) = routed.boxes.raw
        assert b"Subject: x" in raw
        assert b"lumilter-route" not in raw.lower()


def test_the_listener_obeys_only_transports_that_are_configured(routed: Routed) -> None:
    nexthop = b"[127.0.0.1]:%d" % routed.sink.port
    for value, peer in (
        (b"binding-two:" + nexthop, "127.0.0.3"),
        (b"discard:", "127.0.0.1"),
        (b"local:x", "127.0.0.1"),
    ):
        routed.sink.messages.clear()
        with smtplib.SMTP("127.0.0.1", routed.inject) as client:
            client.sendmail("", ["x@example.com"], b"X-Lumilter-Route: " + value + b"\r\nSubject: x\r\n\r\nbody\r\n")
        routed.mta.wait_empty()
        (found,) = routed.sink.messages
        assert found.peer == peer
        assert b"lumilter-route" not in found.raw.lower()


def test_nothing_is_left_over(routed: Routed) -> None:
    assert not routed.daemon.errors
    mail = [file for each in ("new", "waiting", "failed", "bad") for file in (routed.outbox / each).iterdir()]
    assert mail == []
