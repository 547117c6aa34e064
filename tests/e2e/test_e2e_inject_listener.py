"""The listener that `lumilter postfix-config` prints, in a Postfix whose settings for clients would all be in its way.

The law: each setting is seen to work on an ordinary port of the same Postfix, and to do nothing on the listener.
"""

from __future__ import annotations

import os
import smtplib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lumilter.cli import main
from support.postfix import PrivatePostfix, free_port, settings
from support.sink import Received, Sink

MESSAGE = b"From: ann\r\nSubject: x\r\n\r\nbody\r\n"
CONFIG = """
[routing]
enabled = true
[inject]
server = "smtp:inet:{inject}@127.0.0.1"
[[binding]]
name = "one"
address = "127.0.0.2"
[[binding]]
name = "gone"
address = "192.0.2.77"
[[route]]
domain = "example.com"
nexthop = "[127.0.0.1]:{sink}"
[[script]]
name = "policy"
source = "policy.lua"
"""


@dataclass
class Listener:
    """mta: Postfix; port: the listener; sink: where everything goes."""

    mta: PrivatePostfix
    port: int
    sink: Sink

    def send(self, *recipients: str, message: bytes = MESSAGE, sender: str = "ann@example.org") -> list[Received]:
        """What arrived of a message that the listener took for all of them."""
        self.sink.messages.clear()
        utf8 = [] if "".join(recipients).isascii() else ["SMTPUTF8"]
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            assert client.sendmail(sender, recipients, message, utf8) == {}
        self.mta.wait_empty()
        return list(self.sink.messages)


@contextmanager
def listening(directory: Path, **own: str) -> Iterator[Listener]:
    """own: settings of main.cf; DIRECTORY is one of theirs."""
    if os.geteuid():
        pytest.skip("a Postfix of one's own needs root")
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        port = free_port()
        (directory / "policy.lua").touch()
        (directory / "lumilter.toml").write_text(CONFIG.format(inject=port, sink=sink.port))
        tables = directory / "tables"
        assert main(["postfix-config", "-c", str(directory / "lumilter.toml"), "--write", str(tables)]) == 0
        services = (tables / "master.cf.add").read_text().splitlines()
        lines = settings((tables / "main.cf.add").read_text())
        lines |= {name: value.replace("DIRECTORY", str(directory)) for name, value in own.items()}
        mta = PrivatePostfix(directory / "mta", "", 0, sink.port, lines, services)
        yield Listener(stack.enter_context(mta), port, sink)


def refusal(port: int, *recipients: str, message: bytes = MESSAGE, sender: str = "ann@example.org") -> str:
    """How an ordinary port refuses a message, or the last of its recipients; "" if it takes it."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            refused = client.sendmail(sender, recipients, message)
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except smtplib.SMTPResponseException as error:
        return f"{error.smtp_code} {error.smtp_error!r}"
    return str(list(refused.values())[-1]) if refused else ""


LOCAL = {"mydestination": "local.example", "local_recipient_maps": "inline:{known=1}"}
LOCAL["local_transport"] = "discard"
IN_THE_WAY = {
    "maps of milters": ({"smtpd_milter_maps": "inline:{127.0.0.1=unix:DIRECTORY/absent}"}, "451"),
    "unknown recipients": (LOCAL, "550"),
    "a recipient restriction": ({"smtpd_recipient_restrictions": "reject"}, "554"),
    "a sender restriction": ({"smtpd_sender_restrictions": "reject"}, "554"),
    "a greeting restriction": ({"smtpd_helo_restrictions": "reject"}, "554"),
    "a data restriction": ({"smtpd_data_restrictions": "reject"}, "554"),
    "an end of data restriction": ({"smtpd_end_of_data_restrictions": "reject"}, "554"),
    "a client restriction": ({"smtpd_client_restrictions": "reject"}, "554"),
    "networks": ({"mynetworks": "192.0.2.0/24"}, "554"),
    "TLS": ({"smtpd_tls_security_level": "encrypt"}, "530"),
    "a filter in front": ({"smtpd_proxy_filter": "127.0.0.1:1", "notify_classes": ""}, "451"),
    "header checks": ({"header_checks": "regexp:{{/^Subject:/ REJECT}}"}, "550"),
    "body checks": ({"body_checks": "regexp:{{/body/ REJECT}}"}, "550"),
}
"""What an ordinary port says to an ordinary message, or to one for unknown@local.example."""


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_refuses_clients_does_not_refuse_lumilter(name: str, place: Path) -> None:
    own, code = IN_THE_WAY[name]
    recipient = "unknown@local.example" if own is LOCAL else "bob@example.com"
    with listening(place, **own) as site:
        assert code in refusal(site.mta.smtp_port, recipient)
        assert refusal(site.port, recipient) == ""
        site.mta.wait_empty()
        assert [each.recipients for each in site.sink.messages] == ([] if own is LOCAL else [("bob@example.com",)])


def test_senders_that_do_not_exist(place: Path) -> None:
    with listening(place, smtpd_reject_unlisted_sender="yes", **LOCAL) as site:
        assert "550" in refusal(site.mta.smtp_port, "bob@example.com", sender="noreply@local.example")
        assert site.send("bob@example.com", sender="noreply@local.example")


def test_a_message_that_a_script_made_larger(place: Path) -> None:
    large = MESSAGE + (b"y" * 70 + b"\r\n") * 1000
    with listening(place, message_size_limit="20000") as site:
        assert "552" in refusal(site.mta.smtp_port, "bob@example.com", message=large)
        (found,) = site.send("bob@example.com", message=large)
        assert len(found.body) == len(large) - len(MESSAGE) + len(b"body\r\n")


def test_many_recipients(place: Path) -> None:
    many = [f"u{number}@example.com" for number in range(200)]
    with listening(place, smtpd_recipient_limit="10") as site:
        assert "452" in refusal(site.mta.smtp_port, *many[:12])
        assert {to for each in site.send(*many) for to in each.recipients} == set(many)


def test_many_recipients_that_are_refused(place: Path) -> None:
    """The listener does not hang up on one that is not refused."""
    with listening(place, smtpd_hard_error_limit="5", smtpd_soft_error_limit="5") as site:
        for port, last in ((site.mta.smtp_port, 421), (site.port, 501)):
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
                client.ehlo()
                client.mail("ann@example.org")
                codes = [client.docmd("RCPT", "TO:<no address")[0] for _ in range(6)]
                assert codes == [501] * 5 + [last]


def test_many_sessions(place: Path) -> None:
    own = {"smtpd_client_event_limit_exceptions": "", "smtpd_client_connection_rate_limit": "1"}
    with listening(place, **own) as site:
        assert ["421" in refusal(site.mta.smtp_port, "bob@example.com") for _ in range(3)] == [False, True, True]
        assert [refusal(site.port, "bob@example.com") for _ in range(3)] == ["", "", ""]


def test_eight_bits_whatever_clients_are_offered(place: Path) -> None:
    every = "8bitmime,smtputf8,size,dsn,pipelining,chunking"
    with listening(place, smtpd_discard_ehlo_keywords=every) as site:
        with smtplib.SMTP("127.0.0.1", site.mta.smtp_port, timeout=30) as client:
            client.ehlo()
            assert not (client.has_extn("8bitmime") or client.has_extn("smtputf8"))
        raw = "From: ann@example.org\r\nSubject: blå\r\n\r\nbødy\r\n".encode()
        (found,) = site.send("bøb@exämple.com", message=raw)
        assert found.recipients == ("bøb@exämple.com",)
        assert found.raw.endswith(raw)


def test_headers_stay_as_they_are(place: Path) -> None:
    """What remote clients sent gets no domain of this site's, and no Date, on its second way in."""
    with listening(place, local_header_rewrite_clients="permit_inet_interfaces") as site:
        (found,) = site.send("bob@example.com")
        assert [(name, value) for name, value in found.headers if name != b"Received"] == [
            (b"From", b"ann"), (b"Subject", b"x"),
        ]  # fmt: skip
        assert refusal(site.mta.smtp_port, "bob@example.com") == ""
        assert site.sink.wait(2)[1].values(b"From") == [b"ann@mx.test"]


def test_addresses_are_mapped_and_copies_are_not_made(place: Path) -> None:
    """A milter is told the client's recipients, before aliases; the copies are with the message that came."""
    copies = {"always_bcc": "a@example.net"}
    copies["recipient_bcc_maps"] = "inline:{bob@example.com=b@example.net}"
    copies["sender_bcc_maps"] = "inline:{ann@example.org=c@example.net}"
    with listening(place, virtual_alias_maps="inline:{alias@example.com=real@example.com}", **copies) as site:
        assert {to for each in site.send("alias@example.com", "bob@example.com") for to in each.recipients} == {
            "real@example.com", "bob@example.com",
        }  # fmt: skip
        site.sink.messages.clear()
        assert refusal(site.mta.smtp_port, "bob@example.com") == ""
        site.mta.wait_empty()
        assert len({to for each in site.sink.messages for to in each.recipients}) == 4


def test_a_content_filter_is_not_asked_again(place: Path) -> None:
    with listening(place, content_filter="error:filtered") as site:
        assert site.send("bob@example.com")
        assert refusal(site.mta.smtp_port, "bob@example.com") == ""
        site.mta.wait_log("filtered")


def test_milters_for_mail_of_this_machine_are_not_asked(place: Path) -> None:
    with listening(place, non_smtpd_milters="unix:DIRECTORY/absent", milter_default_action="tempfail") as site:
        assert site.send("bob@example.com")
        site.mta.submit(b"Subject: x\n\nx\n", "bob@example.com")
        site.mta.wait_log("connect to Milter service unix:")


def test_another_machine_may_not_use_it(place: Path) -> None:
    """It listens on the loopback address; what comes from elsewhere all the same is refused."""
    with listening(place, smtpd_authorized_xclient_hosts="127.0.0.1", mynetworks="127.0.0.1 192.0.2.0/24") as site:
        with smtplib.SMTP("127.0.0.1", site.port, timeout=30) as client:
            assert client.docmd("XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]")[0] == 220
            client.ehlo()
            client.mail("ann@example.org")
            assert client.rcpt("bob@example.com")[0] == 554
        with smtplib.SMTP("127.0.0.1", site.mta.smtp_port, timeout=30) as client:
            assert client.docmd("XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]")[0] == 220
            client.ehlo()
            client.mail("ann@example.org")
            assert client.rcpt("bob@example.com")[0] == 250


def test_a_binding_without_its_address_waits(place: Path) -> None:
    """Rather than to leave from another address, which may cost that one its reputation."""
    with listening(place) as site:
        route = b"X-Lumilter-Route: binding-gone:[127.0.0.1]:%d\r\n" % site.sink.port
        with smtplib.SMTP("127.0.0.1", site.port, timeout=30) as client:
            client.sendmail("ann@example.org", ["bob@example.com"], route + MESSAGE)
        site.mta.wait_log("status=deferred")
        assert "Cannot assign requested address" in site.mta.maillog()
        assert site.sink.messages == []
        (waiting,) = site.mta.queue()
        site.mta.delete(waiting["queue_id"])


def test_the_private_header_counts_in_the_message_s_own_headers_only(place: Path) -> None:
    inner = b"X-Lumilter-Route: binding-gone:\r\nSubject: inner\r\n\r\nx\r\n"
    kinds = (
        b"Content-Type: message/rfc822\r\n\r\n" + inner,
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + inner + b"--b--\r\n",
    )
    with listening(place) as site:
        for head in kinds:
            (found,) = site.send("bob@example.com", message=b"Subject: x\r\n" + head)
            assert inner in found.raw
            assert found.peer == "127.0.0.1"


@pytest.mark.parametrize("header", [b"X-Lumilter-Route: discard:", b"x-lumilter-ROUTE: nowhere", b"X-Lumilter-Route:"])
def test_what_is_not_obeyed_is_removed_with_a_line_in_the_log(header: bytes, place: Path) -> None:
    with listening(place) as site:
        (found,) = site.send("bob@example.com", message=header + b"\r\n" + MESSAGE)
        assert b"lumilter" not in found.raw.lower()
        strips = [line for line in site.mta.maillog().splitlines() if ": strip: header " in line]
        assert len(strips) == 1
        assert strips[0].endswith("not a transport of lumilter's")
