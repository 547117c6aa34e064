"""A socket address, in the spellings that Postfix, Sendmail and libmilter use.

The law: one parser for the configuration, the command line and whatever else names a socket.

    unix:/path  local:/path  /path         a Unix socket
    inet:port@host  inet6:port@host        Sendmail's and libmilter's order
    inet:host:port  inet6:[host]:port      Postfix's order
    inet:port                              the loopback address
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?")
_EXPECTED = 'expected "unix:/path", "inet:port@host", "inet6:port@host" or "inet:host:port"'
_SUN_PATH = 107
"""Bytes that fit into sockaddr_un.sun_path on Linux beside the closing NUL."""


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """family: "unix", "inet" or "inet6". path: of a Unix socket, else "". host, port: of the others, else "" and 0."""

    family: str
    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> SocketAddress:
        """Read one of the spellings above. Raises ValueError, whose text says what was expected."""
        family, colon, rest = text.partition(":")
        if text.startswith("/"):
            family, rest = "unix", text
        elif not colon:
            raise ValueError(f'{_EXPECTED}, got "{text}"')
        if family in ("unix", "local"):
            return cls("unix", path=_path(rest))
        if family not in ("inet", "inet6"):
            raise ValueError(f'{_EXPECTED}, got the family "{family}"')
        host, port = _host_and_port(rest, text)
        host = host or ("::1" if family == "inet6" else "127.0.0.1")
        _check_host(family, host)
        if not 1 <= port <= 65535:
            raise ValueError(f"expected a port from 1 to 65535, got {port}")
        return cls(family, host=host, port=port)

    def __str__(self) -> str:
        """libmilter's spelling (smfi_setconn), which is Sendmail's too."""
        if self.family == "unix":
            return f"unix:{self.path}"
        return f"{self.family}:{self.port}@{self.bracketed}"

    @property
    def bracketed(self) -> str:
        """The host, in brackets where it is an IPv6 address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def for_postfix(self) -> str:
        """As `smtpd_milters` wants it: Postfix has no inet6, it takes a bracketed address."""
        return str(self) if self.family == "unix" else f"inet:{self.bracketed}:{self.port}"


def _path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f'expected an absolute path after "unix:", got "{path}"')
    if "\0" in path or len(path.encode("utf-8", "surrogateescape")) > _SUN_PATH:
        raise ValueError(f"expected a path of at most {_SUN_PATH} bytes without NUL, got {len(path)} characters")
    return path


def _host_and_port(rest: str, text: str) -> tuple[str, int]:
    if "@" in rest:
        port, _, host = rest.partition("@")
    elif ":" in rest:
        host, _, port = rest.rpartition(":")
    else:
        host, port = "", rest
    if not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(f'expected a port number in "{text}", got "{port}"')
    return host.removeprefix("[").removesuffix("]") if host.startswith("[") else host, int(port)


def _check_host(family: str, host: str) -> None:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        if not _HOST.fullmatch(host):
            raise ValueError(f'expected a host name or an address, got "{host}"') from None
        return
    if family == "inet" and version == 6:
        raise ValueError(f'expected an IPv4 address after "inet:", got "{host}"; IPv6 is "inet6:"')
    if family == "inet6" and version == 4:
        raise ValueError(f'expected an IPv6 address after "inet6:", got "{host}"; IPv4 is "inet:"')


@dataclass(frozen=True, slots=True)
class MailServer:
    """Who takes mail: protocol, "smtp" or "lmtp", and where it listens."""

    protocol: str
    address: SocketAddress

    @classmethod
    def parse(cls, text: str) -> MailServer:
        """Read "smtp:" or "lmtp:" and a socket; without either it is SMTP. Raises ValueError."""
        protocol, _, rest = text.partition(":")
        if protocol not in ("smtp", "lmtp"):
            protocol, rest = "smtp", text
        return cls(protocol, SocketAddress.parse(rest))

    def __str__(self) -> str:
        return f"{self.protocol}:{self.address}"
