"""The arguments of the MTA's commands, as events.

The law: pure functions of a packet's payload. A string ends at its NUL; text is UTF-8 with surrogateescape, so that
every byte survives; what libmilter would not read is a Violation.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from lumilter.errors import LumilterError
from lumilter.session.events import Connect, Data, Event, Helo, Macros, Mail, Rcpt
from lumilter.wire import stages

_FAMILY = {ord("4"): "inet", ord("6"): "inet6", ord("L"): "unix", ord("U"): "unknown"}


class Violation(LumilterError):
    """The MTA, or whatever connected, does not speak the milter protocol."""


def header(payload: bytes) -> tuple[bytes, bytes]:
    """Name and value. Raises Violation."""
    strings = payload.split(b"\0", 2)
    if len(strings) < 3 or payload[-1]:
        raise Violation(f"expected a name and a value in a header, got {payload[:40]!r}")
    return strings[0], strings[1]


def _connect(payload: bytes, known: Macros) -> Event:
    hostname, _, rest = payload.partition(b"\0")
    family = _FAMILY.get(rest[0]) if rest else None
    name = _text(hostname)
    if family == "unknown":
        return Connect(name, family, "", 0, known)
    if family is None or len(rest) < 4 or rest[-1]:
        raise Violation(f"expected a client's name and address, got {payload[:80]!r}")
    address = _text(rest[3:].partition(b"\0")[0])
    if family == "unix":
        return Connect(name, family, address, 0, known)
    port = int.from_bytes(rest[1:3], "big")
    try:
        if family == "inet":
            socket.inet_pton(socket.AF_INET, address)
        else:  # Sendmail writes IPv6:2001:db8::1
            bare = address[5:] if address[:5].lower() == "ipv6:" else address
            address = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, bare))
    except (OSError, ValueError):
        raise Violation(f"expected an address of the family {family}, got {address[:80]!r}") from None
    return Connect(name, family, address, port, known)


def _helo(payload: bytes, known: Macros) -> Event:
    name, end, _ = payload.partition(b"\0")
    if not end:
        raise Violation(f"expected a HELO name, got {payload[:80]!r}")
    return Helo(_text(name), known)


def _mail(payload: bytes, known: Macros) -> Event:
    address, *params = _strings(payload)
    return Mail(address, tuple(params), known)


def _rcpt(payload: bytes, known: Macros) -> Event:
    address, *params = _strings(payload)
    return Rcpt(address, tuple(params), known)


def _data(payload: bytes, known: Macros) -> Event:
    return Data(known)


def _strings(payload: bytes) -> list[str]:
    strings = payload.decode("utf-8", "surrogateescape").split("\0")
    del strings[-1]  # what follows the last NUL is no string
    if not strings:
        raise Violation(f"expected an address, got {payload[:80]!r}")
    return strings


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


EVENTS: dict[int, tuple[str, int, Callable[[bytes, Macros], Event]]] = {
    ord("C"): ("connect", stages.CONNECT, _connect),
    ord("H"): ("helo", stages.HELO, _helo),
    ord("M"): ("mail", stages.MAIL, _mail),
    ord("R"): ("rcpt", stages.RCPT, _rcpt),
    ord("T"): ("data", stages.LAST, _data),
}
"""Command: the event's name in `negotiation.NO_REPLY`, the last stage whose macros it leaves, its event."""
