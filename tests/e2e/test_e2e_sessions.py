"""Sessions through a real Postfix: what they keep and forget, how they go side by side, and how one of them fails.

The law: nothing here depends on how long something takes; that a client is not answered yet is said after others were.
"""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dns.message
import pytest

from support.dns_server import Answer, DnsServer, reply
from support.patience import until
from support.site import PostfixSite, Serve
from support.smtp_client import MESSAGE, SmtpClient

RECIPIENTS = """
    function mod:validate_rcptto(msg, str, ac, vctx)
      local address = tostring(str)
      if address == "gone@example.com" then vctx:set_code(550, "5.1.1 no such user") end
      if address == "later@example.com" then vctx:set_code(451, "4.7.1 try later") end
      if address == "error@example.com" then error("one recipient") end
    end
    function mod:validate_data(msg, ac, vctx)
      msg:header("X-Count", vctx:get(msys.core.VCTX_CONN, "connection_message_count"))
    end
"""


def test_pipelined_commands_are_answered_in_order(site: PostfixSite, serve: Serve) -> None:
    serve(RECIPIENTS)
    with SmtpClient(site.port) as client:
        client.ask("EHLO client.example")
        names = ("a", "gone", "b", "later", "error", "c")
        client.send("MAIL FROM:<ann@example.org>", *(f"RCPT TO:<{each}@example.com>" for each in names), "DATA")
        assert [client.answer() for _ in range(8)] == [
            "250 2.1.0 Ok",
            "250 2.1.5 Ok",
            "550 5.1.1 no such user",
            "250 2.1.5 Ok",
            "451 4.7.1 try later",
            "451 4.3.0 local policy error",
            "250 2.1.5 Ok",
            "354 End data with <CR><LF>.<CR><LF>",
        ]
        client.send(MESSAGE + b".")
        assert client.answer().startswith("250 ")
    assert site.recipients() == ["a@example.com", "b@example.com", "c@example.com"]


def test_pipelined_data_without_recipients_is_refused_by_the_mta(site: PostfixSite, serve: Serve) -> None:
    serve(RECIPIENTS)
    with SmtpClient(site.port) as client:
        client.ask("EHLO client.example")
        client.send("MAIL FROM:<ann@example.org>", "RCPT TO:<gone@example.com>", "DATA", "RSET", "NOOP")
        heard = [client.answer()[:3] for _ in range(5)]
        assert heard == ["250", "550", "554", "250", "250"]
        assert client.deliver("bob@example.com").startswith("250 ")
    assert [message.values(b"X-Count") for message in site.arrived()] == [[b"2"]]


def test_messages_follow_each_other_without_a_pause(site: PostfixSite, serve: Serve) -> None:
    serve(RECIPIENTS)
    with SmtpClient(site.port) as client:
        client.ask("EHLO client.example")
        for number in (1, 2, 3):
            begin = ("MAIL FROM:<ann@example.org>", f"RCPT TO:<bob{number}@example.com>", "DATA")
            client.send(*([MESSAGE + b"."] if number > 1 else []), *begin)
            answers = [client.answer()[:3] for _ in range(3 + (number > 1))]
            assert answers == [*(["250"] if number > 1 else []), "250", "250", "354"]
        client.send(MESSAGE + b".", "QUIT")
        assert [client.answer()[:3] for _ in range(2)] == ["250", "221"]
    seen = {message.recipients: message.values(b"X-Count") for message in site.arrived()}
    assert seen == {(f"bob{number}@example.com",): [str(number).encode()] for number in (1, 2, 3)}


def test_contexts_belong_to_the_connection_or_to_the_message(site: PostfixSite, serve: Serve) -> None:
    """A message that RSET ends leaves its trace in the connection's context only."""
    serve("""
    local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS
    function mod:validate_mailfrom(str, ac, vctx)
      self.count = (self.count or 0) + 1
      vctx:set(CONN, "kept", vctx:get(CONN, "kept") .. self.count)
      vctx:set(MESS, "emptied", vctx:get(MESS, "emptied") .. self.count)
    end
    function mod:validate_data(msg, ac, vctx)
      msg:header("X-Context", vctx:get(CONN, "kept") .. " " .. vctx:get(MESS, "emptied"))
    end
""")
    with site.smtp() as client:
        client.sendmail("ann@example.org", ["one@example.com"], MESSAGE)
        client.mail("forgotten@example.org")
        client.rcpt("forgotten@example.com")
        client.rset()
        client.sendmail("ann@example.org", ["two@example.com"], MESSAGE)
    seen = {(message.sender, *message.recipients): message.values(b"X-Context") for message in site.arrived()}
    assert seen == {
        ("ann@example.org", "one@example.com"): [b"1 1"],
        ("ann@example.org", "two@example.com"): [b"123 3"],
    }


def test_parallel_sessions_do_not_mix(site: PostfixSite, serve: Serve) -> None:
    serve("""
    function mod:validate_ehlo(str) self.helo = tostring(str) end
    function mod:validate_mailfrom(str, ac, vctx)
      vctx:set(msys.core.VCTX_MESS, "from", tostring(str))
      msys.sleep(0.01)
    end
    function mod:validate_data(msg, ac, vctx)
      msys.sleep(0.01)
      msg:header("X-Session", self.helo .. " " .. vctx:get(msys.core.VCTX_MESS, "from") .. " " .. msg:mailfrom())
    end
""")

    def session(number: int) -> list[str]:
        with SmtpClient(site.port) as client:
            return [
                client.deliver(
                    f"to{number}.{turn}@x.example", sender=f"from{number}.{turn}@x.example", helo=f"h{number}"
                )
                for turn in range(3)
            ]

    with ThreadPoolExecutor(20) as pool:
        heard = [answer for answers in pool.map(session, range(20)) for answer in answers]
    assert all(answer.startswith("250 ") for answer in heard), heard
    arrived = site.arrived()
    assert len(arrived) == 60
    for message in arrived:
        number, turn = message.recipients[0].removeprefix("to").removesuffix("@x.example").split(".")
        sender = f"from{number}.{turn}@x.example"
        assert message.sender == sender
        assert message.values(b"X-Session") == [f"h{number} {sender} {sender}".encode()]


MEMORY = r"(3: not enough memory|5: the scripts passed their memory limit|5: the hook passed its deadline)"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ('error("boom")', "5: boom"),
        ("local none = nil; none()", "5: attempt to call local 'none'"),
        ("while true do end", "5: the hook passed its instruction budget"),
        ("while true do pcall(function() while true do end end) end", "5: the hook passed its instruction budget"),
        ("msys.sleep(3600)", "5: the hook passed its deadline (2 s) while it waited"),
        # Where memory ends LuaJIT keeps no frames: the line is the hook's. The count of the hook may see it first.
        ('local t = {} while true do t[#t + 1] = string.rep("x", 1e6) .. #t end', MEMORY),
    ],
    ids=["error", "nil", "loop", "loop in pcall", "sleeps", "memory"],
)
def test_a_script_fails_in_one_session_while_others_deliver(
    fault: str, text: str, site: PostfixSite, serve: Serve
) -> None:
    daemon = serve(
        f"""
    function mod:validate_rcptto(msg, str, ac, vctx)
      if tostring(str) == "bad@example.com" then
        {fault}
      end
      vctx:set(msys.core.VCTX_MESS, "seen", "1")
    end
    function mod:validate_data(msg, ac, vctx)
      if msg:rcptto() == "late@example.com" then error("at the end") end
      msg:header("X-Seen", vctx:get(msys.core.VCTX_MESS, "seen"))
    end
""",
        '[lua]\ninstructions = 20000000\ndeadline = 2\nmax_memory = "48M"',
    )
    together = threading.Barrier(21)

    def good(number: int) -> str:
        with SmtpClient(site.port) as client:
            together.wait(60)
            return client.deliver(f"to{number}@example.com")

    def bad() -> list[str]:
        with SmtpClient(site.port) as client:
            together.wait(60)
            return [client.deliver(f"{name}@example.com") for name in ("bad", "late", "bad", "bad")]

    with ThreadPoolExecutor(21) as pool:
        failing = pool.submit(bad)
        heard = list(pool.map(good, range(20)))
        assert failing.result() == ["451 4.3.0 local policy error"] * 4
    assert all(answer.startswith("250 ") for answer in heard), heard
    assert site.recipients() == sorted(f"to{number}@example.com" for number in range(20))
    assert all(message.values(b"X-Seen") == [b"1"] for message in site.sink.messages)
    at_rcpt = [line for line in daemon.errors if "queue_id=" not in line]  # Postfix has one from DATA on
    (at_end,) = [line for line in daemon.errors if "queue_id=" in line]
    assert "policy.lua:10: at the end" in at_end
    assert len(at_rcpt) == 3
    wanted = text if text is MEMORY else re.escape(text)
    for line in at_rcpt:
        assert re.search(rf"policy\.lua:{wanted}", line), line
        assert "client=127.0.0.1" in line


def test_a_slow_name_server_delays_only_the_session_that_asks_it(site: PostfixSite, serve: Serve) -> None:
    gate = threading.Event()

    def answer(query: dns.message.Message, transport: str) -> Answer:
        name = query.question[0].name.to_text(True)
        if name.startswith("slow"):
            gate.wait(60)
        return reply(query, f"{name}. 60 IN A 192.0.2.80")

    with DnsServer(answer) as names:
        serve(
            """
    function mod:validate_mailfrom(str, ac, vctx)
      local domain = tostring(str):match("@(.*)")
      local found, err = msys.dnsLookup(domain, "a")
      if not found then vctx:set_code(451, "4.4.3 " .. domain .. ": " .. err) return end
      vctx:set(msys.core.VCTX_MESS, "address", found[1])
    end
    function mod:validate_data(msg, ac, vctx) msg:header("X-Address", vctx:get(msys.core.VCTX_MESS, "address")) end
""",
            f'[dns]\nservers = ["{names.address}"]\ntimeout = 60\n[lua]\ndeadline = 60',
        )
        slow = [SmtpClient(site.port) for _ in range(5)]
        try:
            for number, client in enumerate(slow):
                client.__enter__()
                client.ask("EHLO client.example")
                client.send(f"MAIL FROM:<ann@slow{number}.example>")
                # One after the other: of events in the same moment libmilter may queue one behind another's wait.
                until(lambda asked=f"slow{number}.example": any(name == asked for _, name, _ in names.queries))
            for number in range(5):
                with SmtpClient(site.port) as client:
                    heard = client.deliver("bob@example.com", sender=f"ann@fast{number}.example")
                    assert heard.startswith("250 "), heard
            assert not any(client.is_answered() for client in slow)
            gate.set()
            for client in slow:
                assert client.answer() == "250 2.1.0 Ok"
        finally:
            gate.set()
            for client in slow:
                client.vanish()
        assert [message.values(b"X-Address") for message in site.arrived()] == [[b"192.0.2.80"]] * 5


def test_a_name_server_that_never_answers_is_the_scripts_to_judge(site: PostfixSite, serve: Serve) -> None:
    with DnsServer(lambda query, transport: None) as names:
        serve(
            """
    function mod:validate_mailfrom(str, ac, vctx)
      local found, err = msys.dnsLookup("example.org", "a")
      if not found then vctx:set_code(451, "4.4.3 " .. err) end
    end
""",
            f'[dns]\nservers = ["{names.address}"]\ntimeout = 0.3',
        )
        with SmtpClient(site.port) as client:
            assert client.deliver("bob@example.com") == "451 4.4.3 TIMEOUT"


def test_a_tarpit_holds_only_its_own_client(site: PostfixSite, serve: Serve) -> None:
    """The first tarpit is short; where others took as long on a busy machine, the next is longer."""
    serve("""
    function mod:validate_mailfrom(str, ac, vctx)
      local seconds = tostring(str):match("^slow(%d+)@")
      if seconds then vctx:tarpit(tonumber(seconds)) end
    end
""")
    delivered = 0
    for seconds in (2, 8, 25):
        with SmtpClient(site.port) as held:
            held.ask("EHLO client.example")
            began = time.monotonic()
            held.send(f"MAIL FROM:<slow{seconds}@example.org>")
            for _ in range(3):
                with SmtpClient(site.port) as client:
                    assert client.deliver("bob@example.com").startswith("250 ")
            delivered += 3
            answered, took = held.is_answered(), time.monotonic() - began
            assert held.answer() == "250 2.1.0 Ok"
            assert time.monotonic() - began >= seconds
        if took < seconds:
            break
    assert not answered
    assert len(site.arrived()) == delivered


def test_a_client_that_vanishes_within_its_message_leaves_nothing(site: PostfixSite, serve: Serve) -> None:
    daemon = serve("""
    function mod:validate_mailfrom() self.count = (self.count or 0) + 1 end
    function mod:validate_data(msg) msg:header("X-Count", tostring(self.count)) end
    function mod:validate_dealloc() print("dealloc after " .. tostring(self.count)) end
""")
    with SmtpClient(site.port) as client:
        begin = ("EHLO client.example", *["MAIL FROM:<a@example.org>", "RSET"] * 7, "MAIL FROM:<a@example.org>")
        for line in (*begin, "RCPT TO:<lost@example.com>", "DATA"):
            client.ask(line)
        client.send(MESSAGE, b"half of a line")
    site.mta.wait_log("lost connection after DATA")
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com").startswith("250 ")
    assert site.recipients() == ["bob@example.com"]
    assert site.sink.messages[0].values(b"X-Count") == [b"1"]
    daemon.wait_log("dealloc after 8")
    assert daemon.errors == []


def test_a_large_message_passes_byte_for_byte(site: PostfixSite, serve: Serve) -> None:
    serve('function mod:validate_data(msg) msg:header("X-Size", tostring(msg:get_message_size())) end')
    line = bytes(byte for byte in range(1, 256) if byte not in b"\r\n") * 3
    body = b"\r\n".join([line, b".", b"..", b".dots", b"", line] * 3000) + b"\r\n"
    head = b"From: ann@example.org\r\nX-Raw: \xff\xfe\r\n"
    with SmtpClient(site.port) as client:
        heard = client.deliver("bob@example.com", message=head + b"\r\n" + body.replace(b"\r\n.", b"\r\n.."))
    assert heard.startswith("250 "), heard
    (message,) = site.arrived()
    assert message.body == body
    assert message.raw.endswith(head + b"X-Size: %d\r\n\r\n" % len(head + b"\r\n" + body) + body)
