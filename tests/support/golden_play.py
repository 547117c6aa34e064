"""Plays a golden conversation against anything that answers events, and compares.

The law: what the runners share is here: the order of events, macros, and what "gives" means. A runner says how an event
is asked for (`Peer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lumilter.cli.eml import read_message
from lumilter.session.apply import apply
from lumilter.session.events import (
    Abort,
    Close,
    Connect,
    Data,
    Edit,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Rcpt,
)
from support.golden import Case, Gives, Step


@dataclass(frozen=True)
class Heard:
    """An answer: "accept", "discard", or the reply's text; and the edits."""

    text: str
    edits: tuple[Edit, ...] = ()


class Peer(Protocol):
    """One connection."""

    def ask(self, event: Event) -> Heard: ...


class Play:
    """The client's side of a case on one connection after the other."""

    def __init__(self, case: Case, peer: type[Peer] | object) -> None:
        self.case, self.new_peer = case, peer
        self.peer: Peer | None = None
        self.macros: dict[str, str] = {}
        self.greeted = False
        self.sender = ""
        self.recipients: list[str] = []

    def run(self) -> None:
        try:
            for step in self.case.steps:
                heard = self._step(step)
                where = f"{self.case.file}:{step.line}"
                assert heard.text == step.answer, f"{where}: expected {step.answer!r}, got {heard.text!r}"
        finally:
            self._leave()

    def _step(self, step: Step) -> Heard:
        where = f"{self.case.file}:{step.line}"
        match step.verb:
            case "connect":
                self._leave()
                return self._connect(*step.args[:2])
            case "auth":
                self.macros |= {"auth_authen": step.args[0], "auth_type": "PLAIN"}
            case "tls":
                self.macros |= {"tls_version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "cipher_bits": "256"}
            case "macro":
                name, _, value = step.args[0].partition("=")
                self.macros[name] = value
            case "helo":
                return self._helo(step.args[0])
            case "mail":
                self._helo_before()
                self.sender, self.recipients = f"<{''.join(step.args[:1])}>", []
                return self._ask(Mail(self.sender, tuple(step.args[1:]), self._macros()))
            case "rcpt":
                heard = self._ask(Rcpt(f"<{step.args[0]}>", tuple(step.args[1:]), self._macros()))
                if heard.text == "accept":
                    self.recipients.append(f"<{step.args[0]}>")
                return heard
            case "data":
                return self._ask(Data({"i": "QUEUEID"}))
            case "message":
                return self._message(step, where)
            case "rset":
                self._ask(Abort())
            case "vanish" | "quit":
                self._leave()
        return Heard("accept")

    def _message(self, step: Step, where: str) -> Heard:
        heard = self._ask(Data({"i": "QUEUEID"}))
        if heard.text != "accept":
            return heard
        headers, body = read_message(step.message)
        heard = self._ask(EndOfMessage(headers, body, {"i": "QUEUEID"}))
        if heard.text == "accept":
            out = apply(headers, body, self.sender, self.recipients, heard.edits)
            compare(step.gives or Gives(), out, step.message, [self.sender, *self.recipients], where)
        return heard

    def _macros(self) -> dict[str, str]:
        given, self.macros = self.macros, {}
        return given

    def _connect(self, address: str = "192.0.2.1", name: str = "") -> Heard:
        self.peer = self.new_peer()  # type: ignore[operator]
        family = "inet6" if ":" in address else "inet"
        macros = {"daemon_addr": "192.0.2.25", "daemon_port": "25", **self._macros()}
        self.greeted = False
        return self._ask(Connect(name or f"[{address}]", family, address, 40000, macros))

    def _helo(self, name: str) -> Heard:
        if self.peer is None:
            self._connect()
        self.greeted = True
        return self._ask(Helo(name, self._macros()))

    def _helo_before(self) -> None:
        if not self.greeted:
            assert self._helo("client.example").text == "accept", f"{self.case.name}: HELO was refused"

    def _ask(self, event: Event) -> Heard:
        assert self.peer is not None, f"{self.case.name}: not connected"
        return self.peer.ask(event)

    def _leave(self) -> None:
        if self.peer is not None:
            self.peer.ask(Close())
        self.peer = None


def compare(
    gives: Gives,
    out: tuple[list[tuple[bytes, bytes]], bytes, str, list[str], str | None],
    message: bytes,
    envelope: list[str],
    where: str,
) -> None:
    headers, body, sender, recipients, held = out
    wanted_sender = envelope[0] if gives.sender is None else gives.sender
    assert _bare(sender) == _bare(wanted_sender), f"{where}: the sender is {sender}"
    wanted = sorted(map(_bare, envelope[1:] if gives.recipients is None else gives.recipients))
    assert sorted(map(_bare, recipients)) == wanted, f"{where}: the recipients are {recipients}"
    assert held == gives.held, f"{where}: held is {held!r}"
    wanted_headers, wanted_body = read_message(message if gives.message is None else gives.message)
    assert headers == list(wanted_headers), where
    assert body == wanted_body, where


def _bare(address: str) -> str:
    return address.removeprefix("<").removesuffix(">")
