"""Leaving without losing a message: no new connection is taken, the open ones are let go on until they end.

The law: what is counted are the sockets themselves, because a connection that libmilter has accepted and that has not
negotiated yet is known to nobody else.
"""

from __future__ import annotations

import os
import socket
import time

from lumilter.wire.descriptors import is_listening, open_sockets, readable

_STEP = 0.02
"""Seconds between two looks."""


def stop_accepting(descriptor: int) -> None:
    """Put a silent listener in the place of the one that libmilter polls.

    The old one lives on in whatever other process has it; what waits in its queue is taken there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind("")  # an abstract name chosen by the kernel, told to nobody
        silent.listen(1)
        silent.setblocking(False)
        os.dup2(silent.fileno(), descriptor, inheritable=False)


def empty_queue(listener: socket.socket, until: float) -> None:
    """Let libmilter take what waits to be accepted. until: of time.monotonic()."""
    while readable(listener, seconds=0) and time.monotonic() < until:
        time.sleep(_STEP)


def wait_for_connections(name: tuple[object, ...] | str, until: float, hurry: socket.socket) -> int:
    """Wait until no accepted connection is left; how many are left at `until`, or when `hurry` can be read.

    name: the listener's getsockname().
    """
    while True:
        left = _connections(name)
        if not left or time.monotonic() >= until or readable(hurry, seconds=_STEP):
            return left


def _connections(name: tuple[object, ...] | str) -> int:
    return sum(_same(one.getsockname(), name) and not is_listening(one) for _, one in open_sockets())


def _same(local: object, name: tuple[object, ...] | str) -> bool:
    """An accepted socket has its listener's path or port; its address may differ from a wildcard."""
    if isinstance(local, tuple) and isinstance(name, tuple):
        return bool(local[1] == name[1])
    return local == name and bool(name)
