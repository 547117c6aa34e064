"""Ports on the loopback address for servers of tests that can't be told to take any.

The law: a port is given out once, to one process at a time: it is below those that the kernel gives to clients, and
locked by a file until the process ends. Between being given out and being bound nobody else takes it.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_FIRST, _LAST = 12_000, 32_000
_locked: list[IO[bytes]] = []


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on, by TCP or UDP."""
    directory = Path(tempfile.gettempdir()) / f"lumilter-ports-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    last = min(_LAST, lowest - 1) if lowest > _FIRST + 1000 else _LAST
    while True:
        port = random.SystemRandom().randint(_FIRST, last)
        lock = (directory / str(port)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
        else:
            _locked.append(lock)
            return port
