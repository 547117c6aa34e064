"""New mail: msg:inject, msg:forward, and addresses as RFC 2822 writes them.

The law: declarations only. A message that was injected is promised: it is on disk before the script goes on, and is
sent whatever becomes of the mail at hand. What lumilter has sent too often is in a loop, and is an error.

Source: manual, msg:inject, msg:forward, msys.parseRFC2822Addresses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable

from lumilter.api.extended_message import CONTENT, CONTENT_AND_BINDING, PACKAGE
from lumilter.api.message_building import assemble, attachment
from lumilter.api.message_content import without_mark
from lumilter.api.message_making import made_part
from lumilter.api.message_routing import routing_of
from lumilter.api.signed_content import Sealing
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session import address as addresses
from lumilter.session import mime_edits, routing, transfer
from lumilter.session import text as texts
from lumilter.session.address import Path
from lumilter.session.headers import Header
from lumilter.session.mail import MailMessage, script_message

log = logging.getLogger("lumilter.mail")


@api(
    "msys.parseRFC2822Addresses",
    package="msys",
    phases=CONTENT,
    also="mailfrom, rcptto, set_binding, connect, ehlo, init, load, timer, control",
)
def parse_addresses(addressstring: str, component: str) -> list[str]:
    """That component of every address in the text: all, localpart, user, detail (of user+detail) or domain."""
    return addresses.addresses(addressstring, component)


# --- sending ----------------------------------------------------------------------------------------------------------


@api("msg:inject", package=PACKAGE, phases=CONTENT_AND_BINDING, blocking=True)
def inject(msg: MailMessage, mailfrom: str, rcptto: str, *, here: Here) -> Job | bool:
    """Send this message, as it is now, to one address or several with "," between them. True once that is promised.

    The message at hand goes its own way. [inject] in the configuration says who takes the new one; while that is away
    it waits in the outbox.
    """
    sender, recipients = envelope(mailfrom, rcptto)
    return promise(msg, sender, recipients, here)


@api("msg:forward", package=PACKAGE, phases=f"{CONTENT}, rcptto, set_binding", blocking=True)
def forward(
    msg: MailMessage, sender: str, rcptto: str, text: bytes, subject: str | None = None, charset: str | None = None,
    *, here: Here,
) -> Job | bool:  # fmt: skip
    """Send a new message with this one attached to it. True once that is promised.

    sender, rcptto: as for msg:inject. text: its own text; charset: which it is in, needed if it is not ASCII. subject:
    encoded by the caller where it has to be (RFC 2047).
    """
    if not charset and not text.isascii():
        raise LumilterError("the text is not ASCII: say its charset")
    address, recipients = envelope(sender, rcptto)
    new = script_message(here.new_id())
    subject = subject or "Fwd: " + "".join(msg.content.headers.undecoded("Subject")[:1])
    fields = {"From": address or "MAILER-DAEMON", "To": ", ".join(recipients), "Subject": subject}
    assemble(new, fields, {}, [], here.services.hostname)
    top = new.content.mime(writable=True)
    alternative = top.children[0] if top.children else None
    note = made_part("text/plain", b"")
    body = without_mark(text)
    note.headers.write("Content-Type", f"text/plain; charset={charset}" if charset else "text/plain")
    if not body.isascii():
        note.headers.write("Content-Transfer-Encoding", transfer.QUOTED)
        body = texts.transfer_encoded(body, transfer.QUOTED)
    mime_edits.set_body(note, body)
    mime_edits.insert(top, 1, note)
    mime_edits.insert(top, 2, attachment({"content": msg}))
    if alternative is not None:
        mime_edits.unlink(alternative)
    hops = hops_of(msg)
    if hops:
        new.content.headers.write(routing.HOPS.decode(), str(hops))
    return promise(new, address, recipients, here)


def envelope(sender: str, recipients: str) -> tuple[str, list[str]]:
    path = Path.parse(sender)
    if path.address and not path.is_sendable:
        raise LumilterError(f"{sender!r} is not an address")
    found = [Path.parse(each) for each in addresses.addresses(recipients, "all")]
    if not found or not all(each.is_sendable for each in found):
        raise LumilterError(f"{recipients!r} is not a list of addresses")
    return path.address, list(dict.fromkeys(each.address for each in found))


def promise(msg: MailMessage, sender: str, recipients: list[str], here: Here) -> Job | bool:
    """Put a message into the outbox. True at once in shadow, where nothing is sent. Raises LumilterError for a loop."""
    mail = here.services.mail
    origin = here.session.message if here.session is not None else None
    hops = 1 + max(hops_of(msg), hops_of(origin) if origin is not None else 0)
    if mail.configured and hops > mail.hops:
        raise LumilterError(f"the message was sent by lumilter {hops - 1} times before: it is in a loop")
    headers = msg.content.headers.copy()
    headers.delete(routing.HEADER.decode())
    headers.write(routing.HOPS.decode(), str(hops))
    if here.is_shadow:
        log.info("shadow: a message from <%s> to %s is not sent", sender, ", ".join(recipients))
        return True
    known = routing_of(here)
    body, signatures = msg.content.body, here.services.signatures
    sealing = Sealing(signatures)
    ways: dict[tuple[bytes, tuple[Hashable, ...]], list[str]] = {}
    for recipient in recipients:  # next hop and signatures may be the recipient's domain's own
        domain = Path.parse(recipient).domain
        way = known.header(msg.route, msg.priority, domain), (*msg.seals, *sealing(msg, domain))
        ways.setdefault(way, []).append(recipient)

    def run(deadline: float) -> bool:
        fields = [(header.name, header.value) for header in headers]
        made = dict(zip(ways, signatures.seal_all([(fields, body, seals) for _, seals in ways]), strict=True))
        for (route, seals), those in ways.items():
            sealed = headers.copy()
            sealed.put_first([Header(name, value) for name, value in made[route, seals]])
            mail.put(sender, those, (routing.field_of(route), sealed.to_bytes(), b"\r\n", body))
        return True

    return Job(run, "outbox")


def hops_of(msg: MailMessage) -> int:
    """How often lumilter has sent a message; a client can only make it more, which stops its own message."""
    counts = [
        int(value) for value in msg.content.headers.get(routing.HOPS.decode()) if re.fullmatch("[0-9]{1,9}", value)
    ]
    return max(counts, default=0)
