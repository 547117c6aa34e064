"""msys.extended.message: a message's content as a whole: body, raw text, text, and what can be made of it.

The law: declarations only. A message here never holds SMTP's end-of-data mark; what a script sets may have it, and what
a pattern searches ends with it, as Momentum's messages do.

Source: manual, pages of msg:body, msg:raw, msg:text, msg:text_replace and msgpart:addLastChild (its add_disclaimer).
"""

from __future__ import annotations

import re

from lumilter.api import matching
from lumilter.api.extended_message import CONTENT, CONTENT_AND_BINDING, PACKAGE
from lumilter.api.matching import Found
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session import mime as tree
from lumilter.session import text as texts
from lumilter.session.buffers import joined
from lumilter.session.mail import MailMessage
from lumilter.session.message import END_OF_DATA
from lumilter.session.mime import Part

CORE = "msys.core"
_BARE_LF = re.compile(rb"(?<!\r)\n")


def without_mark(text: bytes) -> bytes:
    """A content that a script gave, CRLF line ends, without the end-of-data mark."""
    if _BARE_LF.search(text):
        text = _BARE_LF.sub(b"\r\n", text)
    if text.endswith(END_OF_DATA):
        return text[:-3]
    return text if not text or text.endswith(b"\r\n") else text + b"\r\n"


@api("msg:body", package=PACKAGE, phases=CONTENT_AND_BINDING)
def body(msg: MailMessage, *values: bytes | None) -> bytes:
    """The body, transfer encoding and all, without the end-of-data mark (CRLF.CRLF); with an argument, set it first.

    What is set is to end with the mark; it may be left out.
    """
    if values and values[0] is not None:
        msg.content.body = without_mark(values[0])
    content = msg.content.body
    return bytes(content[:-2] if content[-2:] == b"\r\n" else content)


@api("msg:raw", package=PACKAGE, phases=CONTENT)
def raw(msg: MailMessage, value: bytes | None = None) -> tuple[bytes, int]:
    """The whole message and its length in bytes; with an argument, set header section and body first."""
    if value is not None:
        msg.content.set_raw(without_mark(value))
    content = b"".join(msg.content.pieces())
    return content, len(content)


@api("msg:text", package=PACKAGE, phases=CONTENT)
def text(
    msg: MailMessage, value: bytes | None = None, type: str | None = None, charset: str | None = None
) -> list[bytes] | bytes | bool | None:
    """The text parts, decoded, in UTF-8: one is a string, several are a table, none is nil.

    With a value (UTF-8), that becomes the whole body, in the charset (UTF-8 where it can't hold it, or where none is
    given and the text is not ASCII), with a transfer encoding where it needs one; type is text/plain unless given.
    """
    if value is not None:
        top = msg.content.mime(writable=True)
        texts.replace_text(top, without_mark(value), type or "text/plain", charset or "")
        _mark_as_mime(msg)
        return True
    found = [bytes(texts.text_of(part)) for part in tree.texts(msg.content.mime(writable=False))]
    return found if len(found) > 1 else found[0] if found else None


@api("msg:mime", package=PACKAGE, phases=CONTENT)
def mime(msg: MailMessage, readonly: bool | None = None) -> Part:
    """The top of the MIME tree. With false, of one whose parts can be changed; changing others raises an error."""
    return msg.content.mime(writable=readonly is False)


@api("msg:raw_match", package=PACKAGE, phases=CONTENT, blocking=True)
def raw_match(msg: MailMessage, pattern: bytes, *, here: Here) -> Found | Job:
    """All matches in the message as it stands, headers and body: a table, or false."""
    return matching.match([joined([*msg.content.pieces(), matching.MARK])], pattern, here)


@api("msg:raw_replace", package=PACKAGE, phases=CONTENT, blocking=True)
def raw_replace(msg: MailMessage, pattern: bytes, replacement: bytes, *, here: Here) -> Found | Job:
    """Replace all matches in the message as it stands: a table of what matched, or false."""
    subject = joined([*msg.content.pieces(), matching.MARK])
    return matching.replace(subject, pattern, replacement, here, msg.content.set_raw, marked=True)


@api("msg:body_match", package=PACKAGE, phases=CONTENT_AND_BINDING, blocking=True)
def body_match(msg: MailMessage, pattern: bytes, *, here: Here) -> Found | Job:
    """All matches in the body as it stands, still transfer-encoded: a table, or false."""
    return matching.match([matching.with_mark(msg.content.body)], pattern, here)


@api("msg:body_replace", package=PACKAGE, phases=CONTENT, blocking=True)
def body_replace(msg: MailMessage, pattern: bytes, replacement: bytes, *, here: Here) -> Found | Job:
    """Replace all matches in the body as it stands: a table of what matched, or false."""

    def change(changed: bytes) -> None:
        msg.content.body = changed

    return matching.replace(matching.with_mark(msg.content.body), pattern, replacement, here, change, marked=True)


@api("msg:text_match", package=PACKAGE, phases=CONTENT, blocking=True)
def text_match(msg: MailMessage, pattern: bytes, *, here: Here) -> Found | Job:
    """All matches in the text parts, decoded, in UTF-8: a table, or false."""
    return matching.match_texts(msg.content.mime(writable=False), pattern, here)


@api("msg:text_replace", package=PACKAGE, phases=CONTENT, blocking=True)
def text_replace(msg: MailMessage, pattern: bytes, replacement: bytes, *, here: Here) -> Found | Job:
    """Replace all matches in the text parts: a table of what matched, or false.

    A changed part keeps its charset and transfer encoding as far as they can hold the new text.
    """
    return matching.replace_texts(msg.content.mime(writable=True), pattern, replacement, here)


@api("msg:get_delivery_method", package=CORE, phases=CONTENT)
def get_delivery_method(msg: MailMessage) -> str:
    """How the message is delivered: the context variable delivery_method, else "smtp"."""
    return msg.mess.get("delivery_method") or "smtp"


@api("msg:is_mcmt", package=CORE, extension=True)
def is_mcmt(msg: MailMessage) -> bool:
    """Whether it is a multi-channel message, which no MTA but Momentum knows: false."""
    return False


@api("msg:get_code", package=CORE, extension=True)
def get_code(msg: MailMessage) -> str | None:
    """The response text that was set for the message; nil before."""
    return msg.code or None


def _mark_as_mime(msg: MailMessage) -> None:
    """RFC 2045 4: without this field the others mean nothing."""
    if msg.content.headers.first("MIME-Version") is None:
        msg.content.headers.append("MIME-Version", ["1.0"])


def empty(msg: MailMessage, function: str) -> None:
    """Raises LumilterError unless the message is a new one."""
    if not msg.made or len(msg.content.headers) or len(msg.content.body):
        raise LumilterError(f"{function} wants an empty message: one of msys.core.ec_message_new()")
