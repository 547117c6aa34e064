"""A conversation with an SMTP or LMTP server: commands and replies, each bounded in time and in size.

The law: smtplib's client with its own way to open sockets and to read replies. smtplib's would read an endless reply to
the end of memory, and gives a server that sends a byte now and then a new timeout for each of them.
"""

from __future__ import annotations

import re
import smtplib
import time
from typing import TYPE_CHECKING

from lumilter.adapters.connecting import connected, seconds_left
from lumilter.adapters.peer import Address, printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

REPLY = 65536
"""Bytes that a reply may have, all lines together. RFC 5321 4.5.3.1.5: 512 for a line, which few servers obey."""

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?")


class Nonsense(OSError):
    """What came is not a reply of an SMTP server."""


class Session(smtplib.SMTP):
    """An open connection whose greeting was not read yet. Every method raises OSError (smtplib's own errors are such).

    lmtp: speak RFC 2033. timeout: seconds for one reply. deadline: a time.monotonic() value for everything.
    """

    def __init__(self, address: Address, lmtp: bool, hostname: str, timeout: float, deadline: float) -> None:
        super().__init__(local_hostname=hostname, timeout=timeout)
        self.ehlo_msg = "lhlo" if lmtp else "ehlo"
        self.command_encoding = "utf-8"  # smtp_address lets nothing beyond ASCII through where the server can't take it
        self._until = 0.0
        self._unread = bytearray()
        self.allow(timeout, deadline)
        self.sock = connected(address, self._until)

    def allow(self, seconds: float, deadline: float) -> None:
        """The next command, with its reply, may take so long."""
        self._until = min(time.monotonic() + seconds, deadline)

    def patient(self) -> None:
        """Bound the next operation on the socket. Raises TimeoutError when time is up."""
        assert self.sock is not None
        self.sock.settimeout(seconds_left(self._until))

    def send(self, s: str | ReadableBuffer) -> None:
        """Send text or bytes as they are."""
        if self.sock is None:
            raise ConnectionError("not connected")
        self.patient()
        self.sock.sendall(s.encode(self.command_encoding) if isinstance(s, str) else s)

    def getreply(self) -> tuple[int, bytes]:
        """Code (200 to 599) and text, lines joined by LF. Raises OSError, Nonsense among them."""
        lines: list[bytes] = []
        room = REPLY
        while True:
            line = self._line(room)
            room -= len(line)
            found = _LINE.fullmatch(line.rstrip(b"\r\n"))
            if not found:
                raise Nonsense(f"answered with nonsense: {printable(line)}")
            lines.append((found[3] or b"").strip(b" \t"))
            if found[2] != b"-":
                return int(found[1]), b"\n".join(lines)

    def _line(self, room: int) -> bytes:
        assert self.sock is not None
        while (end := self._unread.find(b"\n") + 1) == 0 and len(self._unread) <= room:
            self.patient()
            more = self.sock.recv(4096)
            if not more:
                raise ConnectionResetError("closed the connection")
            self._unread += more
        if end == 0 or end > room:
            raise Nonsense(f"answered with more than {REPLY} bytes: {printable(bytes(self._unread))}")
        line = bytes(self._unread[:end])
        del self._unread[:end]
        return line
