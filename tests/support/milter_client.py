"""The MTA's side of the milter protocol, version 6, for tests: every packet can be sent, also wrong ones.

The law: nothing here comes from the code under test but the plain classes of `session.events`. Protocol as in
Sendmail's include/libmilter/mfdef.h: 4 bytes of length, a command byte, arguments that end in NUL.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from lumilter.session.events import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteRecipient,
    Edit,
    InsertHeader,
    Quarantine,
    ReplaceBody,
)

ALL_ACTIONS = 0x1FF
ALL_STEPS = 0x1FFFFF
"""Every SMFIP_ bit up to SMFIP_HDR_LEADSPC, as Postfix 3.7 offers them."""
HDR_LEADSPC = 0x100000
CHUNK = 65535

_NO_REPLY = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "L": 0x80, "N": 0x40000, "B": 0x80000}
_SWITCHED_OFF = {"C": 1, "H": 2, "M": 4, "R": 8, "B": 0x10, "L": 0x20, "N": 0x40, "U": 0x100, "T": 0x200}
_REPLIES = {
    "c": "continue",
    "a": "accept",
    "r": "reject",
    "t": "tempfail",
    "d": "discard",
    "s": "skip",
    "y": "replycode",
    "4": "shutdown",
}


class Gone(Exception):
    """The milter closed the connection."""


@dataclass(frozen=True)
class Answer:
    """kind: "continue", ..., "replycode", "none" where no reply is waited for, "off" where the event was not sent.

    text: of a replycode, its lines joined by CRLF. edits: what came before; progress: number of progress packets.
    """

    kind: str
    text: str = ""
    edits: tuple[Edit, ...] = ()
    progress: int = 0


@dataclass
class MilterClient:
    """One connection of an MTA. address: a unix socket's path or (host, port)."""

    address: str | tuple[str, int]
    actions: int = ALL_ACTIONS
    steps: int = ALL_STEPS
    version: int = 6
    timeout: float = 20.0
    granted_actions: int = field(default=0, init=False)
    granted_steps: int = field(default=0, init=False)
    symbols: dict[int, str] = field(default_factory=dict, init=False)
    """Macros that the milter asked for, by stage number."""

    def __post_init__(self) -> None:
        if isinstance(self.address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(self.timeout)
        self.socket.connect(self.address)

    def __enter__(self) -> MilterClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Vanish, without QUIT."""
        self.socket.close()

    # --- packets -----------------------------------------------------------------------------------------------------

    def send(self, command: str, data: bytes = b"") -> None:
        self.socket.sendall(struct.pack("!I", len(data) + 1) + command.encode() + data)

    def receive(self) -> tuple[str, bytes]:
        """(command, data) of the next packet. Raises Gone, TimeoutError."""
        (length,) = struct.unpack("!I", self._read(4))
        packet = self._read(length)
        return packet[:1].decode(), packet[1:]

    def _read(self, length: int) -> bytes:
        parts = []
        while length:
            try:
                part = self.socket.recv(min(length, 1 << 20))
            except ConnectionError as error:
                raise Gone(str(error)) from error
            if not part:
                raise Gone("end of file")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def answer(self) -> Answer:
        """Read the edits and the reply that ends them."""
        edits: list[Edit] = []
        progress = 0
        body: list[bytes] | None = None
        while True:
            command, data = self.receive()
            if command == "p":
                progress += 1
            elif command == "b":
                body = [*(body or []), data]
            elif command in _REPLIES:
                if body is not None:
                    edits.append(ReplaceBody(b"".join(body)))
                text = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
                return Answer(_REPLIES[command], text, tuple(edits), progress)
            else:
                edits.append(_edit(command, data))

    def ask(self, command: str, data: bytes = b"") -> Answer:
        """Send an event and read its reply, unless the milter said that it does not reply or does not want it."""
        if self.granted_steps & _SWITCHED_OFF.get(command, 0):
            return Answer("off")
        self.send(command, data)
        if self.granted_steps & _NO_REPLY.get(command, 0):
            return Answer("none")
        return self.answer()

    # --- events ------------------------------------------------------------------------------------------------------

    def negotiate(self) -> None:
        """Offer our actions and steps. Raises Gone where the milter refuses the connection."""
        self.send("O", struct.pack("!III", self.version, self.actions, self.steps))
        command, data = self.receive()
        assert command == "O", command
        _, self.granted_actions, self.granted_steps = struct.unpack("!III", data[:12])
        rest = data[12:]
        while rest:
            (stage,) = struct.unpack("!I", rest[:4])
            names, _, rest = rest[4:].partition(b"\0")
            self.symbols[stage] = names.decode()

    def macros(self, command: str, values: Mapping[str, str | bytes]) -> None:
        """values: with the names as the protocol spells them, "i" or "{client_addr}"."""
        pairs = b"".join(_z(name) + _z(value) for name, value in values.items())
        self.send("D", command.encode() + pairs)

    def connect(
        self, hostname: str | bytes = "client.test", family: str = "4", address: str = "192.0.2.1", port: int = 40000
    ) -> Answer:
        """family: "4" inet, "6" inet6, "L" unix, "U" unknown."""
        tail = b"" if family == "U" else struct.pack("!H", port) + _z(address)
        return self.ask("C", _z(hostname) + family.encode() + tail)

    def helo(self, name: str | bytes = "client.test") -> Answer:
        return self.ask("H", _z(name))

    def mail(self, address: str | bytes = "<from@client.test>", *params: str | bytes) -> Answer:
        return self.ask("M", b"".join(map(_z, (address, *params))))

    def rcpt(self, address: str | bytes = "<to@mx.test>", *params: str | bytes) -> Answer:
        return self.ask("R", b"".join(map(_z, (address, *params))))

    def data(self) -> Answer:
        return self.ask("T")

    def header(self, name: str | bytes, value: str | bytes) -> Answer:
        """value: with its leading space; it is removed here where SMFIP_HDR_LEADSPC was not granted."""
        raw = value.encode() if isinstance(value, str) else value
        if not self.granted_steps & HDR_LEADSPC:
            raw = raw.removeprefix(b" ")
        return self.ask("L", _z(name) + _z(raw))

    def eoh(self) -> Answer:
        return self.ask("N")

    def body(self, body: bytes) -> Answer:
        """In chunks; the last reply."""
        last = Answer("none")
        for start in range(0, len(body), CHUNK):
            last = self.ask("B", body[start : start + CHUNK])
        return last

    def eom(self) -> Answer:
        self.send("E")
        return self.answer()

    def abort(self) -> None:
        self.send("A")

    def quit(self) -> None:
        self.send("Q")
        self.close()

    def quit_nc(self) -> None:
        """The MTA goes on with a new client on the same connection."""
        self.send("K")

    def message(
        self, headers: tuple[tuple[bytes, bytes], ...] = ((b"Subject", b" x"),), body: bytes = b"x\r\n"
    ) -> Answer:
        """A whole message from MAIL to the end, all of it expected to go on; the answer to the end."""
        for answer in (self.mail(), self.rcpt(), self.data()):
            assert answer.kind in ("continue", "none"), answer
        for name, value in headers:
            self.header(name, value)
        self.eoh()
        self.body(body)
        return self.eom()


def _z(value: str | bytes) -> bytes:
    return (value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value) + b"\0"


def _s(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _edit(command: str, data: bytes) -> Edit:
    """An action packet as the edit that it says. Addresses as they crossed, a value as it crossed."""
    number = 0
    if command in "im":
        (number,), data = struct.unpack("!I", data[:4]), data[4:]
    strings = data.split(b"\0")
    match command:
        case "h":
            return AddHeader(strings[0], strings[1])
        case "i" if number == 2**31 - 1:  # how the wire adds
            return AddHeader(strings[0], strings[1])
        case "i":
            return InsertHeader(number, strings[0], strings[1])
        case "m":
            return ChangeHeader(number, strings[0], strings[1])
        case "+":
            return AddRecipient(_s(strings[0]))
        case "-":
            return DeleteRecipient(_s(strings[0]))
        case "e":
            return ChangeSender(_s(strings[0]))
        case "q":
            return Quarantine(_s(strings[0]))
    raise AssertionError(f"unknown packet {command!r} {data!r}")
