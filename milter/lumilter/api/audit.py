"""msys.audit and ac:inbound_session_count: what the daemon has counted of clients.

The law: declarations only. Until a connection's own hooks have ended, it finds the numbers that its own arrival made:
however many arrive at the same time, one is the tenth.

Source: manual, msys.audit.connections, receptions, rejections, inbound_session_count; ac:inbound_session_count; module
inbound_audit.
"""

from __future__ import annotations

from typing import Any

from lumilter.api.audit_keys import flag, named, window
from lumilter.api.later import waited
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.mail import AcceptConstruct
from lumilter.state.keys import network, packed
from lumilter.state.presence import CONNECTIONS, RECEPTIONS, REJECTIONS

PACKAGE = "msys.audit"

_OWN_SERVICES = ("SMTP", "inbound_cidr")
_OTHER_SERVICES = ("ECStream", "Control", "ECmmove2", "ECCluster")
"""Services that lumilter has not: nobody is connected to them."""


@api("msys.audit.connections", package=PACKAGE, blocking=True)
def connections(monitor: str, options: Any = None, *, here: Here) -> int | Job:
    """Connections from a network in the windows of a monitor of the configuration ([inbound_audit] monitors).

    options: startv, endv (0, the running window), cidr ("192.0.2.0/24", "/24" around the client; without one the
    client), cluster; anything but a table is the cidr.
    """
    return _audited(CONNECTIONS, monitor, options, here)


@api("msys.audit.receptions", package=PACKAGE, blocking=True)
def receptions(monitor: str, options: Any = None, *, here: Here) -> int | Job:
    """Messages that were taken from a network; monitor and options as for msys.audit.connections."""
    return _audited(RECEPTIONS, monitor, options, here)


@api("msys.audit.rejections", package=PACKAGE, blocking=True)
def rejections(monitor: str, options: Any = None, *, here: Here) -> int | Job:
    """Commands of a network that a policy refused; monitor and options as for msys.audit.connections.

    What the MTA refuses before it asks is not seen here.
    """
    return _audited(REJECTIONS, monitor, options, here)


@api("msys.audit.inbound_session_count", package=PACKAGE, blocking=True)
def inbound_session_count(cidr: str, servicename: str, *, here: Here) -> int | Job:
    """Connections that are open now from a network ("/24" around the client, "192.0.2.0/24", an address).

    servicename: "SMTP"; "inbound_cidr" are those of all machines, where [redis] server is configured. To Momentum's
    other services nobody is connected here: they have 0.
    """
    found = named(cidr, here)
    return _sessions(found.address, found.bits, servicename, here)


@api("ac:inbound_session_count", package="msys.extended.ac", blocking=True)
def ac_inbound_session_count(
    ac: AcceptConstruct, cidr: str | None = None, service_type: str = "SMTP", *, here: Here
) -> int | Job:
    """Connections that are open now from the client's address, or from the network that cidr names ("/24")."""
    found = network(cidr or "", packed(ac.remote.address))
    return _sessions(found.address, found.bits, service_type, here)


@api("ac:pbp_inbound_session_count_service", package="msys.pbp", extension=True, blocking=True)
def pbp_inbound_session_count_service(ac: AcceptConstruct, service: str, cidr: str = "", *, here: Here) -> int | Job:
    """The same with the arguments the other way round, as Momentum's default policy has it."""
    found = network(cidr, packed(ac.remote.address))
    return _sessions(found.address, found.bits, service, here)


def _sessions(address: bytes, bits: int, service: str, here: Here) -> int | Job:
    if service in _OTHER_SERVICES:
        return 0
    if service not in _OWN_SERVICES:
        known = ", ".join((*_OWN_SERVICES, *_OTHER_SERVICES))
        raise LumilterError(f'there is no service "{service}": {known}')
    cluster = service == "inbound_cidr"
    return waited(here.services.state.presence.present(address, bits, cluster, _arriving(here)), here)


def _audited(event: str, monitor: str, options: Any, here: Here) -> int | Job:
    given = options if isinstance(options, dict) else {"cidr": options}
    state = here.services.state
    name = "".join(monitor.split())
    monitors = state.places.rules.monitors
    if name not in monitors:
        known = ", ".join(f'"{each}"' for each in monitors) or "none"
        raise LumilterError(f'"{monitor}" is no monitor; those of [inbound_audit] monitors are: {known}')
    found = named(given.get("cidr"), here)
    first, last = window(given)
    cluster = flag(given, "cluster")
    return waited(
        state.presence.audited(event, name, found.address, found.bits, first, last, cluster, _arriving(here)), here
    )


def _arriving(here: Here) -> Any:
    return here.session if here.phase == "connect" else None
