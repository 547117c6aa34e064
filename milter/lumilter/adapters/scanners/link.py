"""A connection to a scanner, bounded in time and size.

The law: every operation ends by the deadline, however slowly the other side sends or takes. An answer may come before
all was sent: then nothing more is sent, and it is read.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lumilter.adapters.connecting import connected, seconds_left
from lumilter.adapters.peer import Address, Secured, printable
from lumilter.adapters.scanners.contract import ScanError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LINE = 16_384
"""Bytes that a line of an answer may have."""


class Link:
    """Connects at once. deadline: a time.monotonic() value. Every method raises OSError, or ScanError for nonsense."""

    def __init__(self, address: Address, deadline: float) -> None:
        self._deadline = deadline
        self.sock: Any = connected(address, deadline)
        if isinstance(address, Secured):
            from lumilter.adapters.tls import secured

            self.sock = secured(self.sock, address, deadline)
        self.reader = io.BufferedReader(_Raw(self))

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def hang_up(self) -> None:
        """End what is going on in other threads."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    # --- sending -----------------------------------------------------------------------------------------------------

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all of it."""
        left = memoryview(data)
        while left:
            self.sock.settimeout(self.left())
            left = left[self.sock.send(left) :]

    def deliver(self, chunks: Iterable[bytes | memoryview]) -> bool:
        """Send one chunk after the other; False, once the other side has answered or stopped to listen.

        Of an iterator, what was not sent is still in it then, unless the connection is gone.
        """
        left = iter(chunks)
        while not self._answers():
            chunk = next(left, None)
            if chunk is None:
                return True
            try:
                self.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError):
                return False
        return False

    def _answers(self) -> bool:
        """Whether there is something to read, or the end."""
        if not isinstance(self.sock, socket.socket):
            return bool(self.sock.answers())
        ready = select.poll()
        ready.register(self.sock, select.POLLIN)
        return bool(ready.poll(0))

    def end(self) -> None:
        """Nothing more will be sent."""
        with contextlib.suppress(OSError):  # the other side has hung up: its answer may still be there
            self.sock.shutdown(socket.SHUT_WR)

    # --- reading -----------------------------------------------------------------------------------------------------

    def line(self) -> bytes:
        """The next line without its end. Raises ScanError where there is none."""
        found = self.reader.readline(LINE + 1)
        if not found:
            raise ScanError("nonsense", "the connection was closed before the answer")
        if not found.endswith(b"\n"):
            raise ScanError("nonsense", f"half an answer, or more than a line: {printable(found)}")
        return found.rstrip(b"\r\n")

    def fields(self, most: int = 100) -> dict[str, str]:
        """Lines of "name: value" up to an empty one; names in lower case. Raises ScanError."""
        found: dict[str, str] = {}
        last = ""
        for _ in range(most):
            line = self.line()
            if not line:
                return found
            name, colon, value = line.partition(b":")
            if last and line[:1] in (b" ", b"\t"):
                found[last] = f"{found[last]} {printable(line, LINE)}"
            elif colon:
                last = printable(name).lower()
                found[last] = printable(value, LINE)
            else:
                raise ScanError("nonsense", f"a field without a colon: {printable(line)}")
        raise ScanError("nonsense", f"more than {most} lines of fields")

    def rest(self, most: int) -> bytes:
        """Everything up to the end of the connection. Raises ScanError beyond that many bytes."""
        found = self.reader.read(most + 1)
        if len(found) > most:
            raise ScanError("nonsense", f"more than {most} bytes")
        return found

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client reads from."""
        return self.reader  # type: ignore[return-value]  # it is one of a raw file of ours

    # --- time --------------------------------------------------------------------------------------------------------

    def left(self) -> float:
        """Seconds; raises TimeoutError when there are none."""
        return seconds_left(self._deadline)


class _Raw(io.RawIOBase):
    """A link's socket as a file that is read by the deadline."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._link.sock.settimeout(self._link.left())
        return int(self._link.sock.recv_into(buffer))
