"""The sockets that this process has open, also those that belong to libmilter.

The law: only looks. A descriptor can vanish, or become another one, between two looks: each is duplicated first.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Iterator


def open_sockets() -> Iterator[tuple[int, socket.socket]]:
    """(number, a duplicate that is closed when the next one is taken) of every open socket."""
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 (no Path per descriptor: this runs in a loop)
        try:
            duplicate = os.dup(int(entry))
        except OSError:  # the listing's own descriptor, or closed meanwhile
            continue
        if not stat.S_ISSOCK(os.fstat(duplicate).st_mode):
            os.close(duplicate)
            continue
        with socket.socket(fileno=duplicate) as found:
            yield int(entry), found


def is_listening(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def readable(*watched: socket.socket | int, seconds: float | None = None) -> bool:
    """Whether one of them can be read; seconds: how long to wait for it, None without end.

    select() would refuse descriptors above 1,023, which a busy daemon has.
    """
    poll = select.poll()
    for one in watched:
        poll.register(one, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
