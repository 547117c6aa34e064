"""msys.extended.message_routing, and bindings: where a message leaves the machine.

The law: declarations only. A name that the configuration does not define is answered with nil, as the manual has it; a
configuration or an MTA that can't route at all is an error that says so.

Source: manual, msg:binding, msg:binding_group, msg:routing_domain.
"""

from __future__ import annotations

import random

from lumilter.api.extended_message import CONTENT
from lumilter.calls import Here
from lumilter.registry import api
from lumilter.session.address import Path
from lumilter.session.mail import MailMessage
from lumilter.session.routing import DEFAULT, Routing, domain_of


@api("msg:binding", package="msys.extended.message", phases="set_binding")
def binding(msg: MailMessage, value: str | None = None, *, here: Here) -> str | None:
    """The message's binding, nil where it has none; with a name, set it first.

    A name that is not configured gives nil.
    """
    if value is not None:
        known = _routing(here)
        if value != DEFAULT and value not in known.bindings:
            return None
        msg.route.binding, msg.route.group = value, ""
    return msg.route.binding or None


@api("msg:binding_group", package="msys.extended.message", phases="set_binding")
def binding_group(msg: MailMessage, value: str | None = None, *, here: Here) -> str | None:
    """The message's binding group; with a name, give it one of that group's bindings by chance first.

    A name that is not configured gives nil.
    """
    if value is not None:
        members = _routing(here).groups.get(value)
        if not members:
            return None
        msg.route.binding, msg.route.group = random.choice(members), value
    return msg.route.group or None


@api(
    "msg:routing_domain",
    package="msys.extended.message_routing",
    phases="data_spool_each_rcpt, rcptto",
    also=f"{CONTENT.replace(', data_spool_each_rcpt', '')}, set_binding",
)
def routing_domain(msg: MailMessage, *values: str | None, here: Here) -> str:
    """The domain whose servers the message goes to, in lower case: the recipient's own unless one was set.

    With a domain, set it first; "" is the recipient's own again. In validate_rcptto that is for all recipients.
    """
    if values and values[0] is not None:
        domain = domain_of(values[0])
        _routing(here)
        msg.route.domain = domain
    return msg.route.domain or Path.parse(msg.content.rcptto).domain.lower()


def routing_of(here: Here) -> Routing:
    """The configuration's bindings and routing domains, in sessions and outside."""
    return here.services.routing or Routing()


def _routing(here: Here) -> Routing:
    found = routing_of(here)
    found.check(here.session.macros.get("v", "") if here.session is not None else "")
    return found
