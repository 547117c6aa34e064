"""msys.rfc3464: delivery status notifications about a message, and what others say about ours.

The law: declarations only. No notification is sent for a message that has no sender to tell: RFC 3464 2, RFC 5321 6.1.

Source: manual, pages of msys.rfc3464.*; RFC 3464, RFC 6522 for the form of a report, RFC 3834 for Auto-Submitted.
"""

from __future__ import annotations

import email.utils
import logging
from dataclasses import replace

from lumilter.api.message_making import container, made_part, new_boundary
from lumilter.api.message_sending import promise
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api, constants
from lumilter.session import delivery_status, mime_edits
from lumilter.session.delivery_status import Action, Known
from lumilter.session.headers import HeaderList
from lumilter.session.mail import MailMessage, script_message

PACKAGE = "msys.rfc3464"

log = logging.getLogger("lumilter.mail")

_ACTIONS = {-1: Action.FAILED, 0: Action.DELAYED, 1: Action.DELIVERED, 2: Action.RELAYED, 3: Action.EXPANDED}
constants("msys.core", {action.name: number for number, action in _ACTIONS.items() if number >= 0})

_SUBJECTS = {
    Action.FAILED: ("failure", "could not be delivered"),
    Action.DELAYED: ("delay", "was not delivered yet; it will be tried again"),
    Action.DELIVERED: ("success", "was delivered"),
    Action.RELAYED: ("relayed", "was handed on to a server that will not tell more about it"),
    Action.EXPANDED: ("expanded", "was delivered to a list, and sent on to its members"),
}


@api("msys.rfc3464.compute_delivery_status", package=PACKAGE)
def compute_delivery_status(msg: MailMessage, action: int, *, here: Here) -> dict[str, str]:
    """The delivery status of a message and its recipient as a table: Reporting-MTA, Final-Recipient, Action, Status...

    action: msys.core.FAILED, DELAYED, DELIVERED, RELAYED or EXPANDED. Status and Diagnostic-Code come from msg:code.
    """
    message, recipient = _fields(msg, _action(action), here)
    return dict([*message, *recipient])


@api(
    "msys.rfc3464.compute_delivery_status_string",
    package=PACKAGE,
    partial="of a response text alone, as the parameter has it: no recipient and no dates",
)
def compute_delivery_status_string(response_text: str, *, here: Here) -> str:
    """The delivery status that an SMTP response means, as lines with CRLF between them, without one at the end."""
    action = delivery_status.action_of(response_text)
    known = Known(here.services.hostname)
    return delivery_status.rendered(
        [*delivery_status.message_fields(known), *delivery_status.recipient_fields("", action, response_text, known)]
    )


@api("msys.rfc3464.extract_delivery_status", package=PACKAGE)
def extract_delivery_status(msg: MailMessage) -> dict[str, str] | None:
    """The fields of a notification's delivery status by name, of several recipients the first one's; nil else."""
    found = delivery_status.read(msg.content.mime(writable=False))
    return None if found is None else dict(reversed(found))  # of a field that is there twice the first


@api("msys.rfc3464.create_mdn", package=PACKAGE)
def create_mdn(msg: MailMessage, action: int, *, here: Here) -> MailMessage:
    """A notification about the message to its sender, with its header section: a message of the script's own."""
    return _notification(msg, _action(action), here)


@api("msys.rfc3464.send_mdn", package=PACKAGE, blocking=True)
def send_mdn(msg: MailMessage, action: int, *, here: Here) -> Job | int:
    """Make a notification and send it, as msg:inject does: 1 once that is promised, else 0 and a line in the log.

    A message with the null sender has nobody to tell: 0.
    """
    new = _notification(msg, _action(action), here)
    if not new.content.rcptto:
        log.warning("no notification is sent about message %s: it has no sender", msg.id)
        return 0
    try:
        promised = promise(new, "", [new.content.rcptto], here)
    except LumilterError as error:
        return _unsent(msg, error)
    if not isinstance(promised, Job):
        return 1

    def run(deadline: float) -> int:
        try:
            promised.run(deadline)
        except LumilterError as error:
            return _unsent(msg, error)
        return 1

    return replace(promised, run=run)


def _unsent(msg: MailMessage, error: LumilterError) -> int:
    log.error("no notification is sent about message %s: %s", msg.id, error)
    return 0


def _action(number: int) -> Action:
    found = _ACTIONS.get(number)
    if found is None:
        raise LumilterError(f"{number} is none of msys.core.FAILED, DELAYED, DELIVERED, RELAYED, EXPANDED")
    return found


def _fields(msg: MailMessage, action: Action, here: Here) -> tuple[delivery_status.Fields, delivery_status.Fields]:
    session = here.session
    known = Known(
        here.services.hostname,
        client=session.helo if session is not None and not msg.made else "",
        arrived="" if msg.made else email.utils.formatdate(),
        tried=email.utils.formatdate(),
    )
    response = " ".join(msg.code.split())
    return (
        delivery_status.message_fields(known),
        delivery_status.recipient_fields(msg.content.rcptto, action, response, known),
    )


def _notification(msg: MailMessage, action: Action, here: Here) -> MailMessage:
    hostname, sender, recipient = here.services.hostname, msg.content.mailfrom, msg.content.rcptto
    subject, happened = _SUBJECTS[action]
    message, about = _fields(msg, action, here)
    text = f"Your message to\r\n\r\n    {recipient}\r\n\r\n{happened}.\r\n"
    if msg.code:
        text += "The answer was:\r\n\r\n" + "".join(f"    {line}\r\n" for line in msg.code.splitlines())
    note = made_part("text/plain; charset=utf-8", _octets(text), "8bit" if not text.isascii() else "7bit")
    status = f"{delivery_status.rendered(message)}\r\n\r\n{delivery_status.rendered(about)}\r\n"
    parts = [
        note,
        made_part("message/delivery-status", _octets(status)),
        made_part("text/rfc822-headers", msg.content.headers.to_bytes()),
    ]
    top = container("multipart/report; report-type=delivery-status", new_boundary(parts))
    for part in parts:
        mime_edits.insert(top, len(top.children or ()), part)
    new = script_message(here.new_id())
    headers = HeaderList()
    for name, value in (
        ("Date", email.utils.formatdate()),
        ("From", f"Mail Delivery System <MAILER-DAEMON@{hostname}>"),
        ("To", sender),
        ("Subject", f"Delivery Status Notification ({subject})"),
        ("Message-ID", email.utils.make_msgid("lumilter", hostname)),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
        ("Content-Type", top.headers.get("Content-Type")[0]),
    ):
        headers.append(name, [value])
    new.content.headers = headers
    new.content.body = top.body_bytes()
    new.content.mailfrom, new.content.rcptto = "", sender
    return new


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
