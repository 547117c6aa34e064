"""A TCP server that does what a test says, however wrong: each connection is handed to a function.

The law: a thread for each connection; closed with the context, whatever the function was doing.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """connections: how many came so far."""

    port: int
    connections: int = 0
    open: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[RawServer]:
    """Serve until the context is left."""
    listener = socket.create_server(("127.0.0.1", 0))
    here = RawServer(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def run(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            talk(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                here.connections += 1
                here.open.append(sock)
                threads[:] = [thread for thread in threads if thread.is_alive()]
                threads.append(threading.Thread(target=run, args=(sock,), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield here
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for sock in here.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def until_headers_end(sock: socket.socket) -> bytes:
    """A request up to its empty line."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError
        got += piece
    return got
