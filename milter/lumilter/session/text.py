"""The text of a MIME part: transfer-decoded and in UTF-8 for scripts, and back in the part's own charset and encoding.

The law: text that is written reads back as the same text. A charset that lacks a character becomes UTF-8; 8-bit text in
a part without transfer encoding gets one.

Source: manual, `msg:text`, `msg:text_replace`; RFC 2045 and 2046.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from lumilter.session import rfc2047
from lumilter.session.mime import Buffer, Part, type_field
from lumilter.session.mime_edits import set_body
from lumilter.session.parameters import Parameters, with_parameter

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_LETTER = re.compile(rb"[A-Za-z0-9+/]")
_PADDING = re.compile(rb"=")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LONG_LINE = re.compile(rb"[^\n]{999}")
"""RFC 5322 2.1.1: 998 octets and CRLF."""

SEVEN, EIGHT, BASE64, QUOTED = "7bit", "8bit", "base64", "quoted-printable"


def transfer_decoded(part: Part) -> Buffer:
    """A leaf's body without its transfer encoding; what is not well-formed is skipped."""
    return decoded(part.body, part.encoding)


def decoded(body: Buffer, encoding: str) -> Buffer:
    """A body without its transfer encoding, as Part.encoding names it; any thread."""
    if encoding == BASE64:
        return _from_base64(body)
    if encoding == QUOTED:
        return binascii.a2b_qp(body)
    return body


def _from_base64(body: Buffer) -> bytes:
    """All of it, also what stands after padding, and without the rest of a last group that is not whole."""
    padding = _PADDING.search(body)
    if padding is None or not _LETTER.search(body, padding.end()):
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            pass
    letters = _NOT_BASE64.sub(b"", body)
    letters = letters[:-1] if len(letters) % 4 == 1 else letters
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def text_of(part: Part) -> Buffer:
    """A text part's text as UTF-8; bytes that no charset explains stay as they are."""
    raw = transfer_decoded(part)
    charset = charset_of(part)
    if charset in rfc2047.AS_UTF8:
        return raw
    text = rfc2047.text_in(charset, bytes(raw))
    return raw if text is None else text.encode("utf-8", "surrogateescape")


def charset_of(part: Part) -> str:
    """In lower case; RFC 2046 4.1.2: US-ASCII where a text part names none."""
    return part.content_type.parameters.get("charset", "").strip().lower() or "us-ascii"


def transfer_encoded(raw: bytes, encoding: str) -> bytes:
    """Content in a transfer encoding, on lines of 76 characters where that makes lines."""
    if encoding == BASE64:
        return base64.encodebytes(raw).replace(b"\n", b"\r\n")
    if encoding == QUOTED:
        return _BARE_LF.sub(b"\r\n", binascii.b2a_qp(raw))
    return raw


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as a part can hold it."""

    body: bytes
    charset: str
    encoding: str


def encode_like(part: Part, text: bytes) -> Encoded:
    """Another text for a text part, in its own charset and transfer encoding as far as that is possible."""
    encoding = part.encoding
    raw, charset = _in_charset(text, charset_of(part))
    if not raw.isascii() and encoding not in (EIGHT, "binary", BASE64, QUOTED):
        encoding = QUOTED
    return Encoded(transfer_encoded(raw, encoding), charset, encoding)


def change_text(part: Part, encoded: Encoded) -> None:
    """Give a text part what `encode_like` made for it."""
    part.touch()
    if encoded.charset != charset_of(part):
        _write_type(part, encoded.charset)
    if encoded.encoding != part.encoding:
        part.headers.write("Content-Transfer-Encoding", encoded.encoding)
    set_body(part, encoded.body)


def replace_text(part: Part, text: bytes, mimetype: str = "text/plain", charset: str = "") -> None:
    """Make a part a text part with that text, whatever it was.

    text: UTF-8. mimetype: may have parameters, a charset among them. charset: US-ASCII or UTF-8 where none is named.
    """
    wanted = charset.lower() or Parameters.parse(mimetype).parameters.get("charset", "").lower()
    raw, written = _in_charset(text, wanted or "us-ascii")
    raw = _BARE_LF.sub(b"\r\n", raw)
    encoding = SEVEN if raw.isascii() and not _LONG_LINE.search(raw) else QUOTED
    if b"\0" in raw:
        encoding = BASE64  # UTF-16, where quoted-printable would take LF for a line break
    part.touch()
    part.headers.write("Content-Type", mimetype)
    _write_type(part, written)
    if encoding != SEVEN or part.encoding:
        part.headers.write("Content-Transfer-Encoding", encoding)
    part.headers.delete("Content-MD5")
    set_body(part, transfer_encoded(raw, encoding))


def _in_charset(text: bytes, charset: str) -> tuple[bytes, str]:
    """UTF-8 text in a charset, or in UTF-8 where that charset can't hold it; and which it became."""
    if charset in rfc2047.AS_UTF8:
        return text, charset if text.isascii() or charset not in ("us-ascii", "ascii") else "utf-8"
    if not rfc2047.is_charset(charset):
        return text, charset
    raw = rfc2047.in_charset(charset, text.decode("utf-8", "surrogateescape"))
    return (text, "utf-8") if raw is None else (raw, charset)


def _write_type(part: Part, charset: str) -> None:
    field = part.headers.first("Content-Type")
    value = b" " + part.content_type.value.encode("ascii", "replace") if field is None else field.value
    part.headers.put(type_field(with_parameter(value, "charset", charset)))
