"""A golden conversation through a real MTA: what an SMTP client hears, and what arrives at the next hop.

The law: the same cases and the same meaning of "gives" as everywhere; what an MTA adds to a message (Received and kin)
is left out of the comparison, nothing else.
"""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Callable
from email.utils import unquote

from lumilter.cli.eml import read_message
from support.golden import Case, Gives, Step
from support.golden_play import compare
from support.sink import Received, Sink

ADDED = frozenset((b"received", b"message-id", b"date", b"return-path", b"x-authentication-warning"))
SETTLE = 0.4
"""Seconds in which a message that must not arrive would have arrived."""


class SmtpPlay:
    """The client's side of a case. held: the addresses of recipients of held messages, as the MTA's queue has them."""

    def __init__(self, case: Case, port: int, sink: Sink, held: Callable[[], list[str]]) -> None:
        self.case, self.port, self.sink, self.held = case, port, sink, held
        self.client: smtplib.SMTP | None = None
        self.greeted = False
        self.sender = ""
        self.recipients: list[str] = []

    def run(self) -> None:
        try:
            for step in self.case.steps:
                where = f"{self.case.file}:{step.line}"
                heard = self._step(step, where)
                wanted = "accept" if step.answer == "discard" else step.answer
                assert heard == wanted, f"{where}: expected {wanted!r}, got {heard!r}"
        finally:
            self._vanish()

    def _step(self, step: Step, where: str) -> str:
        match step.verb:
            case "connect":
                self._vanish()
                return self._connect(*step.args[:2])
            case "helo":
                return self._helo(step.args[0])
            case "mail":
                if not self.greeted:
                    assert self._helo("client.example") == "accept"
                self.sender, self.recipients = "".join(step.args[:1]), []
                return self._command(f"MAIL FROM:<{self.sender}>")
            case "rcpt":
                heard = self._command(f"RCPT TO:<{step.args[0]}>")
                if heard == "accept":
                    self.recipients.append(step.args[0])
                return heard
            case "data":
                return self._command("DATA")
            case "message":
                return self._message(step, where)
            case "rset":
                self._command("RSET")
            case "vanish" | "quit":
                self._vanish()
            case verb:
                raise ValueError(f"{where}: {verb} can't be said through an MTA")
        return "accept"

    def _message(self, step: Step, where: str) -> str:
        heard = self._command("DATA")
        if heard != "accept":
            return heard
        before = len(self.sink.messages)
        gives = step.gives or Gives()
        held_before = [] if gives.held is None else self.held()
        assert self.client is not None
        raw = step.message.replace(b"\r\n.", b"\r\n..")
        self.client.send(raw + b".\r\n")
        heard = self._reply()
        if heard == "accept" and step.answer == "accept" and gives.held is None:
            (arrived,) = self._arrived(before, gives)
            self._compare(gives, arrived, step.message, where)
        else:
            time.sleep(SETTLE)
            assert self.sink.messages[before:] == [], f"{where}: a message arrived"
            if gives.held is not None:
                held = sorted([*held_before, *self.recipients])
                assert sorted(self.held()) == held, f"{where}: the message is not held"
        return heard

    def _arrived(self, before: int, gives: Gives) -> list[Received]:
        """The message; an MTA may deliver it in several copies, which must differ in nothing but the recipients."""
        wanted = len(self.recipients if gives.recipients is None else gives.recipients)
        until = time.monotonic() + 20
        while sum(len(message.recipients) for message in self.sink.messages[before:]) < wanted:
            assert time.monotonic() < until, f"{wanted} recipients expected, got {self.sink.messages[before:]}"
            time.sleep(0.02)
        messages = self.sink.messages[before:]
        recipients = tuple(address for message in messages for address in message.recipients)
        return [Received(messages[0].sender, recipients, messages[0].raw, messages[0].helo)]

    def _compare(self, gives: Gives, arrived: Received, message: bytes, where: str) -> None:
        headers, body = read_message(arrived.raw)
        added = ADDED | (frozenset() if b"From:" in message else {b"from"})  # Sendmail adds a missing one
        own = [(name, value) for name, value in headers if name.lower() not in added]
        envelope = [self.sender, *self.recipients]
        out = own, body, unquote(arrived.sender), list(arrived.recipients), None
        compare(gives, out, message, envelope, where)

    # --- SMTP --------------------------------------------------------------------------------------------------------

    def _connect(self, address: str = "", name: str = "") -> str:
        """address, name: of the client that Postfix is to take us for (XCLIENT); Sendmail knows no such thing."""
        self.client = smtplib.SMTP(timeout=30)
        self.client.connect("127.0.0.1", self.port)
        self.greeted = False
        if not address:
            return "accept"
        return self._command(f"XCLIENT ADDR={address} NAME={name or '[UNAVAILABLE]'}")

    def _helo(self, name: str) -> str:
        if self.client is None:
            self._connect()
        heard = self._command(f"EHLO {name}")
        self.greeted = heard == "accept"
        return heard

    def _command(self, line: str) -> str:
        if self.client is None:
            self._connect()
        assert self.client is not None
        self.client.putcmd(line)
        return self._reply()

    def _reply(self) -> str:
        assert self.client is not None
        code, text = self.client.getreply()
        if code < 400:
            return "accept"
        lines = text.decode("utf-8", "surrogateescape").split("\n")
        lines = [re.sub(r"^([45][.0-9]+ )<[^>]*>\.\.\. ", r"\1", line) for line in lines]  # Sendmail names the address
        status = lines[0].split(" ", 1)[0]
        if status[:1] in "45" and status[1:2] == ".":
            lines = [lines[0], *(line.removeprefix(status).strip() for line in lines[1:])]
        return f"{code} {' / '.join(lines)}"

    def _vanish(self) -> None:
        if self.client is not None:
            self.client.close()
        self.client = None
        self.greeted = False
