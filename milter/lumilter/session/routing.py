"""Where a message leaves: bindings, routing domains, priority, and the private header that tells the MTA.

The law: names are checked when a script gives them, so a header only ever names what the configuration defines.

The header is `X-Lumilter-Route: TRANSPORT:NEXTHOP`. Postfix obeys it in headers that a milter added, and in mail that
comes by the injection listener; a client's own is removed before any script sees it.

Source: manual, msg:binding, msg:binding_group, msg:routing_domain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lumilter.errors import LumilterError

_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f.:IPv]+\]")

HEADER = b"X-Lumilter-Route"
HOPS = b"X-Lumilter-Hops"
"""How many times lumilter has sent the message, or one that it came from."""
DEFAULT = "default"
"""Momentum's binding that every message has unless it gets another one."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The configuration's bindings and routing domains.

    bindings: transport by name; groups: names of bindings by group; routes: transport ("" is the binding's) and next
    hop by routing domain; transport: without a binding; priority: of messages with the priority bit, "" is none.
    """

    enabled: bool = False
    bindings: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    transport: str = "smtp"
    priority: str = ""

    def check(self, version: str = "") -> None:
        """Raises LumilterError where no message can be routed. version: the MTA's macro {v}, "" if it is not known."""
        if not self.enabled:
            raise LumilterError("routing needs [routing] enabled = true, and Postfix `lumilter postfix-config`")
        if version and not version.startswith("Postfix"):
            raise LumilterError("only Postfix can be told where a message is to leave; this MTA is another one")

    def header(self, route: Route, priority: int, domain: str) -> bytes:
        """The private header's value; b"" where the MTA's own routing is to do. domain: the recipient's."""
        transport = self.bindings.get(route.binding, "") or (self.priority if priority else "")
        wanted = route.domain or (domain.lower() if transport else "")
        via, nexthop = self.routes.get(wanted, ("", route.domain))
        if not (transport or nexthop):
            return b""
        return f"{via or transport or self.transport}:{nexthop}".encode("ascii")


def field_of(value: bytes) -> bytes:
    """The private header with that value, as it stands in a message; b"" for none."""
    return HEADER + b": " + value + b"\r\n" if value else b""


def domain_of(text: str) -> str:
    """A routing domain that a script gave, in lower case; "" is none. Raises LumilterError."""
    domain = text.strip().lower().rstrip(".")
    if domain and not _DOMAIN.fullmatch(domain):
        raise LumilterError(f"{text!r} is not a domain")
    return domain


@dataclass(slots=True)
class Route:
    """What scripts said about one message. binding: "" is none; domain: a routing domain, "" the recipient's own."""

    binding: str = ""
    group: str = ""
    domain: str = ""

    def copy(self) -> Route:
        """An independent copy."""
        return Route(self.binding, self.group, self.domain)
