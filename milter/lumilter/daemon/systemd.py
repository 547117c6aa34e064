"""What systemd tells a service and is told by it: sockets, readiness, the watchdog.

The law: without systemd every function here does nothing. Source: sd_listen_fds(3), sd_notify(3) and
sd_watchdog_enabled(3).
"""

from __future__ import annotations

import logging
import os
import socket
import time

from lumilter.errors import ConfigError

log = logging.getLogger(__name__)

_FIRST_FD = 3


def sockets() -> dict[str, socket.socket]:
    """The listening sockets that were passed, by FileDescriptorName; the environment forgets them.

    Raises ConfigError for two of one name.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return {}
    found = {}
    for number in range(int(count)):
        name = names[number] if number < len(names) and names[number] else "unknown"
        if name in found:
            raise ConfigError(f"systemd passed two sockets of the name {name}; FileDescriptorName= tells them apart")
        os.set_inheritable(_FIRST_FD + number, False)
        found[name] = socket.socket(fileno=_FIRST_FD + number)
    return found


def notify(*states: str) -> None:
    """Send states such as "READY=1"."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(states).encode(), "\0" + path[1:] if path.startswith("@") else path)
    except OSError as error:
        log.warning("systemd could not be told %s: %s", states[0], error)


def reloading() -> None:
    """A reload begins; READY=1 ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog() -> float:
    """Seconds between two signs of life that systemd wants, half of WatchdogSec; 0 where it wants none."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(usec) / 2_000_000 if usec.isdigit() and pid == str(os.getpid()) else 0.0
