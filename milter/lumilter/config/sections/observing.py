"""[log], [control], [metrics], [shadow], [record]: seeing what the daemon does.

The law: what a key means is said here and nowhere else (see schema).
"""

# ruff: noqa: RUF009 -- key() returns dataclasses.field()

from __future__ import annotations

from dataclasses import dataclass

from lumilter.config.address import SocketAddress
from lumilter.config.declare import key
from lumilter.config.kinds import (
    BOOLEAN,
    MODE,
    NETWORK,
    SOCKET,
    TEXT,
    UNIX_SOCKET,
    Kind,
    Network,
    choice,
    got,
    list_of,
    optional,
    seconds,
)


def _target(value: object) -> object:
    if value != "stderr" and not (isinstance(value, str) and value.startswith("/")):
        raise ValueError(f'expected "stderr" or an absolute path, got {got(value)}')
    return TEXT.read(value)


@dataclass(frozen=True, slots=True)
class Log:
    """Where lumilter and what scripts print are logged."""

    format: str = key(choice("text", "json"), '"text", or "json": one object a line.', "text")
    target: str = key(
        Kind('"stderr" or an absolute path', _target),
        '"stderr" (systemd\'s journal keeps it), or a file that is appended to.',
        "stderr",
    )
    level: str = key(choice("debug", "info", "warning", "error"), "The least severe that is logged.", "info")
    slow_hook: float = key(seconds(0), "Seconds above which a hook is logged with script and line; 0 logs none.", 1.0)


@dataclass(frozen=True, slots=True)
class Control:
    """The socket of `lumilter ctl`. Who may connect to it may do what the commands do."""

    socket: SocketAddress | None = key(
        optional(UNIX_SOCKET),
        'A Unix socket, "unix:/path". Empty is the path of the milter socket with ".control" behind it, or none where '
        "that is not a Unix socket.",
        "",
        example="unix:/run/lumilter/control.sock",
    )
    socket_mode: int = key(MODE, "Permissions of the socket.", "0600")
    socket_group: str = key(TEXT, "Group that the socket is given to; empty leaves it.", "", example="adm")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures for Prometheus, by HTTP at /metrics."""

    socket: SocketAddress | None = key(
        optional(SOCKET),
        'Where they are served, such as "inet:9712@127.0.0.1" or "unix:/path"; empty is nowhere.',
        "",
        example="inet:9712@127.0.0.1",
    )
    socket_mode: int = key(MODE, "Permissions of a Unix socket.", "0660")
    socket_group: str = key(TEXT, "Group that a Unix socket is given to; empty leaves it.", "", example="prometheus")


@dataclass(frozen=True, slots=True)
class Shadow:
    """Policies on live mail that log what they would do and change nothing."""

    enabled: bool = key(BOOLEAN, "For every client.", False)
    networks: tuple[Network, ...] = key(
        list_of(NETWORK), "For the clients of these networks only.", [], example=["192.0.2.0/24"]
    )


@dataclass(frozen=True, slots=True)
class Record:
    """Sessions saved to files, for `lumilter replay`. They hold whole messages."""

    directory: str = key(
        TEXT, "Where they are saved; empty saves none.", "", example="/var/lib/lumilter/sessions", path=True
    )
    networks: tuple[Network, ...] = key(
        list_of(NETWORK),
        "The clients whose sessions are saved from the start; `lumilter ctl record` asks for others.",
        [],
        example=["192.0.2.0/24"],
    )
