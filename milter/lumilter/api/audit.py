"""msys.audit and ac:inbound_session_count: what the daemon has counted of clients.

The law: declarations only. Until a connection's own hooks have ended, it finds the numbers that its own arrival made:
however many arrive at the same time, one is the tenth.

Source: manual, msys.audit.connections, receptions, rejections, inbound_session_count; ac:inbound_session_count; module
inbound_audit.
"""

from __future__ import annotations

from typing import Any

from lumilter.api.audit_keys import named, window
from lumilter.calls import Here
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.mail import AcceptConstruct
from lumilter.state.keys import network, packed
from lumilter.state.state import CONNECTIONS, RECEPTIONS, REJECTIONS

PACKAGE = "msys.audit"

_OWN_SERVICES = ("SMTP", "inbound_cidr")
_OTHER_SERVICES = ("ECStream", "Control", "ECmmove2", "ECCluster")
"""Services that lumilter has not: nobody is connected to them."""


@api("msys.audit.connections", package=PACKAGE)
def connections(monitor: str, options: Any = None, *, here: Here) -> int:
    """Connections from a network in the windows of a monitor of the configuration ([inbound_audit] monitors).

    options: startv, endv (0, the running window), cidr ("192.0.2.0/24", "/24" around the client; without one the
    client), cluster; anything but a table is the cidr.
    """
    return _audited(CONNECTIONS, monitor, options, here)


@api("msys.audit.receptions", package=PACKAGE)
def receptions(monitor: str, options: Any = None, *, here: Here) -> int:
    """Messages that were taken from a network; monitor and options as for msys.audit.connections."""
    return _audited(RECEPTIONS, monitor, options, here)


@api("msys.audit.rejections", package=PACKAGE)
def rejections(monitor: str, options: Any = None, *, here: Here) -> int:
    """Commands of a network that a policy refused; monitor and options as for msys.audit.connections.

    What the MTA refuses before it asks is not seen here.
    """
    return _audited(REJECTIONS, monitor, options, here)


@api("msys.audit.inbound_session_count", package=PACKAGE)
def inbound_session_count(cidr: str, servicename: str, *, here: Here) -> int:
    """Connections that are open now from a network ("/24" around the client, "192.0.2.0/24", an address).

    servicename: "SMTP"; of Momentum's other services nobody is connected to one here, so they have 0.
    """
    found = named(cidr, here)
    return _sessions(found.address, found.bits, servicename, here)


@api("ac:inbound_session_count", package="msys.extended.ac")
def ac_inbound_session_count(
    ac: AcceptConstruct, cidr: str | None = None, service_type: str = "SMTP", *, here: Here
) -> int:
    """Connections that are open now from the client's address, or from the network that cidr names ("/24")."""
    found = network(cidr or "", packed(ac.remote.address))
    return _sessions(found.address, found.bits, service_type, here)


@api("ac:pbp_inbound_session_count_service", package="msys.pbp", extension=True)
def pbp_inbound_session_count_service(ac: AcceptConstruct, service: str, cidr: str = "", *, here: Here) -> int:
    """The same with the arguments the other way round, as Momentum's default policy has it."""
    found = network(cidr, packed(ac.remote.address))
    return _sessions(found.address, found.bits, service, here)


def _sessions(address: bytes, bits: int, service: str, here: Here) -> int:
    if service in _OTHER_SERVICES:
        return 0
    if service not in _OWN_SERVICES:
        known = ", ".join((*_OWN_SERVICES, *_OTHER_SERVICES))
        raise LumilterError(f'there is no service "{service}": {known}')
    return int(here.services.state.present(address, bits, _arriving(here)))


def _audited(event: str, monitor: str, options: Any, here: Here) -> int:
    given = options if isinstance(options, dict) else {"cidr": options}
    state = here.services.state
    name = "".join(monitor.split())
    if name not in state.rules.monitors:
        known = ", ".join(f'"{each}"' for each in state.rules.monitors) or "none"
        raise LumilterError(f'"{monitor}" is no monitor; those of [inbound_audit] monitors are: {known}')
    found = named(given.get("cidr"), here)
    first, last = window(given)
    return int(state.audited(event, name, found.address, found.bits, first, last, _arriving(here)))


def _arriving(here: Here) -> Any:
    return here.session if here.phase == "connect" else None
