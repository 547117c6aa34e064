"""What kind of value a key takes: how it is checked, read, and named in an error and in the reference.

The law: a kind knows nothing of tables, keys, files or lines; it raises ValueError with what it expected and what it
got, and whoever called adds the place.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from lumilter.config.address import MailServer, SocketAddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True)
class Kind:
    """expected: "a string", as an error says it. read: from TOML's value to ours; raises ValueError."""

    expected: str
    read: Callable[[object], object]


def got(value: object) -> str:
    """A TOML value as an error names it."""
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case str():
            return f'the string "{value[:80]}"'
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"the date or time {value}"


def _mismatch(expected: str, value: object) -> ValueError:
    return ValueError(f"expected {expected}, got {got(value)}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _mismatch("a string", value)
    if "\0" in value:
        raise ValueError("expected a string without NUL")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _mismatch("true or false", value)
    return value


TEXT = Kind("a string", _text)
BOOLEAN = Kind("true or false", _boolean)


def integer(least: int, most: int | None = None) -> Kind:
    """A whole number from `least` to `most`, both included."""
    expected = f"a whole number from {least} to {most}" if most is not None else f"a whole number, {least} or more"

    def read(value: object) -> int:
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or value < least
            or (most is not None and value > most)
        ):
            raise _mismatch(expected, value)
        return value

    return Kind(expected, read)


def seconds(least: float) -> Kind:
    """A time in seconds, fractions allowed, `least` or more."""
    expected = f"a number of seconds, {least:g} or more"

    def read(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < least:
            raise _mismatch(expected, value)
        return float(value)

    return Kind(expected, read)


def choice(*names: str) -> Kind:
    """One of the strings."""
    expected = " or ".join(f'"{name}"' for name in names)

    def read(value: object) -> str:
        if value not in names:
            raise _mismatch(expected, value)
        return str(value)

    return Kind(expected, read)


def list_of(kind: Kind) -> Kind:
    """A list, each element of that kind; a tuple for us."""
    expected = f"a list, each element {kind.expected}"

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _mismatch(expected, value)
        return tuple(map(kind.read, value))

    return Kind(expected, read)


def _size(value: object) -> int:
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)", value) if isinstance(value, str) else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if not found:
        raise _mismatch(SIZE.expected, value)
    return int(found[1]) * _UNITS[found[2]]


SIZE = Kind('a size in bytes, or a string such as "512K", "256M" or "1G"', _size)


def size(least: str) -> Kind:
    """A size that is not below another."""
    expected = f"{SIZE.expected}, {least} or more"

    def read(value: object) -> int:
        found = _size(value)
        if found < _size(least):
            raise _mismatch(expected, value)
        return found

    return Kind(expected, read)


def _mode(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise _mismatch(MODE.expected, value)
    return int(value, 8)


MODE = Kind('a file mode as a string of octal digits such as "0660"', _mode)


def _socket(value: object) -> SocketAddress:
    return SocketAddress.parse(_text(value))


SOCKET = Kind('a socket such as "unix:/path" or "inet:8890@127.0.0.1"', _socket)


def _unix_socket(value: object) -> SocketAddress:
    address = _socket(value)
    if address.family != "unix":
        raise _mismatch('a Unix socket such as "unix:/path"', value)
    return address


UNIX_SOCKET = Kind('a Unix socket such as "unix:/path"', _unix_socket)


def optional(kind: Kind) -> Kind:
    """That, or None for an empty string."""
    return Kind(f"{kind.expected}, or nothing", lambda value: kind.read(value) if value != "" else None)


def _network(value: object) -> Network:
    try:
        return ipaddress.ip_network(_text(value))
    except ValueError as error:
        raise ValueError(f"expected {NETWORK.expected}, got {got(value)}: {error}") from None


NETWORK = Kind('a network such as "10.0.0.0/8" or "2001:db8::/32"', _network)


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _mismatch(STRINGS.expected, value)
    for name, text in value.items():
        if not isinstance(text, str):
            raise ValueError(f'expected a string for "{name}", got {got(text)}')
    return dict(value)


STRINGS = Kind('a table of strings such as { name = "value" }', _strings)


def _template(value: object) -> str:
    text = _text(value)
    if "?" not in text:
        raise _mismatch(TEMPLATE.expected, value)
    return text


TEMPLATE = Kind('a path with "?" where the module name goes', _template)


def _server(value: object) -> str:
    text = _text(value)
    match = re.fullmatch(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[^:\[\]]+))(?::[0-9]{1,5})?", text)
    try:
        ipaddress.ip_address((match["v6"] or match["v4"]) if match else text)
    except ValueError:
        raise _mismatch(SERVER.expected, value) from None
    return text


SERVER = Kind("the IP address of a name server, with or without a port (192.0.2.53:53, [2001:db8::53]:53)", _server)


def _mail_server(value: object) -> MailServer:
    return MailServer.parse(_text(value))


MAIL_SERVER = Kind('a mail server such as "smtp:inet:10026@127.0.0.1" or "lmtp:unix:/path"', _mail_server)


def _transport(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", text):
        raise _mismatch(TRANSPORT.expected, value)
    return text


TRANSPORT = Kind("a name of letters, digits, - and _", _transport)


def _nexthop(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[!-~]{0,255}", text):
        raise _mismatch(NEXTHOP.expected, value)
    return text


NEXTHOP = Kind('a next hop as Postfix writes it, such as "example.com" or "[192.0.2.1]:2525"', _nexthop)


def _ip(value: object) -> str:
    try:
        return str(ipaddress.ip_address(_text(value)))
    except ValueError:
        raise _mismatch(IP.expected, value) from None


IP = Kind("an IPv4 or IPv6 address", _ip)


def _domain(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?", text):
        raise _mismatch(DOMAIN.expected, value)
    return text.lower()


DOMAIN = Kind("a domain", _domain)

ACTION = choice("tempfail", "accept", "reject")
AS_ERROR = choice("on_error", "tempfail", "accept", "reject")
"""on_error: as [policy] on_error says."""
