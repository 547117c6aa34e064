"""Many sessions that wait for a name server, and one that does not: the daemon has a thread for each that waits.

The law: one event at a time. Of events that come in the same moment Debian's libmilter may queue several behind one
thread of its own pool, whose idle threads it counts too late; that is not what is tested here.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import dns.message

from support.daemon import Daemon, write
from support.dns_server import Answer, DnsServer, reply
from support.milter_client import MilterClient
from support.patience import until

SESSIONS = 100
"""As many as Postfix has smtpd processes by default."""

POLICY = """
    function mod:validate_mailfrom(str, ac, vctx)
      local found, err = msys.dnsLookup(tostring(str):match("@(.*)"), "a")
      vctx:set_code(550, "5.7.1 " .. (found and found[1] or err))
    end
"""


def test_a_hundred_slow_lookups_delay_no_other_session() -> None:
    gate = threading.Event()

    def answer(query: dns.message.Message, transport: str) -> Answer:
        name = query.question[0].name.to_text()
        if name.startswith("slow"):
            gate.wait(60)
        return reply(query, f"{name} 60 IN A 192.0.2.80")

    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        names = stack.enter_context(DnsServer(answer))
        stack.callback(gate.set)
        socket = directory / "m.sock"
        config = f'[dns]\nservers = ["{names.address}"]\ntimeout = 60'
        stack.enter_context(Daemon(write(directory / "etc", socket, [POLICY], config), directory / "log"))

        def client() -> MilterClient:
            made = stack.enter_context(MilterClient(str(socket)))
            made.negotiate()
            made.connect()
            made.helo()
            return made

        slow = [client() for _ in range(SESSIONS)]
        for number, each in enumerate(slow):
            name = f"slow{number}.example"
            each.send("M", f"<ann@{name}>".encode() + b"\0")
            until(lambda name=name: any(asked == name for _, asked, _ in names.queries), 20)
        assert client().mail("<ann@fast.example>").text == "550 5.7.1 192.0.2.80"
        gate.set()
        assert [each.answer().text for each in slow] == ["550 5.7.1 192.0.2.80"] * SESSIONS
