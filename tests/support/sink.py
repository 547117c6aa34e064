"""A mail server that keeps what it is sent: the end of the line for an MTA under test, and for the demo.

The law: the standard library only (the demo has no development packages), and raw bytes: a message is what stood
between DATA and the final dot, CRLF line ends and all, with nothing but the dot stuffing undone.
"""

from __future__ import annotations

import socketserver
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE")
"""Offered so that an MTA passes a message on as it is instead of converting it."""


@dataclass(frozen=True)
class Received:
    """A message with its envelope. sender, recipients: without angle brackets and parameters; raw: CRLF line ends."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    helo: str
    peer: str = ""
    """The client's IP address."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names and unfolded values in order."""
        unfolded: list[bytes] = []
        for line in self.raw.partition(b"\r\n\r\n")[0].split(b"\r\n"):
            if line[:1] in b" \t" and unfolded:
                unfolded[-1] += b" " + line.strip()
            else:
                unfolded.append(line)
        return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in unfolded)]

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header."""
        return [value for header, value in self.headers if header.lower() == name.lower()]

    @property
    def body(self) -> bytes:
        """What follows the empty line."""
        return self.raw.partition(b"\r\n\r\n")[2]


@dataclass
class Sink:
    """A context manager; port 0 takes a free one. replies: what a command word or a recipient is answered, not 250.

    last: it dies in the middle of the message after so many; 0 is never. pause: seconds until it answers for a message.
    """

    port: int = 0
    replies: dict[str, str] = field(default_factory=dict)
    messages: list[Received] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    last: int = 0
    pause: float = 0.0

    @property
    def is_dead(self) -> bool:
        return 0 < self.last <= len(self.messages)

    def __enter__(self) -> Sink:
        self._server = _Server(("127.0.0.1", self.port), _Session)
        self._server.sink = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, count: int, timeout: float = 30) -> list[Received]:
        """The messages once there are that many. Raises TimeoutError after `timeout` seconds."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.messages) >= count, timeout):
                raise TimeoutError(f"expected {count} messages, got {len(self.messages)}")
            return list(self.messages)

    def keep(self, message: Received) -> None:
        with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    sink: Sink


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self._helo, self._sender = "", ""
        self._recipients: list[str] = []
        if self.server.sink.is_dead:
            return
        self._say("220 sink ESMTP")
        while line := self.rfile.readline():
            verb, _, argument = line.decode("utf-8", "surrogateescape").strip().partition(" ")
            if self._command(verb.upper(), argument) == "QUIT":
                return

    def _command(self, verb: str, argument: str) -> str:
        replies = self.server.sink.replies
        if verb in ("EHLO", "HELO"):
            self._helo = argument
            lines = ["sink", *EXTENSIONS] if verb == "EHLO" else ["sink"]
            for line in lines[:-1]:
                self._say(f"250-{line}")
            self._say(f"250 {lines[-1]}")
        elif verb == "MAIL":
            self._sender, self._recipients = _address(argument), []
            self._say(replies.get("MAIL", "250 2.1.0 sender kept"))
        elif verb == "RCPT":
            recipient = _address(argument)
            reply = replies.get(recipient, replies.get("RCPT", "250 2.1.5 recipient kept"))
            if reply.startswith("2"):
                self._recipients.append(recipient)
            self._say(reply)
        elif verb == "DATA" and self._recipients:
            self._say("354 go on")
            if not self._data(replies.get("DATA", "250 2.0.0 message kept")):
                return "QUIT"
        elif verb in ("RSET", "NOOP"):
            self._recipients = []
            self._say("250 2.0.0 done")
        elif verb == "QUIT":
            self._say("221 2.0.0 bye")
        else:
            self._say("503 5.5.1 not now")
        return verb

    def _data(self, reply: str) -> bool:
        """Whether the connection goes on."""
        sink, lines = self.server.sink, []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if not line or sink.is_dead:
            return False
        time.sleep(sink.pause)
        if reply.startswith("2"):
            recipients, peer = tuple(self._recipients), self.client_address[0]
            sink.keep(Received(self._sender, recipients, b"".join(lines), self._helo, peer))
        self._recipients = []
        self._say(reply)
        return True

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


def _address(argument: str) -> str:
    """The address in `FROM:<a@b> SIZE=1`; quoted local parts may hold anything but are closed before the bracket."""
    path = argument.partition("<")[2]
    quoted = False
    for at, char in enumerate(path):
        if char == '"' and path[at - 1 : at] != "\\":
            quoted = not quoted
        elif char == ">" and not quoted:
            return path[:at]
    return path
