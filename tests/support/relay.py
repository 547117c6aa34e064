"""A TCP relay between a client and a real server, which breaks what passes in a way that a test says.

The law: two threads a connection; all ends with the context.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Relay:
    """What happens to connections, old ones too. Everything passes at first.

    cut_after: bytes from the server after which a connection ends, None is never. cut_at: bytes of the client with
    which it ends, once the server has got them. mute: nothing comes from the server any more; mute_at: bytes of the
    client with which that begins. trickle: the server's bytes come one by one, so many seconds apart. garbage: comes
    instead of the server's next words.
    """

    target: int
    port: int = 0
    cut_after: int | None = None
    cut_at: bytes = b""
    mute: bool = False
    mute_at: bytes = b""
    trickle: float = 0.0
    garbage: bytes = b""
    connections: int = 0
    _sockets: list[socket.socket] = field(default_factory=list)

    def hang_up(self) -> None:
        """End every connection."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target), 10)
        except OSError:
            client.close()
            return
        self.connections += 1
        self._sockets += [client, server]
        threads = [
            threading.Thread(target=self._upwards, args=(client, server), daemon=True),
            threading.Thread(target=self._downwards, args=(client, server), daemon=True),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for sock in (client, server):
            sock.close()

    def _upwards(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                if self.mute_at and self.mute_at in piece:
                    self.mute = True
                if self.cut_at and self.cut_at in piece:
                    self.mute = True
                    server.sendall(piece)
                    time.sleep(0.2)  # so that the server has read it
                    break
                server.sendall(piece)
        self._end(client, server)

    def _downwards(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := server.recv(65536):
                if self.mute:
                    continue
                if self.garbage:
                    piece = self.garbage
                if self.cut_after is not None and passed + len(piece) > self.cut_after:
                    client.sendall(piece[: self.cut_after - passed])
                    break
                passed += len(piece)
                if self.trickle:
                    for byte in piece:
                        client.sendall(bytes([byte]))
                        time.sleep(self.trickle)
                else:
                    client.sendall(piece)
        self._end(client, server)

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(target: int) -> Iterator[Relay]:
    """To a port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0))
    here = Relay(target, listener.getsockname()[1])

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=here._serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        here.mute = False
        here.hang_up()
