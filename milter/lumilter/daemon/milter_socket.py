"""The socket that MTAs connect to: systemd's, or the one that is open already, or a new one.

The law: one that systemd passed is never closed or replaced, whatever the configuration says.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from lumilter.config.sections.daemon import Milter
from lumilter.daemon import systemd
from lumilter.errors import ConfigError
from lumilter.wire.listener import Listener, bind


class MilterSocket:
    """Opens listeners. Raises ConfigError where systemd passed several and none of them by its name."""

    def __init__(self) -> None:
        self._inherited = _only(systemd.sockets())

    def open(self, milter: Milter, running: tuple[Milter, Listener] | None) -> Listener:
        """The listener that [milter] names. running: what is served now. Raises ConfigError."""
        if self._inherited is not None:
            return self._inherited
        if running is not None:
            now, listener = running
            if (milter.socket, milter.socket_mode, milter.socket_group) == (
                now.socket, now.socket_mode, now.socket_group,
            ):  # fmt: skip
                return listener
            if milter.socket == now.socket:
                raise ConfigError("[milter] socket_mode and socket_group of an open socket change with a restart only")
        return bind(milter.socket, milter.socket_mode, milter.socket_group)

    def close(self, listener: Listener) -> None:
        """Close our end, where it is ours: the workers have it, and take what waits in its queue."""
        if listener is not self._inherited:
            listener.socket.close()


def _only(inherited: Mapping[str, socket.socket]) -> Listener | None:
    """The milter socket among those that systemd passed: the one of that name, or the only one. Raises ConfigError."""
    if not inherited:
        return None
    if "milter" not in inherited and len(inherited) > 1:
        raise ConfigError(f"none of the sockets {', '.join(inherited)} has FileDescriptorName=milter")
    return Listener(inherited.get("milter") or next(iter(inherited.values())))
