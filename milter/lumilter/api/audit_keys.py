"""How scripts name what they count under: an address, a network, a connection, or a string.

The law: what the manual says of `key` and `cidr`; no store is reached from here.

Source: manual, msys.audit_series.*, msys.audit.*, ac:inbound_session_count.
"""

from __future__ import annotations

from typing import Any

from lumilter.calls import Here
from lumilter.errors import LumilterError
from lumilter.session.mail import AcceptConstruct, Endpoint
from lumilter.state.contract import LIMIT, Series
from lumilter.state.keys import Network, network, packed, shortened

FAMILIES = {"cidr": 4, "cidr_ipv6": 16}
_OTHER = {"cidr": 16, "cidr_ipv6": 4}


def client(here: Here) -> bytes | None:
    """The address of the running session's client; None outside sessions and for clients without one."""
    return None if here.session is None else packed(here.session.ac.remote.address)


def named(value: Any, here: Here) -> Network:
    """The network that a script means; nil is the client. Raises LumilterError."""
    if isinstance(value, AcceptConstruct):
        value = value.remote
    if isinstance(value, Endpoint):
        value = value.address
    if value is None:
        value = "/128" if len(client(here) or b"") == 16 else "/32"
    if not isinstance(value, str):
        raise LumilterError("a network is named by a string, or by a connection")
    return network(value, client(here))


def item(series: Series, key: Any, here: Here) -> Network | None:
    """What a series counts under, for a key; None if the address is of the family that the series does not count.

    Raises LumilterError.
    """
    if series.kind == "string":
        if not isinstance(key, str | int | float) or isinstance(key, bool):
            raise LumilterError(f'a key is needed: "{series.name}" is a string series')
        return Network(shortened(_octets(key)), 0)
    if isinstance(key, str) and key.lstrip().startswith("/") and len(client(here) or b"") == _OTHER[series.kind]:
        return None  # the mask is one for clients of the series' family
    found = named(key, here)
    return found if len(found.address) == FAMILIES[series.kind] else None


def window(given: dict[Any, Any]) -> tuple[int, int]:
    """startv and endv of a table of options, 0 where they are not given, the lower one first. Raises LumilterError."""
    first, last = number(given, "startv", 0), number(given, "endv", 0)
    return min(first, last), max(first, last)


def number(given: dict[Any, Any], name: str, default: int) -> int:
    """A whole number of a table of options. Raises LumilterError."""
    value = given.get(name, default)
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if isinstance(value, bool) or not -LIMIT <= found <= LIMIT:
        raise LumilterError(f"{name} is a number between -{LIMIT} and {LIMIT}")
    return int(found)


def flag(given: dict[Any, Any], name: str) -> bool:
    """Whether an option is set, as Lua sees it: 0 is true. "false" is not."""
    value = given.get(name)
    return value is not None and value is not False and value != "false"


def text_key(value: str) -> bytes:
    """A string as what it is counted under."""
    return shortened(value.encode("utf-8", "surrogateescape"))


def _octets(value: str | float) -> bytes:
    text = value if isinstance(value, str) else f"{value:.14g}"
    return text.encode("utf-8", "surrogateescape")
