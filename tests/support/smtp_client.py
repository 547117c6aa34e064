"""An SMTP client that says exactly what a test says: commands in one packet, silence, answers that are not there yet.

The law: smtplib for one session after the other; this where the order of packets on the wire is what is tested.
"""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass, field
from types import TracebackType

MESSAGE = b"From: ann@example.org\r\nSubject: x\r\n\r\nBody.\r\n"


@dataclass
class SmtpClient:
    """A context manager. timeout: seconds until a missing answer is an error."""

    port: int
    timeout: float = 60.0
    _socket: socket.socket = field(init=False)

    def __enter__(self) -> SmtpClient:
        self._socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self._stream = self._socket.makefile("rb")
        self.banner = self.answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vanish()

    def vanish(self) -> None:
        """Close without QUIT."""
        self._stream.close()
        self._socket.close()

    def send(self, *lines: str | bytes) -> None:
        """Lines in one packet."""
        raw = [line.encode() if isinstance(line, str) else line for line in lines]
        self._socket.sendall(b"".join(line + b"\r\n" for line in raw))

    def answer(self) -> str:
        """The next answer: "250 2.1.0 Ok", the lines of several joined by " / "; "" if the server has hung up."""
        lines: list[str] = []
        while line := self._line().decode("utf-8", "surrogateescape").rstrip("\r\n"):
            lines.append(line[4:] if lines else line[:3] + " " + line[4:])
            if line[3:4] != "-":
                break
        return " / ".join(lines)

    def _line(self) -> bytes:
        try:
            return self._stream.readline()
        except ConnectionResetError:  # the server had hung up before it read our last line
            return b""

    def ask(self, line: str) -> str:
        """One command and its answer."""
        self.send(line)
        return self.answer()

    def is_answered(self) -> bool:
        """Whether an answer is waiting to be read; only where all earlier ones were read."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def deliver(
        self, *recipients: str, sender: str = "ann@example.org", helo: str = "client.example", message: bytes = MESSAGE
    ) -> str:
        """A whole transaction, one command after the other; the first refusal, or the answer to the message."""
        for line in (f"EHLO {helo}", f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"):
            heard = self.ask(line)
            if not heard.startswith(("2", "3")):
                return heard
        self.send(message + b".")
        return self.answer()
