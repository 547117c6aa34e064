"""Delivery status: what RFC 3464 says about a message and one recipient, read and written.

The law: fields are pairs of a name and a value in the order of the RFC; what is not known is left out. Any text is read
without an error.

Source: RFC 3464 2.2 and 2.3; RFC 3463 for the status.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lumilter.session.headers import HeaderList, raw_fields
from lumilter.session.mime import Part
from lumilter.session.transfer import content_of

Fields = list[tuple[str, str]]


class Action(Enum):
    """RFC 3464 2.3.3. The value is the field's."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


CLASSES = {"2": (Action.DELIVERED, Action.RELAYED, Action.EXPANDED), "4": (Action.DELAYED, Action.FAILED),
           "5": (Action.FAILED,)}  # fmt: skip
"""Actions that fit a class of status: a delivery that was given up may have a 4, RFC 3464 2.3.4."""
_LAST = {Action.FAILED: "5.0.0", Action.DELAYED: "4.0.0"}

_RESPONSE = re.compile(r"\s*([245])[0-9][0-9](?:[- ]+|\Z)(?:(\1\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.]))?")
_KINDS = ("message/delivery-status", "message/global-delivery-status")
_MOST = 1 << 20
"""Bytes of a status that are read."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known: this machine's name, who handed the message over, when it came and when it was tried."""

    hostname: str
    client: str = ""
    arrived: str = ""
    tried: str = ""


def status_of(response: str, action: Action) -> str:
    """The enhanced status of an SMTP response, or the general one of the action where it says none that fits."""
    found = _RESPONSE.match(response)
    if found and action in CLASSES[found[1]]:
        return found[2] or f"{found[1]}.0.0"
    return _LAST.get(action, "2.0.0")


def action_of(response: str) -> Action:
    """What an SMTP response means for its recipient: failed, delayed or relayed."""
    found = _RESPONSE.match(response)
    return {"2": Action.RELAYED, "4": Action.DELAYED}.get(found[1] if found else "", Action.FAILED)


def message_fields(known: Known) -> Fields:
    """About the message."""
    return _said(
        ("Reporting-MTA", f"dns; {known.hostname}"),
        ("Received-From-MTA", f"dns; {known.client}" if known.client else ""),
        ("Arrival-Date", known.arrived),
    )


def recipient_fields(recipient: str, action: Action, response: str, known: Known) -> Fields:
    """About one recipient, "" if there is none to be named. response: an SMTP server's, or ""."""
    return _said(
        ("Final-Recipient", f"rfc822; {recipient}" if recipient else ""),
        ("Action", action.value),
        ("Status", status_of(response, action)),
        ("Diagnostic-Code", f"smtp; {response}" if response else ""),
        ("Last-Attempt-Date", known.tried),
    )


def rendered(fields: Sequence[tuple[str, str]]) -> str:
    """Lines with CRLF between them, none at the end."""
    return "\r\n".join(f"{name}: {value}" for name, value in fields)


def read(top: Part) -> Fields | None:
    """The fields of the first delivery status in a message, those of its first recipient included; None without one."""
    for part in top.walk():
        if part.children is None and part.content_type.value in _KINDS:
            text = bytes(content_of(part.body[:_MOST], part.encoding)).strip(b"\r\n")
            groups = re.split(rb"\r?\n(?:\r?\n)+", text)
            found = [field for group in groups[:2] for field in _fields(group)]
            return found if any(name.lower() == "reporting-mta" for name, _ in found) else None
    return None


def _fields(section: bytes) -> Fields:
    headers = HeaderList(raw_fields(section))
    return [(field.name.decode("utf-8", "surrogateescape"), field.text) for field in headers if field.name]


def _said(*fields: tuple[str, str]) -> Fields:
    return [(name, _CONTROL.sub(" ", value).strip()) for name, value in fields if value]
