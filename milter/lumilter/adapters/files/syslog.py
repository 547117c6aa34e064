"""Lines for the system's log: syslog://?facility=mail&priority=error.

The law: a line is a datagram, so it is whole; one that can't be sent is an error, which syslog(3) would not tell.
A log that was started anew has another socket at the same path, and gets the line there.

Source: manual, modules/syslog_io (ident and default_facility, the URI's two parameters; the priority is "error" unless
given); RFC 3164 as the C libraries write it to a local socket: "<PRI>ident: text".
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import threading
import time
from dataclasses import dataclass
from logging.handlers import SysLogHandler

from lumilter.adapters.files.contract import FileError, WriteOnly, held, reason

_LONGEST = 60.0
"""Seconds that the log may take for a line: a deadline may be infinite, a socket's timeout can't."""
_GONE = (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN)
_LINE = re.compile(rb"[^\r\n]+")


@dataclass(frozen=True, slots=True)
class SyslogSettings:
    """socket: the path of the log's own; ident: what lines begin with; facility: of URIs that name none."""

    socket: str = "/dev/log"
    ident: str = "lumilter"
    facility: str = "mail"


class SyslogWriter(WriteOnly):
    """See Stream. parameters: of the URI. Raises FileError."""

    def __init__(self, parameters: dict[str, str], settings: SyslogSettings) -> None:
        for name in parameters.keys() - {"facility", "priority"}:
            raise FileError(f"syslog: {name} is neither facility nor priority")
        facility = _found(SysLogHandler.facility_names, "facility", parameters.get("facility", settings.facility))
        priority = _found(SysLogHandler.priority_names, "priority", parameters.get("priority", "error"))
        self._head = f"<{facility << 3 | priority}>{settings.ident}: ".encode()
        self._lock = threading.Lock()
        self._path = settings.socket
        self._socket = self._connected()

    def write(self, data: bytes, deadline: float) -> int:
        """See Stream: an entry for each line; empty ones are none."""
        with held(self._lock, deadline, "syslog:"):
            if self._socket.fileno() < 0:
                raise FileError("syslog: it is closed")
            try:
                for line in _LINE.findall(data):
                    self._send(self._head + line, deadline)
            except OSError as error:
                raise FileError(f"syslog: {reason(error)}") from None
        return len(data)

    def _send(self, entry: bytes, deadline: float) -> None:
        self._socket.settimeout(_seconds(deadline))
        try:
            self._socket.send(entry)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            old, self._socket = self._socket, self._connected()
            old.close()
            self._socket.settimeout(_seconds(deadline))
            self._socket.send(entry)

    def _connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            raise FileError(f"syslog: {self._path}: {reason(error)}") from None
        return sock

    def close(self) -> None:
        """See Stream."""
        with contextlib.suppress(OSError):
            self._socket.close()


def _seconds(deadline: float) -> float:
    return min(max(0.001, deadline - time.monotonic()), _LONGEST)


def _found(known: dict[str, int], what: str, name: str) -> int:
    if name.lower() not in known:
        raise FileError(f"syslog: {name!r} is no {what}: {', '.join(known)} are")
    return known[name.lower()]
