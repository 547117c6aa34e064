"""msg:build: a message of alternatives and attachments.

The law: declarations only. What an attachment is read from is read on a pool thread, before the message changes.

Source: manual, msg:build. It has an io_object's content both encoded in base64 and encoded by the caller already:
content that is base64 is taken for the latter.
"""

from __future__ import annotations

import email.utils
import re
from typing import Any

from lumilter.api.core_io import opened
from lumilter.api.extended_message import CONTENT_AND_BINDING, PACKAGE
from lumilter.api.message_content import empty
from lumilter.api.message_making import container, made_part, new_boundary
from lumilter.calls import Here, Job
from lumilter.errors import LookupFailed, LumilterError
from lumilter.registry import api
from lumilter.session import mime_edits, transfer
from lumilter.session import text as texts
from lumilter.session.headers import Header, HeaderList, header_name, raw_value
from lumilter.session.mail import MailMessage
from lumilter.session.mime import Part
from lumilter.session.parameters import Parameters, with_parameter
from lumilter.session.strings import EcString, IoObject

_ORDER = {"text/plain": 0, "text/html": 2}
_BASE64 = re.compile(rb"(?:(?:[A-Za-z0-9+/]{4})++|\s++)*+(?:(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)\s*)?")
"""Nothing is tried twice: what is attached may be a stranger's."""


@api("msg:build", package=PACKAGE, phases=CONTENT_AND_BINDING, blocking=True)
def build(
    msg: MailMessage,
    headers: dict[str, Any],
    parts: dict[str, Any] | None,
    attachments: list[dict[str, Any]] | None,
    *,
    here: Here,
) -> Job | None:
    """Make an empty message (msys.core.ec_message_new) a multipart/mixed one of alternatives and attachments.

    headers: values by name, as they are to stand; what is not ASCII is for the caller to encode. parts: contents by
    content type; text/* without charset becomes quoted-printable, everything else base64. attachments: tables with
    type, name, headers (lines of more fields) and content: a string (quoted-printable), an ec_string or an io_object,
    which is read to its end (base64, unless it is that already), or a message (message/rfc822).
    """
    empty(msg, "msg:build")
    given = list(attachments or [])
    streams = {
        number: opened(each["content"])
        for number, each in enumerate(given)
        if isinstance(each.get("content"), IoObject)
    }

    def read(deadline: float) -> dict[int, bytes]:
        try:
            return {number: stream.read_all(deadline) for number, stream in streams.items()}
        except LookupFailed as error:
            raise LumilterError(f"an attachment can't be read: {error}") from None

    def finish(contents: dict[int, bytes]) -> None:
        for number, content in contents.items():
            given[number] = {**given[number], "content": EcString(content)}
        empty(msg, "msg:build")
        assemble(msg, headers, parts or {}, given, here.services.hostname)

    if streams:
        return Job(read, "file", finish)
    finish({})
    return None


def assemble(
    msg: MailMessage,
    headers: dict[str, Any],
    parts: dict[str, Any],
    attachments: list[dict[str, Any]],
    hostname: str,
) -> None:
    """What msg:build does once everything was read. hostname: for the Message-ID."""
    alternatives = sorted(parts.items(), key=lambda item: _ORDER.get(item[0].split(";")[0].strip().lower(), 1))
    inner = [_alternative(kind, _octets(content, "a content")) for kind, content in alternatives]
    outer = [attachment(each) for each in attachments]
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
    ident = email.utils.make_msgid("lumilter", hostname)
    for name, standard in (("Date", email.utils.formatdate()), ("Message-ID", ident)):
        if own.first(name) is None:
            own.append(name, [standard])
    own.append("MIME-Version", ["1.0"])
    own.append("Content-Type", mixed.headers.get("Content-Type"))
    msg.content.headers = own
    msg.content.body = mixed.body_bytes()


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


def attachment(table: dict[str, Any]) -> Part:
    """A part of an attachment's table; its content was read."""
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
