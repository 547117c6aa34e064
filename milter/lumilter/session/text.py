"""The text of a MIME part: transfer-decoded and in UTF-8 for scripts, and back in the part's own charset and encoding.

The law: text that is written reads back as the same text. A charset that lacks a character becomes UTF-8; 8-bit text in
a part without transfer encoding gets one.

Source: manual, `msg:text`, `msg:text_replace`; RFC 2045 and 2046.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lumilter.session import rfc2047
from lumilter.session.buffers import Buffer, collected, is_ascii
from lumilter.session.mime import Part, type_field
from lumilter.session.mime_edits import set_body
from lumilter.session.parameters import Parameters, with_parameter
from lumilter.session.transfer import BASE64, EIGHT, QUOTED, SEVEN, decoded, encoded, from_utf8, in_utf8, steps

_BARE_LF = re.compile(rb"(?<!\r)\n")
_LONG_LINE = re.compile(rb"[^\n]{999}")
"""RFC 5322 2.1.1: 998 octets and CRLF."""


def text_of(part: Part) -> Buffer:
    """A text part's text as UTF-8; bytes that no charset explains stay as they are."""
    encoding, charset = part.encoding, charset_of(part)
    if encoding not in (BASE64, QUOTED) and (charset in rfc2047.AS_UTF8 or not rfc2047.is_charset(charset)):
        return part.body
    return collected(in_utf8(decoded(part.body, encoding), charset))


def charset_of(part: Part) -> str:
    """In lower case; RFC 2046 4.1.2: US-ASCII where a text part names none."""
    return part.content_type.parameters.get("charset", "").strip().lower() or "us-ascii"


def transfer_encoded(raw: bytes, encoding: str) -> bytes:
    """Content in a transfer encoding, on lines of 76 characters where that makes lines."""
    return b"".join(encoded(raw, encoding))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as a part can hold it."""

    body: Buffer
    charset: str
    encoding: str


def encode_like(part: Part, text: Buffer) -> Encoded:
    """Another text for a text part, in its own charset and transfer encoding as far as that is possible."""
    encoding = part.encoding
    raw, charset = _in_charset(text, charset_of(part))
    del text  # nobody else may have it: at 100 MB that counts
    if encoding not in (EIGHT, "binary", BASE64, QUOTED) and not is_ascii(raw):
        encoding = QUOTED
    body = collected(encoded(raw, encoding)) if encoding in (BASE64, QUOTED) else raw
    return Encoded(body, charset, encoding)


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
    made, written = _in_charset(text, wanted or "us-ascii")
    raw = bytes(made)
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


def _in_charset(text: Buffer, charset: str) -> tuple[Buffer, str]:
    """UTF-8 text in a charset, or in UTF-8 where that charset can't hold it; and which it became."""
    if charset in rfc2047.AS_UTF8:
        return text, charset if charset not in ("us-ascii", "ascii") or is_ascii(text) else "utf-8"
    if not rfc2047.is_charset(charset):
        return text, charset
    try:
        return collected(from_utf8(steps(text), charset)), charset
    except UnicodeError:
        return text, "utf-8"


def _write_type(part: Part, charset: str) -> None:
    field = part.headers.first("Content-Type")
    value = b" " + part.content_type.value.encode("ascii", "replace") if field is None else field.value
    part.headers.put(type_field(with_parameter(value, "charset", charset)))
