"""msg:inject and msg:forward: what is promised, to whom, by which way, and when nothing is."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from lumilter.adapters.dns import FixtureResolver
from lumilter.services import Services
from lumilter.session.routing import Routing
from support.mailbox import Mailbox
from support.policy import policy

ROUTING = Routing(
    enabled=True,
    bindings={"one": "binding-one"},
    routes={"a.example": ("", "[192.0.2.1]"), "b.example": ("lmtp", "[192.0.2.2]")},
)
MADE = """
require("msys.extended.message")
local function made()
  local new = msys.core.ec_message_new(nil)
  new:build({ Subject = "made" }, { ["text/plain"] = "x" }, nil)
  return new
end
"""


def promised(tmp_path: Path, code: str, mail: Mailbox, routing: Routing | None = ROUTING) -> list[str]:
    """What a policy's errors say after one message."""
    services = Services(FixtureResolver({}), hostname="mx.example.com", mail=mail, routing=routing)
    with policy(tmp_path, MADE + code, services=services) as running:
        running.send()
        return [str(error) for error in running.errors]


def ways(mail: Mailbox) -> list[tuple[list[str], bytes]]:
    """Recipients of each message that was promised, and its private header."""
    found = []
    for _, recipients, raw in mail.promised:
        line = raw.split(b"\r\n", 1)[0]
        found.append((recipients, line.partition(b": ")[2] if line.startswith(b"X-Lumilter-Route") else b""))
    return found


def test_each_recipient_leaves_by_its_own_way(tmp_path: Path) -> None:
    """The next hop of a binding is that of the recipient's domain: one address must not take the others with it."""
    mail = Mailbox()
    code = """
function mod:validate_data(msg)
  local new = made()
  new:binding("one")
  assert(new:inject("s@x", "1@a.example, 2@c.example, 3@a.example, 4@b.example, 5@d.example"))
end
"""
    assert promised(tmp_path, code, mail) == []
    assert ways(mail) == [
        (["1@a.example", "3@a.example"], b"binding-one:[192.0.2.1]"),
        (["2@c.example", "5@d.example"], b"binding-one:"),
        (["4@b.example"], b"lmtp:[192.0.2.2]"),
    ]
    assert len({raw.partition(b"\r\n\r\n")[2] for _, _, raw in mail.promised}) == 1


def test_a_routing_domain_is_for_all_recipients(tmp_path: Path) -> None:
    mail = Mailbox()
    code = """
function mod:validate_data(msg)
  local new = made()
  new:routing_domain("a.example")
  assert(new:inject("s@x", "1@c.example, 2@d.example"))
  assert(made():inject("s@x", "1@c.example, 2@d.example"))
end
"""
    assert promised(tmp_path, code, mail) == []
    both = ["1@c.example", "2@d.example"]
    assert ways(mail) == [(both, b"smtp:[192.0.2.1]"), (both, b"")]


@pytest.mark.parametrize("routing", [None, Routing()])
def test_nothing_is_routed_that_is_not_configured(tmp_path: Path, routing: Routing | None) -> None:
    mail = Mailbox()
    code = 'function mod:validate_data(msg) made():inject("s@x", "1@a.example") made():binding("one") end'
    (error,) = promised(tmp_path, code, mail, routing)
    assert "routing needs [routing] enabled = true" in error
    assert ways(mail) == [(["1@a.example"], b"")]


def test_a_promise_that_can_not_be_kept_is_an_error(tmp_path: Path) -> None:
    code = 'function mod:validate_data(msg) made():inject("s@x", "1@a.example") end'
    (error,) = promised(tmp_path, code, Mailbox(down=True))
    assert error == "policy.lua:8: the disk is full"


def test_a_forwarded_message_is_in_the_new_one_as_it_is(tmp_path: Path) -> None:
    mail = Mailbox()
    code = """
function mod:validate_data(msg)
  msg:header("X-Seen", "1")
  assert(msg:forward("", "abuse@example.com", "L\\195\\164ngst", "=?utf-8?Q?f=C3=BCr_Sie?=", "utf-8"))
  msg:header("X-Later", "1")
  raw = msg:raw()
end
"""
    assert promised(tmp_path, code, mail) == []
    ((sender, recipients, raw),) = mail.promised
    assert (sender, recipients) == ("", ["abuse@example.com"])
    assert b"Subject: =?utf-8?Q?f=C3=BCr_Sie?=\r\n" in raw
    assert b"L=C3=A4ngst\r\n" in raw
    assert b"X-Seen: 1\r\n\r\nHello.\r\n" in raw
    assert b"X-Later" not in raw
    assert b"X-Lumilter-Hops: 1\r\n" in raw


NOTIFY = """
require("msys.rfc3464")
function mod:validate_data_spool_each_rcpt(msg)
  msg:code(550, "5.7.1 not wanted")
  result = msys.rfc3464.send_mdn(msg, msys.core.FAILED)
  print("sent", result)
end
"""


def test_a_notification_is_a_report_that_others_read(tmp_path: Path) -> None:
    mail = Mailbox()
    assert promised(tmp_path, NOTIFY, mail) == []
    ((sender, recipients, raw),) = mail.promised
    assert (sender, recipients) == ("", ["ann@example.org"])
    report = email.message_from_bytes(raw, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report"
    assert report["Auto-Submitted"] == "auto-replied"
    note, status, headers = report.iter_parts()
    assert "not wanted" in note.get_content()
    about, recipient = status.get_payload()
    assert about["Reporting-MTA"] == "dns; mx.example.com"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.7.1")
    assert recipient["Final-Recipient"] == "rfc822; bob@example.com"
    assert headers.get_content_type() == "text/rfc822-headers"


@pytest.mark.parametrize(("sender", "down"), [("", False), ("ann@example.org", True)])
def test_nobody_is_notified(sender: str, down: bool, tmp_path: Path) -> None:
    """The null sender is never told: that would be how two servers talk for ever."""
    mail = Mailbox(down=down)
    services = Services(FixtureResolver({}), hostname="mx.example.com", mail=mail)
    with policy(tmp_path, MADE + NOTIFY, services=services) as running:
        running.send(sender=sender)
        assert running.errors == []
        assert running.printed == ["sent\t0"]
    assert mail.promised == []
