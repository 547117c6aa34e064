"""The listening socket: bound by us, not by libmilter, which knows neither modes, groups nor TCP_NODELAY.

The law: a socket file is removed only when nobody listens on it, and at the end only when it is still ours.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lumilter.errors import ConfigError

log = logging.getLogger("lumilter.wire")

BACKLOG = 1024
"""Connections that wait to be accepted; the kernel caps it at net.core.somaxconn."""


class SocketAddress(Protocol):
    """Where to listen, as the configuration has it."""

    @property
    def family(self) -> str:
        """ "unix", "inet" or "inet6"."""
        ...

    @property
    def path(self) -> str:
        """Of a unix socket."""
        ...

    @property
    def host(self) -> str:
        """Of an inet or inet6 socket; "" is every address."""
        ...

    @property
    def port(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening, non-blocking socket. file: what a unix socket's file is known again by."""

    socket: socket.socket
    path: str = ""
    file: tuple[int, ...] = ()

    def remove(self) -> None:
        """Remove the file of a unix socket, unless another process has put its own in its place."""
        try:
            if self.path and _identity(self.path) == self.file:
                Path(self.path).unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("%s can't be removed: %s", self.path, error.strerror)


def bind(address: SocketAddress, mode: int = 0o660, group: str = "") -> Listener:
    """A socket that listens on `address`, for `serve` and for the workers that inherit its descriptor.

    mode, group: of a unix socket's file; "" leaves the group. Raises ConfigError where that is not possible.
    """
    try:
        return _bind_unix(address, mode, group) if address.family == "unix" else Listener(_bind_inet(address))
    except (OSError, LookupError) as error:
        where = address.path if address.family == "unix" else f"{address.host}:{address.port}"
        raise ConfigError(f"can't listen on {address.family} socket {where}: {error}") from error


def _bind_unix(address: SocketAddress, mode: int, group: str) -> Listener:
    path = Path(address.path)
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        if _is_listening(address.path):
            raise OSError(errno.EADDRINUSE, "another process listens there")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        umask = os.umask(0o177)  # nobody else connects before mode and group are right
        try:
            listener.bind(address.path)
        finally:
            os.umask(umask)
        try:
            if group:
                shutil.chown(path, group=group)
            path.chmod(mode)
            return Listener(_listen(listener), address.path, _identity(address.path))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except BaseException:
        listener.close()
        raise


def _bind_inet(address: SocketAddress) -> socket.socket:
    family = socket.AF_INET6 if address.family == "inet6" else socket.AF_INET
    host = address.host or ("::" if family == socket.AF_INET6 else "0.0.0.0")
    target = socket.getaddrinfo(host, address.port, family, socket.SOCK_STREAM)[0][4]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it. Without it two added headers cost 40 ms (Nagle against delayed acknowledgement).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(target)
        return _listen(listener)
    except BaseException:
        listener.close()
        raise


def _listen(listener: socket.socket) -> socket.socket:
    listener.listen(BACKLOG)
    listener.setblocking(False)  # several workers wake up for one connection; the others must not sit in accept()
    return listener


def _identity(path: str) -> tuple[int, ...]:
    status = Path(path).stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns  # an inode number is soon used again


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # its queue is full
            return True
        return True
