"""A mail server that does what a test says, however wrong: each connection is handed to a function.

The law: a thread for each connection; closed with the context, whatever the function was doing.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from lumilter.config.address import MailServer


class Talk:
    """The server's side of a connection. heard: the command lines that came, without line ends."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard: list[bytes] = []
        self._file = sock.makefile("rb")

    def say(self, *lines: bytes) -> None:
        self.sock.sendall(b"".join(line + b"\r\n" for line in lines))

    def command(self, *answer: bytes) -> bytes:
        """The next command, once it was answered. Raises EOFError."""
        line = self._file.readline()
        if not line:
            raise EOFError
        self.heard.append(line.rstrip(b"\r\n"))
        if answer:
            self.say(*answer)
        return self.heard[-1]

    def commands(self, *answers: bytes) -> None:
        """Answer so many commands with a line each."""
        for answer in answers:
            self.command(answer)

    def data(self) -> bytes:
        """What comes up to the final dot, dots and all. Raises EOFError."""
        lines = []
        while (line := self._file.readline()) != b".\r\n":
            if not line:
                raise EOFError
            lines.append(line)
        return b"".join(lines)

    def hello(self, *extensions: bytes) -> None:
        """The greeting, and the answer to EHLO or LHLO."""
        self.say(b"220 here")
        self.command(*(b"250-" + line for line in (b"here", *extensions)), b"250 HELP")

    def wait(self) -> None:
        """Until the client hangs up."""
        while self.sock.recv(65536):
            pass


class Scripted:
    """talk: called for each connection, with its number from 0. talks: the connections so far."""

    def __init__(self, talk: Callable[[Talk, int], None], protocol: str, path: Path | None) -> None:
        self.talks: list[Talk] = []
        self._talk, self._threads = talk, list[threading.Thread]()
        family = socket.AF_UNIX if path else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen(50)
        where = f"unix:{path}" if path else f"inet:{self._listener.getsockname()[1]}@127.0.0.1"
        self.server = MailServer.parse(f"{protocol}:{where}")
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.talks.append(Talk(self._listener.accept()[0]))
                thread = threading.Thread(target=self._run, args=(len(self.talks) - 1,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self, number: int) -> None:
        talk = self.talks[number]
        with contextlib.suppress(OSError, EOFError, ValueError):
            self._talk(talk, number)
        with contextlib.suppress(OSError):
            talk.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for talk in self.talks:
            with contextlib.suppress(OSError):
                talk.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for talk in self.talks:
            talk._file.close()
            talk.sock.close()


@contextlib.contextmanager
def scripted(talk: Callable[[Talk, int], None], protocol: str = "smtp", path: Path | None = None) -> Iterator[Scripted]:
    """Serve until the context is left."""
    server = Scripted(talk, protocol, path)
    try:
        yield server
    finally:
        server.close()
