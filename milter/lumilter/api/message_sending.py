"""New mail: msg:build, msg:inject, msg:forward, and addresses as RFC 2822 writes them.

The law: declarations only. A message that was injected is promised: it is on disk before the script goes on, and is
sent whatever becomes of the mail at hand. What lumilter has sent too often is in a loop, and is an error.

Source: manual, msg:build, msg:inject, msg:forward, msys.parseRFC2822Addresses.
"""

from __future__ import annotations

import email.utils
import logging
import re
from collections.abc import Hashable
from typing import Any

from lumilter.api.extended_message import CONTENT, CONTENT_AND_BINDING, PACKAGE
from lumilter.api.message_content import empty, without_mark
from lumilter.api.message_making import made_part, new_boundary
from lumilter.api.message_routing import routing_of
from lumilter.api.signed_content import Sealing
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session import address as addresses
from lumilter.session import mime_edits, routing, transfer
from lumilter.session import text as texts
from lumilter.session.address import Path
from lumilter.session.headers import Header, HeaderList, header_name, raw_value
from lumilter.session.mail import MailMessage, script_message
from lumilter.session.mime import Part
from lumilter.session.parameters import Parameters, with_parameter
from lumilter.session.strings import EcString

log = logging.getLogger("lumilter.mail")

_ORDER = {"text/plain": 0, "text/html": 2}
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4}|\s)*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\s*")


@api(
    "msys.parseRFC2822Addresses",
    package="msys",
    phases=CONTENT,
    also="mailfrom, rcptto, set_binding, connect, ehlo, init, load, timer, control",
)
def parse_addresses(addressstring: str, component: str) -> list[str]:
    """That component of every address in the text: all, localpart, user, detail (of user+detail) or domain."""
    return addresses.addresses(addressstring, component)


# --- making -----------------------------------------------------------------------------------------------------------


@api("msg:build", package=PACKAGE, phases=CONTENT_AND_BINDING)
def build(
    msg: MailMessage,
    headers: dict[str, Any],
    parts: dict[str, Any] | None,
    attachments: list[dict[str, Any]] | None,
    *,
    here: Here,
) -> None:
    """Make an empty message (msys.core.ec_message_new) a multipart/mixed one of alternatives and attachments.

    headers: values by name, as they are to stand; what is not ASCII is for the caller to encode. parts: contents by
    content type; text/* without charset becomes quoted-printable, everything else base64. attachments: tables with
    type, name, headers (lines of more fields) and content: a string (quoted-printable), an ec_string (base64, unless it
    is that already), or a message (message/rfc822).
    """
    empty(msg, "msg:build")
    alternatives = sorted((parts or {}).items(), key=lambda item: _ORDER.get(item[0].split(";")[0].strip().lower(), 1))
    inner = [_alternative(kind, _octets(content, "a content")) for kind, content in alternatives]
    outer = [_attachment(each) for each in attachments or []]
    mixed = container("multipart/mixed", new_boundary([*inner, *outer]))
    alternative = container("multipart/alternative", new_boundary([mixed, *inner, *outer]))
    for part in inner:
        mime_edits.insert(alternative, len(alternative.children or ()), part)
    mime_edits.insert(mixed, 0, alternative)
    for part in outer:
        mime_edits.insert(mixed, len(mixed.children or ()), part)
    own = HeaderList(
        field
        for name, value in headers.items()
        if str(name).lower() not in ("content-type", "mime-version", "content-transfer-encoding")
        for field in _fields(str(name), value)
    )
    ident = email.utils.make_msgid("lumilter", here.services.hostname)
    for name, standard in (("Date", email.utils.formatdate()), ("Message-ID", ident)):
        if own.first(name) is None:
            own.append(name, [standard])
    own.append("MIME-Version", ["1.0"])
    own.append("Content-Type", mixed.headers.get("Content-Type"))
    msg.content.headers = own
    msg.content.body = mixed.body_bytes()


def container(kind: str, boundary: str) -> Part:
    """A multipart without parts, in no tree."""
    part = made_part("text/plain", b"")
    part.headers.write("Content-Type", f'{kind}; boundary="{boundary}"')
    part.children = []
    return part


def _alternative(kind: str, content: bytes) -> Part:
    parsed = Parameters.parse(kind)
    plain = parsed.value.startswith("text/") and "charset" not in parsed.parameters
    part = _part(kind, content, transfer.QUOTED if plain else transfer.BASE64)
    if plain and not content.isascii():  # nobody could read it without
        value = raw_value(kind.encode("utf-8", "surrogateescape"))
        part.headers.put(Header(b"Content-Type", with_parameter(value, "charset", "utf-8")))
    part.headers.append("Content-Disposition", ["inline"])
    return part


def _part(kind: str, content: bytes, encoding: str) -> Part:
    return made_part(kind, texts.transfer_encoded(content, encoding), encoding)


def _attachment(table: dict[str, Any]) -> Part:
    content = table.get("content")
    if isinstance(content, MailMessage):
        return made_part('message/rfc822; name="Attached Message"', b"".join(content.content.pieces()), "8bit")
    raw = _octets(content, "an attachment's content")
    name = str(table.get("name") or "").rsplit("/", 1)[-1]
    kind = str(table.get("type") or "application/octet-stream")
    if isinstance(content, EcString):
        part = made_part(kind, raw, transfer.BASE64) if _BASE64.fullmatch(raw) else _part(kind, raw, transfer.BASE64)
    else:
        part = _part(kind, raw, transfer.QUOTED)
    disposition = b" attachment"
    part.headers.append("Content-Disposition", ["attachment"])
    if name:
        part.headers.put(Header(b"Content-Disposition", with_parameter(disposition, "filename", name)))
    for line in str(table.get("headers") or "").splitlines():
        field, colon, value = line.partition(":")
        if colon:
            part.headers.append(field.strip(), [value.strip()])
    return part


def _fields(name: str, value: Any) -> list[Header]:
    values = list(value.values()) if isinstance(value, dict) else [value]
    return [Header(header_name(name), raw_value(_octets(each, f"the value of {name}"))) for each in values]


def _octets(value: Any, what: str) -> bytes:
    if isinstance(value, EcString):
        return value.buffer
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.14g}".encode()
    raise LumilterError(f"{what} is not a string")


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
    build(new, fields, {}, None, here=here)
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
    mime_edits.insert(top, 2, _attachment({"content": msg}))
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
