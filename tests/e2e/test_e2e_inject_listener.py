"""The listener that `lumilter postfix-config` prints, in a Postfix whose settings would all be in its way.

The law: every printed option is needed. The listener takes a message that is hard to take; one that lacks an option
does not, because of what main.cf says instead.
"""

from __future__ import annotations

import os
import re
import smtplib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lumilter.cli import main
from support.ports import free_port
from support.postfix import PrivatePostfix, settings
from support.sink import Received, Sink

CONFIG = """
[routing]
enabled = true
[inject]
server = "smtp:inet:{inject}@127.0.0.1"
[[binding]]
name = "gone"
address = "192.0.2.77"
[[script]]
name = "policy"
source = "policy.lua"
"""
REFUSE = "regexp:{{{{/{}/ REJECT}}}}"
NETWORK = "127.0.0.0/8"

IN_THE_WAY = {
    "mynetworks": "192.0.2.0/24",
    "smtpd_client_restrictions": "reject",
    "smtpd_relay_restrictions": "reject",
    "smtpd_milter_maps": f"cidr:{{{{{NETWORK} unix:/absent}}}}",
    "mydestination": "local.example",
    "local_recipient_maps": "inline:{known=1}",
    "local_transport": "discard",
    "content_filter": "discard:",
    "smtpd_proxy_filter": "127.0.0.1:1",
    "smtpd_upstream_proxy_protocol": "haproxy",
    "smtpd_upstream_proxy_timeout": "1s",
    "smtpd_helo_restrictions": "reject",
    "smtpd_sender_restrictions": "reject",
    "smtpd_recipient_restrictions": "reject",
    "smtpd_data_restrictions": "reject",
    "smtpd_end_of_data_restrictions": "reject",
    "smtpd_reject_unlisted_sender": "yes",
    "smtpd_tls_security_level": "encrypt",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sasl_type": "dovecot",
    "smtpd_sasl_path": "absent",
    "message_size_limit": "20000",
    "smtpd_recipient_limit": "10",
    "smtpd_client_event_limit_exceptions": "",
    "smtpd_client_connection_rate_limit": "1",
    "smtpd_error_sleep_time": "300s",
    "smtpd_soft_error_limit": "2",
    "smtpd_hard_error_limit": "5",
    "smtpd_discard_ehlo_keywords": "smtputf8",
    "smtpd_discard_ehlo_keyword_address_maps": f"cidr:{{{{{NETWORK} 8bitmime}}}}",
    "local_header_rewrite_clients": "permit_inet_interfaces",
    "header_checks": REFUSE.format("^Subject:"),
    "mime_header_checks": REFUSE.format("^X-Part:"),
    "nested_header_checks": REFUSE.format("^X-Inner:"),
    "body_checks": REFUSE.format("yyy"),
    "always_bcc": "copy1@example.net",
    "sender_bcc_maps": "inline:{{noreply@local.example=copy2@example.net}}",
    "recipient_bcc_maps": "inline:{{u1@example.com=copy3@example.net}}",
    "notify_classes": "",
}
"""main.cf."""

SHOWN = {"syslog_name", "smtpd_milters"}
"""Options that the listener would work without: its name in the log, and what no_milters says once more."""
NEEDED = {
    "cleanup_service_name": "content rejected",
    "mynetworks": "Client host rejected",
    "smtpd_client_restrictions": "Client host rejected",
    "smtpd_relay_restrictions": "Recipient address rejected",
    "no_milters": "451 4.7.1 Service unavailable",
    "no_unknown_recipient_checks": "User unknown",
    "content_filter": "arrived at []",
    "smtpd_proxy_filter": "451 4.3.0",
    "smtpd_upstream_proxy_protocol": "421",
    "smtpd_helo_restrictions": "Helo command rejected",
    "smtpd_sender_restrictions": "Sender address rejected",
    "smtpd_recipient_restrictions": "Recipient address rejected",
    "smtpd_data_restrictions": "Data command rejected",
    "smtpd_end_of_data_restrictions": "End-of-data rejected",
    "smtpd_tls_security_level": "530 5.7.0",
    "smtpd_sasl_auth_enable": "closed",
    "smtpd:message_size_limit": "552 5.3.4",
    "smtpd_recipient_limit": "452 4.5.3",
    "smtpd_client_event_limit_exceptions": "too many connections",
    "smtpd_error_sleep_time": "timed out",
    "smtpd_hard_error_limit": "too many errors",
    "smtpd_discard_ehlo_keywords": "no 8BITMIME or no SMTPUTF8",
    "smtpd_discard_ehlo_keyword_address_maps": "no 8BITMIME or no SMTPUTF8",
    "local_header_rewrite_clients": "From: ann@mx.test",
    "header_checks": "content rejected",
    "mime_header_checks": "content rejected",
    "nested_header_checks": "content rejected",
    "body_checks": "content rejected",
    "always_bcc": "copy1@example.net",
    "sender_bcc_maps": "copy2@example.net",
    "recipient_bcc_maps": "copy3@example.net",
    "cleanup:message_size_limit": "552 5.3.4",
}
"""The others, and what happens without them; one is of both services."""

PATIENCE = {"smtpd_error_sleep_time": 2.0}
"""Seconds; for who would sleep for minutes."""

HEAD = b"From: ann\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
PARTS = (
    b"--b\r\nX-Part: 1\r\n\r\n" + (b"y" * 70 + b"\r\n") * 1000 + "bødy\r\n".encode(),
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nX-Inner: 1\r\n\r\nx\r\n",
    b"--b--\r\n",
)
MESSAGE = HEAD + b"".join(PARTS)
RECIPIENTS = [*(f"u{number}@example.com" for number in range(30)), "bøb@example.com"]


@dataclass
class Listener:
    """port: of the listener on 127.0.0.1, and on `hosts` of those without an option; sink: where everything goes."""

    mta: PrivatePostfix
    port: int
    sink: Sink
    hosts: Mapping[str, str]

    def arrived(self, raw: bytes, recipient: str = "bob@example.com") -> Received:
        """What arrived of a message to one."""
        self.sink.messages.clear()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            client.sendmail("ann@example.org", [recipient], raw)
        self.mta.wait_empty()
        (found,) = self.sink.messages
        return found


def services(text: str) -> dict[str, list[str]]:
    """A master.cf: the line of each service to its options."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("  -o "):
            found[list(found)[-1]].append(line.removeprefix("  -o "))
        elif line and not line.startswith("#"):
            found[line] = []
    return found


def without(options: Sequence[str], name: str) -> list[str]:
    """The options less one; no_... is a word in one."""
    if name.startswith("no_"):
        return [re.sub(f"{name},|,{name}$", "", option) for option in options]
    return [option for option in options if option.partition("=")[0] != name]


def variants(printed: str, hosts: Mapping[str, str]) -> Iterator[str]:
    """Lines of master.cf: the listener without each of the options, at the address of that option."""
    ((smtpd, listen), (cleanup, clean)) = list(services(printed).items())[-2:]
    for number, (option, host) in enumerate(hosts.items()):
        service, _, name = option.rpartition(":")
        less, rest = listen if service == "cleanup" else without(listen, name), clean
        if less == listen:
            rest = without(clean, name)
            less = [*without(listen, "cleanup_service_name"), f"cleanup_service_name=without-{number}"]
            assert rest != clean
        yield smtpd.replace("127.0.0.1", host)
        yield from (f"  -o {each}" for each in less)
        yield cleanup.replace("lumilter-cleanup", f"without-{number}")
        yield from (f"  -o {each}" for each in rest)


@contextmanager
def listening(directory: Path, own: Mapping[str, str]) -> Iterator[Listener]:
    """own: settings of main.cf. Beside the listener there is one without each option, on an address of its own."""
    if os.geteuid():
        pytest.skip("a Postfix of one's own needs root")
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        port = free_port()
        (directory / "policy.lua").touch()
        (directory / "lumilter.toml").write_text(CONFIG.format(inject=port))
        tables = directory / "tables"
        assert main(["postfix-config", "-c", str(directory / "lumilter.toml"), "--write", str(tables)]) == 0
        printed = (tables / "master.cf.add").read_text()
        hosts = {option: f"127.0.1.{number}" for number, option in enumerate(NEEDED, 1)}
        master = [*printed.splitlines(), *variants(printed, hosts)]
        lines = {**settings((tables / "main.cf.add").read_text()), **own}
        mta = stack.enter_context(PrivatePostfix(directory / "mta", "", 0, sink.port, lines, master))
        yield Listener(mta, port, sink, hosts)


@pytest.fixture(scope="module")
def hindered(reachable: Callable[[str], Path]) -> Iterator[Listener]:
    with listening(reachable("listener"), IN_THE_WAY) as made:
        yield made


@pytest.fixture(scope="module")
def plain(reachable: Callable[[str], Path]) -> Iterator[Listener]:
    own = {"smtpd_authorized_xclient_hosts": "127.0.0.1", "mynetworks": "127.0.0.1 192.0.2.0/24"}
    own |= {"virtual_alias_maps": "inline:{alias@example.com=real@example.com}", "non_smtpd_milters": "unix:/absent"}
    with listening(reachable("listener"), own) as made:
        yield made


def trouble(site: Listener, host: str, timeout: float) -> str:
    """What goes wrong with a message that is hard to take, in the third session of a client; "" if nothing does.

    It is of a sender who is not known here, large, for many recipients and an unknown one of this site's, after some
    that are no address, and in UTF-8; and it is to arrive as it was, and only where it was sent.
    """
    site.sink.messages.clear()
    try:
        for _ in range(2):
            with smtplib.SMTP(host, site.port, timeout=timeout) as client:
                client.ehlo()
        with smtplib.SMTP(host, site.port, timeout=timeout) as client:
            for code, reply in said(client):
                if code >= 400:
                    return f"{code} {reply.decode()}"
    except (OSError, smtplib.SMTPException) as error:  # hung up on
        return repr(error)
    site.mta.wait_empty()
    found = site.sink.messages
    if {to for each in found for to in each.recipients} != set(RECIPIENTS):
        return f"arrived at {[each.recipients for each in found]}"
    return "" if all(each.raw.endswith(b"\r\n" + MESSAGE) for each in found) else f"arrived as {found[0].raw!r}"


def said(client: smtplib.SMTP) -> Iterator[tuple[int, bytes]]:
    """Answers, none of which is to be a refusal."""
    yield client.ehlo()
    if not (client.has_extn("8bitmime") and client.has_extn("smtputf8")):
        yield 500, b"no 8BITMIME or no SMTPUTF8"
    client.command_encoding = "utf-8"
    yield client.docmd("MAIL", "FROM:<noreply@local.example> BODY=8BITMIME SMTPUTF8")
    for _ in range(6):
        code, reply = client.docmd("RCPT", "TO:<no address")
        yield (250, b"as expected") if code == 501 else (500, b"not 501 but " + reply)
    for recipient in (*RECIPIENTS, "unknown@local.example"):
        yield client.docmd("RCPT", f"TO:<{recipient}>")
    yield client.data(MESSAGE)


def test_it_takes_what_is_hard_to_take(hindered: Listener) -> None:
    assert trouble(hindered, "127.0.0.1", 30) == ""


@pytest.mark.parametrize("option", NEEDED)
def test_it_would_not_without(option: str, hindered: Listener) -> None:
    assert NEEDED[option] in trouble(hindered, hindered.hosts[option], PATIENCE.get(option, 30))


def test_every_option_that_is_printed_was_tried(hindered: Listener) -> None:
    master = (hindered.mta.directory.parent / "tables/master.cf.add").read_text()
    (listen, clean) = list(services(master).values())[-2:]
    tried = {option.rpartition(":")[2] for option in NEEDED} | SHOWN
    printed = {option.partition("=")[0] for option in (*listen, *clean)} - {"receive_override_options"}
    assert tried == printed | {"no_milters", "no_unknown_recipient_checks"}


def test_addresses_are_mapped(plain: Listener) -> None:
    """A milter is told the recipients that the client said, before aliases."""
    assert plain.arrived(b"Subject: x\r\n\r\nx\r\n", "alias@example.com").recipients == ("real@example.com",)


def test_milters_for_mail_of_this_machine_are_not_asked(plain: Listener) -> None:
    assert plain.arrived(b"Subject: x\r\n\r\nx\r\n")
    plain.mta.submit(b"Subject: x\n\nx\n", "bob@example.com")
    plain.mta.wait_log("connect to Milter service unix:/absent")
    plain.mta.delete("ALL")


def test_another_machine_may_not_use_it(plain: Listener) -> None:
    """It listens on the loopback address; what comes from elsewhere all the same is refused."""
    for port, code in ((plain.port, 554), (plain.mta.smtp_port, 250)):
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            assert client.docmd("XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]")[0] == 220
            client.ehlo()
            client.mail("ann@example.org")
            assert client.rcpt("bob@example.com")[0] == code


def test_a_binding_without_its_address_waits(plain: Listener) -> None:
    """Rather than to leave from another address, which may cost that one its reputation."""
    plain.sink.messages.clear()
    route = b"X-Lumilter-Route: binding-gone:[127.0.0.1]:%d\r\n" % plain.sink.port
    with smtplib.SMTP("127.0.0.1", plain.port, timeout=30) as client:
        client.sendmail("ann@example.org", ["bob@example.com"], route + b"Subject: x\r\n\r\nx\r\n")
    plain.mta.wait_log("status=deferred")
    assert "Cannot assign requested address" in plain.mta.maillog()
    assert plain.sink.messages == []
    plain.mta.delete("ALL")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: message/rfc822\r\n\r\n",
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    ],
)
def test_the_private_header_counts_in_the_message_s_own_headers_only(head: bytes, plain: Listener) -> None:
    inner = b"X-Lumilter-Route: binding-gone:\r\nSubject: inner\r\n\r\nx\r\n--b--\r\n"
    assert plain.arrived(b"Subject: x\r\n" + head + inner).raw.endswith(head + inner)


@pytest.mark.parametrize("header", [b"X-Lumilter-Route: discard:", b"x-lumilter-ROUTE: nowhere", b"X-Lumilter-Route:"])
def test_what_is_not_obeyed_is_removed_with_a_line_in_the_log(header: bytes, plain: Listener) -> None:
    before = plain.mta.maillog().count("not a transport of lumilter's")
    found = plain.arrived(header + b"\r\nSubject: x\r\n\r\nx\r\n")
    assert b"lumilter" not in found.raw.lower()
    assert plain.mta.maillog().count("not a transport of lumilter's") == before + 1
