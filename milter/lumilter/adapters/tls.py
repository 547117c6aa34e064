"""TLS on a connected socket, read by one thread while another one writes.

The law: the TLS object works on memory, under a lock, and never waits; waiting is the socket's, by its own timeout.
ssl.SSLSocket would not do: OpenSSL's objects are not for two threads at a time (Python locks them from 3.13 on), its
sendall begins a new timeout for each record, and what poll() says of it may be a session ticket.

Source: RFC 8446; a certificate is checked with the name that was connected to.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from typing import TYPE_CHECKING

from lumilter.adapters.connecting import seconds_left
from lumilter.adapters.peer import Secured

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 1 << 16


class TlsError(OSError):
    """No connection that can be trusted."""


def context_of(ca_file: str = "", certificate: str = "", private_key: str = "") -> ssl.SSLContext:
    """How servers are checked. ca_file: "" is the system's. certificate: ours. Raises OSError with the file's name."""
    context = ssl.create_default_context()
    pair = f"{certificate} with {private_key}" if private_key else certificate
    for what, file, name in (("ca_file", ca_file, ca_file), ("certificate", certificate, pair)):
        try:
            if file and what == "ca_file":
                context = ssl.create_default_context(cafile=file)
            elif file:
                context.load_cert_chain(file, private_key or None, _unasked)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            text = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise OSError(f"{what} {name} can't be used: {text.partition(' (_ssl.c')[0]}") from None
    return context


def _unasked() -> str:
    """For OpenSSL, which would ask the terminal, and wait."""
    raise ValueError("the private key has a pass phrase: take one without")


def secured(sock: socket.socket, server: Secured, deadline: float) -> TlsSocket:
    """TLS with the server that the socket is connected to; the socket is closed where there is none. Raises OSError."""
    try:
        return TlsSocket(sock, server.context, server.host, deadline)
    except BaseException:
        sock.close()
        raise


class TlsSocket:
    """What of a socket's methods a link needs; the handshake is made at once.

    Raises OSError, TimeoutError by the deadline, in however many pieces a record comes.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._state = threading.Lock()
        self._plain = bytearray()
        try:
            self._shake_hands()
        except ssl.SSLCertVerificationError as error:
            with contextlib.suppress(OSError):  # the server is told why, if it listens
                self._flush()
            raise TlsError(f"the certificate of {name} is not accepted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise TlsError(f"no TLS: {error.reason or type(error).__name__}") from None

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            else:
                self._flush()
                return

    def settimeout(self, seconds: float) -> None:
        """See socket."""
        self._sock.settimeout(seconds)

    def fileno(self) -> int:
        """See socket."""
        return self._sock.fileno()

    def close(self) -> None:
        """Hang up; the other side has all it was to get by then."""
        self._sock.close()

    def shutdown(self, how: int) -> None:
        """See socket. Nothing for SHUT_WR: spamd would leave the record that says so unread, and its kernel reset
        the connection then before the answer is here.
        """
        if how != socket.SHUT_WR:
            self._sock.shutdown(how)

    def send(self, data: bytes | memoryview) -> int:
        """Send all of it; how much that was."""
        try:
            with self._state:
                self._tls.write(data)
        except ssl.SSLError as error:
            raise TlsError(f"TLS: {error.reason or type(error).__name__}") from None
        self._flush()
        return len(data)

    def recv_into(self, buffer: WriteableBuffer) -> int:
        """See socket. A connection that is cut off looks like one that was ended: protocols say how long they are."""
        while not self._plain and not self._decrypt():
            self._receive()
        view = memoryview(buffer)
        size = min(len(view), len(self._plain))
        view[:size] = self._plain[:size]
        del self._plain[:size]
        return size

    def answers(self) -> bool:
        """Whether there is something to read, or the end, without waiting for it."""
        if self._plain or self._decrypt():
            return True
        ready = select.poll()
        ready.register(self._sock, select.POLLIN)
        if not ready.poll(0):
            return False
        self._receive()
        return self._decrypt()

    def _decrypt(self) -> bool:
        """Whether there is more plain text, or the end."""
        try:
            with self._state:
                found = self._tls.read(_CHUNK)
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return True
        except ssl.SSLError as error:
            raise TlsError(f"TLS: {error.reason or type(error).__name__}") from None
        self._plain += found
        return True

    def _receive(self) -> None:
        self._sock.settimeout(seconds_left(self._deadline))
        data = self._sock.recv(_CHUNK)
        with self._state:
            if data:
                self._in.write(data)
            else:
                self._in.write_eof()

    def _flush(self) -> None:
        """Send what the TLS object has to say.

        Who reads never does: both sides could wait for each other. An answer to a change of keys is due before the next
        record of ours, and leaves with it.
        """
        with self._state:
            data = self._out.read()
        if data:
            self._sock.sendall(data)
