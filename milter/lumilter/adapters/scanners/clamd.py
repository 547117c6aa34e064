"""ClamAV's daemon: INSTREAM, by pyclamd over a connection of ours.

The law: pyclamd writes commands and reads answers; time, size and what counts as an answer are decided here. Its own
sockets would not do (0.4.0): `timeout` is for one operation and is taken five times for an answer (`_recv_response`),
so there is no deadline; `send` may take less than it is given, and what is left is lost; there is no IPv6; an answer
in two pieces is read as two answers; and making an object opens a connection to try it.

Source: clamd(8); the module's page: clean is "OK" or "Empty file".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pyclamd

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.link import Link

KIND = "clamd"

_ANSWER = re.compile(r"stream: (?:OK|Empty file|.+ FOUND|.+ ERROR)|INSTREAM size limit exceeded\. ERROR|.+ ERROR")
_CHUNK = 1 << 16
_LIMITS = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted.")
"""clamd's names (AlertExceedsMax, AlertEncrypted) for what it could not look into."""


class Clamd:
    """The engine."""

    kind = KIND
    messages_only = False
    wants_envelope = False

    def scan(self, sample: Sample, server: Address, deadline: float) -> Result:
        """See contract.Engine."""
        with Link(server, deadline) as link:
            wire = _Wire(link)
            try:
                found = _Session(wire).scan_stream(_Stream(sample.chunks(_CHUNK)), _CHUNK)
            except pyclamd.BufferTooLongError:
                return Result(Verdict.UNSCANNABLE, "more than clamd's StreamMaxLength", code="ERROR")
            except pyclamd.ConnectionError:  # its own; what happened is its context
                raise ConnectionError("the connection was lost") from None
        if not found:
            return Result(Verdict.CLEAN, code="Empty file" if wire.answer.endswith("Empty file") else "OK")
        status, reason = next(iter(found.values()))
        if status != "FOUND":
            raise ScanError("refused", reason)
        verdict = Verdict.UNSCANNABLE if reason.startswith(_LIMITS) else Verdict.INFECTED
        return Result(verdict, reason, code=status)


class _Session(pyclamd.ClamdUnixSocket):  # type: ignore[misc]
    """pyclamd's client on a connection that is open already."""

    def __init__(self, wire: _Wire) -> None:
        self.clamd_socket = wire

    def _init_socket(self) -> None:
        """There is one."""


class _Stream:
    """A sample as pyclamd reads it."""

    def __init__(self, chunks: Iterator[memoryview]) -> None:
        self._chunks = chunks

    def read(self, size: int) -> bytes | memoryview:
        """The next chunk, however large it may be."""
        return next(self._chunks, b"")


class _Wire:
    """A link as pyclamd's socket. answer: clamd's line, once it was read."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._heard = False
        self.answer = ""

    def send(self, data: bytes | memoryview) -> int:
        """All of it, or none where clamd has answered already: it does when the stream is too long for it."""
        if not self._heard:
            self._heard = not self._link.deliver((data,))
        return len(data)

    def recv(self, size: int) -> bytes:
        """The answer, which is one line; nothing the second time."""
        if self.answer:
            return b""
        try:
            line = self._link.line()
        except TimeoutError:
            raise ScanError("timeout", "no answer in time") from None  # pyclamd would try again
        except OSError as error:
            raise ScanError("down", f"the connection was lost: {error.strerror}") from None
        self.answer = printable(line, 1000)
        if not _ANSWER.fullmatch(self.answer):
            raise ScanError("nonsense", f"not an answer of clamd: {printable(line)}")
        if not self.answer.startswith(("stream: ", "INSTREAM size limit")):  # pyclamd can't read it
            raise ScanError("refused", self.answer)
        return self.answer.encode()

    def close(self) -> None:
        """See Link."""
        with contextlib.suppress(OSError):
            self._link.close()
