"""A socket that is connected to a server, by a deadline.

The law: each address of the name is tried, for whatever reason the one before it failed (the kernel's own ETIMEDOUT is
a TimeoutError too, and no reason to stop), until one answers or the time is up. One that is silent has its share of the
time only, as those after it may answer.
"""

from __future__ import annotations

import socket
import time

from lumilter.adapters.host_names import resolved
from lumilter.adapters.peer import Address


def connected(address: Address, deadline: float) -> socket.socket:
    """Connect. deadline: a time.monotonic() value. Raises OSError, TimeoutError when time is up."""
    if address.family == "unix":
        return _open(socket.AF_UNIX, address.path, deadline)
    family = socket.AF_INET6 if address.family == "inet6" else socket.AF_INET
    error: OSError = ConnectionError("no address")
    found = resolved(address.host, address.port, family, deadline)
    for left, (*_, place) in zip(range(len(found), 0, -1), found, strict=True):
        now = time.monotonic()
        try:
            sock = _open(family, place, now + (deadline - now) / left)
        except OSError as failed:
            error = failed
            continue
        # Else the end of what is sent waits for the server's delayed acknowledgement of the block before it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    raise error


def seconds_left(deadline: float) -> float:
    """Until a time.monotonic() value. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _open(family: socket.AddressFamily, place: object, deadline: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds_left(deadline))
        sock.connect(place)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock
