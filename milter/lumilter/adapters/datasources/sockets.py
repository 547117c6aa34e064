"""The sockets of libraries' connections: watched, and shut down from another thread.

The law: a library's descriptor is never touched, only a copy of ours: a number that the library gave back may belong to
another connection already.
"""

from __future__ import annotations

import os
import select
import socket


def copy_of(descriptor: int) -> socket.socket:
    """A socket of our own for the same connection, to be closed."""
    return socket.socket(fileno=os.dup(descriptor))


def shut(copy: socket.socket) -> None:
    """Whoever waits for the connection waits no more. It does not block."""
    copy.shutdown(socket.SHUT_RDWR)


def is_quiet(sock: socket.socket) -> bool:
    """Whether the server has neither hung up nor said something while nobody asked."""
    poll = select.poll()
    try:
        poll.register(sock, select.POLLIN)
    except (OSError, ValueError):  # it was closed
        return False
    return not poll.poll(0)
