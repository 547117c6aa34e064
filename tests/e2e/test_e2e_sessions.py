"""Sessions through a real Postfix with one policy: contexts, faults and waits of one that others must not notice.

The law: nothing depends on how long something takes, only on what came before what. Every test has recipients of its
own, so all share one site; the tests that end the daemon or need its own banner make theirs.
"""

from __future__ import annotations

import select
import smtplib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.message
import pytest

from support.dns_server import Answer, DnsServer, reply
from support.mail_site import Site

POLICY = r"""
local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS

function mod:validate_mailfrom(str, ac, vctx)
  self.count = (self.count or 0) + 1
  vctx:set(CONN, "kept", vctx:get(CONN, "kept") .. self.count)
  vctx:set(MESS, "emptied", vctx:get(MESS, "emptied") .. self.count)
  local from = tostring(str)
  if from == "tarpit@x.example" then vctx:tarpit(3) end
  if from == "dns@x.example" then
    local found, why = msys.dnsLookup("slow.example", "a")
    vctx:set_code(550, "5.7.1 " .. (found and found[1] or why))
  end
end

function mod:validate_rcptto(msg, str)
  local to = tostring(str)
  if to == "error@y.example" then error("one session fails") end
  if to == "loop@y.example" then while true do end end
end

function mod:validate_data(msg, ac, vctx)
  if msg:header("Subject")[1] == "error" then local none = nil; none.field = 1 end
  msg:header("X-Context", "kept=" .. vctx:get(CONN, "kept") .. " emptied=" .. vctx:get(MESS, "emptied"))
  msg:header("X-Self", tostring(self.count))
end

function mod:validate_dealloc() print("dealloc after " .. tostring(self.count)) end
"""
LINE = {text: number for number, line in enumerate(POLICY.splitlines(), 2) for text in ("fails", "do end", "none.")
        if text in line}  # fmt: skip
NAMES_ANSWER = threading.Event()
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


def names(query: dns.message.Message, transport: str) -> Answer:
    """A name server that is slow for as long as a test wants it to be."""
    NAMES_ANSWER.wait(60)
    return reply(query, "slow.example. 60 IN A 192.0.2.7")


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lumilter-e2e-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with (
        tempfile.TemporaryDirectory(prefix="lumilter-e2e-", dir="/tmp") as name,
        DnsServer(names) as server,
    ):
        Path(name).chmod(0o755)
        config = f'[lua]\ninstructions = 1000000\ndeadline = 60\n[dns]\nservers = ["{server.address}"]\ntimeout = 60'
        with Site(Path(name), POLICY, config) as made:
            yield made


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.01)


def deliver(site: Site, recipient: str, message: bytes = MESSAGE, sender: str = "ann@x.example") -> tuple[int, str]:
    """The first refusal, or the answer to the message; (0, "") where the connection broke."""
    try:
        with site.smtp() as client:
            try:
                client.sendmail(sender, [recipient], message)
            except smtplib.SMTPRecipientsRefused as error:
                code, text = error.recipients[recipient]
                return code, text.decode()
            return 250, ""
    except smtplib.SMTPSenderRefused as error:
        assert isinstance(error.smtp_error, bytes)
        return error.smtp_code, error.smtp_error.decode()
    except smtplib.SMTPResponseException as error:
        assert isinstance(error.smtp_error, bytes)
        return error.smtp_code, error.smtp_error.decode()
    except (smtplib.SMTPServerDisconnected, OSError):
        return 0, ""


def answered(client: smtplib.SMTP) -> bool:
    """Whether a reply is there; only where all earlier ones were read."""
    assert client.sock is not None
    return bool(select.select([client.sock], [], [], 0)[0])


def codes(connection: socket.socket, count: int) -> list[int]:
    """The codes of the next replies."""
    stream = connection.makefile("rb")
    found: list[int] = []
    while len(found) < count:
        line = stream.readline()
        assert line, found
        if line[3:4] == b" ":
            found.append(int(line[:3]))
    return found


def test_contexts_of_several_messages(site: Site) -> None:
    with site.smtp() as client:
        for number in (1, 2, 3):
            client.sendmail("ann@x.example", [f"message{number}@y.example"], MESSAGE)
    for number, kept in ((1, b"1"), (2, b"12"), (3, b"123")):
        (message,) = site.to(f"message{number}@y.example")
        assert message.values(b"X-Context") == [b"kept=%s emptied=%d" % (kept, number)]
        assert message.values(b"X-Self") == [b"%d" % number]


def test_pipelined_commands_in_one_packet(site: Site) -> None:
    with site.raw() as connection:
        assert codes(connection, 1) == [220]
        connection.sendall(b"EHLO client.example\r\n")
        assert codes(connection, 1) == [250]
        connection.sendall(
            b"MAIL FROM:<ann@x.example>\r\nRCPT TO:<pipe1@y.example>\r\nRCPT TO:<error@y.example>\r\n"
            b"RCPT TO:<pipe2@y.example>\r\nDATA\r\n"
        )
        assert codes(connection, 5) == [250, 250, 451, 250, 354]
        connection.sendall(MESSAGE + b".\r\nQUIT\r\n")
        assert codes(connection, 2) == [250, 221]
    assert sorted(site.to("pipe1@y.example")[0].recipients) == ["pipe1@y.example", "pipe2@y.example"]


def test_rset_empties_the_message_context_only(site: Site) -> None:
    with site.smtp() as client:
        client.ehlo()
        client.mail("ann@x.example")
        client.rset()
        client.sendmail("ann@x.example", ["rset@y.example"], MESSAGE)
    assert site.to("rset@y.example")[0].values(b"X-Context") == [b"kept=12 emptied=2"]


def test_a_client_that_vanishes_within_data(site: Site) -> None:
    client = site.smtp()
    client.ehlo()
    for _ in range(7):  # so that this session's line in the log is like no other's
        client.mail("ann@x.example")
        client.rset()
    client.mail("ann@x.example")
    client.rcpt("vanished@y.example")
    assert client.docmd("DATA")[0] == 354
    client.send(b"Subject: half a mess")
    client.close()
    until(lambda: any("dealloc after 8" in line for line in site.log()))
    assert deliver(site, "after.vanished@y.example") == (250, "")
    assert site.to("after.vanished@y.example")[0].values(b"X-Self") == [b"1"]
    assert not any("vanished@y.example" in message.recipients for message in site.sink.messages)


@pytest.mark.parametrize(
    ("recipient", "message", "where", "why"),
    [
        ("error@y.example", MESSAGE, "fails", "one session fails"),
        ("loop@y.example", MESSAGE, "do end", "the hook passed its instruction budget"),
        ("fault@y.example", b"Subject: error\r\n\r\nx\r\n", "none.", "attempt to index local 'none'"),
    ],
)
def test_a_fault_of_one_session_while_20_deliver(
    site: Site, recipient: str, message: bytes, where: str, why: str
) -> None:
    before = len(site.log())
    together = threading.Barrier(21)

    def one(number: int) -> tuple[int, str]:
        together.wait(60)
        return deliver(site, f"{where[0]}{number}@y.example") if number else deliver(site, recipient, message)

    with ThreadPoolExecutor(21) as pool:
        fault, *others = pool.map(one, range(21))
    assert fault == (451, "4.3.0 local policy error")
    assert others == [(250, "")] * 20
    for number in range(1, 21):
        site.to(f"{where[0]}{number}@y.example")
    (line,) = [line for line in site.log()[before:] if " error: " in line]
    assert f"policy.lua:{LINE[where]}: {why}" in line
    assert "client=127.0.0.1" in line
    assert ("queue_id=" in line) == (recipient == "fault@y.example")  # Postfix has one from DATA on


def test_a_tarpit_holds_its_own_reply_back(site: Site) -> None:
    with site.smtp() as held:
        held.ehlo()
        held.putcmd("MAIL", "FROM:<tarpit@x.example>")
        assert deliver(site, "beside.tarpit@y.example") == (250, "")
        assert not answered(held)
        assert held.getreply()[0] == 250
        held.rcpt("tarpit@y.example")
        assert held.data(MESSAGE)[0] == 250
    site.to("tarpit@y.example")


@pytest.mark.parametrize(
    ("call", "banner", "answer"),
    [
        ('vctx:set_code(554, "5.7.1 listed")', 554, (554, b"5.7.1 listed")),
        ('vctx:set_code(450, "4.7.1 busy")', 220, (450, b"4.7.1 busy")),
    ],
)
def test_refused_at_connect(directory: Path, call: str, banner: int, answer: tuple[int, bytes]) -> None:
    policy = f"""function mod:validate_connect(ac, vctx)
  if vctx:get(msys.core.VCTX_CONN, "where") == "loopback" then {call} end
end"""
    context = '[[context]]\nnetwork = "127.0.0.0/8"\nset = { where = "loopback" }\n'
    with Site(directory, policy, context) as site:
        client = smtplib.SMTP(timeout=60)
        assert client.connect("127.0.0.1", site.port)[0] == banner
        client.ehlo()
        assert client.mail("ann@x.example") == answer
        client.close()


def test_sigterm_while_20_clients_send_loses_nothing(directory: Path) -> None:
    """What was answered 250 is delivered, once; everything else was put off."""
    begun = threading.Semaphore(0)
    ended = threading.Event()

    with Site(directory, "function mod:validate_data(msg) msys.sleep(0.05) msg:header('X-Seen', '1') end") as own:

        def client(number: int) -> dict[str, tuple[int, str]]:
            heard = {}
            turn = 0
            while not ended.is_set():
                turn += 1
                recipient = f"to{number}.{turn}@y.example"
                heard[recipient] = deliver(own, recipient)
                begun.release()
            return heard

        with ThreadPoolExecutor(20) as pool:
            clients = [pool.submit(client, number) for number in range(20)]
            try:
                for _ in range(60):
                    assert begun.acquire(timeout=60)
                own.daemon.terminate()
                assert own.daemon.wait() == 0
                for _ in range(60):
                    assert begun.acquire(timeout=60)
            finally:
                ended.set()
        heard = {recipient: answer for each in clients for recipient, answer in each.result().items()}
        accepted = sorted(recipient for recipient, (code, _) in heard.items() if code == 250)
        others = {answer for answer in heard.values() if answer[0] != 250}
        assert len(accepted) >= 40
        assert others == {(451, "4.7.1 Service unavailable - try again later")}
        messages = own.sink.wait(len(accepted))
        assert sorted(recipient for message in messages for recipient in message.recipients) == accepted
        assert all(message.values(b"X-Seen") == [b"1"] for message in messages)
