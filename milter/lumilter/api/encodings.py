"""msys.base64, msys.qp, msys.idn: text in the encodings of mail.

The law: declarations only; text is UTF-8 on the script's side, and what can't be decoded raises an error.
"""

from __future__ import annotations

import base64
import binascii
import re

import idna

from lumilter.api.core_io import opened
from lumilter.calls import Job
from lumilter.errors import LookupFailed, LumilterError
from lumilter.registry import api
from lumilter.session import rfc2047
from lumilter.session.strings import IoObject
from lumilter.session.text import transfer_encoded
from lumilter.session.transfer import QUOTED

_BAD_QP = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?(?:\n|\Z))")
_DOTS = re.compile(rb"(?m)^\.")


# --- base64 -----------------------------------------------------------------------------------------------------------


@api("msys.base64.encode", package="msys.base64")
def base64_encode(original: bytes, fold: str | bool | None = None, charset: str | None = None) -> bytes:
    """The text in base64. fold: with CRLF after every 76 characters. charset: convert the text to it first."""
    raw = _in_charset(original, charset)
    if not fold or fold == "false":
        return base64.b64encode(raw)
    return base64.encodebytes(raw).replace(b"\n", b"\r\n")


@api("msys.base64.decode", package="msys.base64")
def base64_decode(encoded_text: bytes, charset: str | None = None) -> bytes:
    """The bytes behind base64, white space in it ignored; from that charset to UTF-8 if one is given."""
    try:
        raw = base64.b64decode(b"".join(encoded_text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise LumilterError(f"the text is not base64: {error}") from None
    return _from_charset(raw, charset)


# --- quoted-printable -------------------------------------------------------------------------------------------------


@api("msys.qp.encode", package="msys.qp", blocking=True)
def qp_encode(original: IoObject | bytes, charset: str | None = None, dotstuffing: bool | None = None) -> bytes | Job:
    """The text in quoted-printable, CRLF line ends. charset: convert the text to it first.

    original: text, or an io_object that is read to its end. dotstuffing: lines that begin with a dot get another one,
    as SMTP wants it; lumilter does that itself when it sends.
    """

    def encoded(text: bytes) -> bytes:
        made = transfer_encoded(_in_charset(text, charset), QUOTED)
        return _DOTS.sub(b"..", made) if dotstuffing else made

    if isinstance(original, bytes):
        return encoded(original)
    stream = opened(original)
    return Job(lambda deadline: encoded(stream.read_all(deadline)), "file")


@api("msys.qp.decode", package="msys.qp")
def qp_decode(encoded_txt: bytes, charset: str | None = None) -> bytes:
    """The bytes behind quoted-printable; from that charset to UTF-8 if one is given."""
    found = _BAD_QP.search(encoded_txt)
    if found:
        raise LumilterError(f"the text is not quoted-printable: byte {found.start()} begins no escape")
    return _from_charset(binascii.a2b_qp(encoded_txt), charset)


# --- domains ----------------------------------------------------------------------------------------------------------


@api("msys.idn.to_idn", package="msys.idn", since="4.2")
def to_idn(name: str) -> str:
    """An internationalised domain in ASCII (A-labels, UTS 46 and IDNA 2008); nil and why not for what is none."""
    if name.isascii():
        return name.lower()
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise LookupFailed(f"{name!r} is not a domain: {error}") from None


@api("msys.idn.to_utf8", package="msys.idn", since="4.2")
def to_utf8(name: str) -> str:
    """A domain with its A-labels as Unicode, in UTF-8; nil and why not for what is none."""
    if "xn--" not in name.lower():
        return name
    try:
        return idna.decode(name.lower())
    except (idna.IDNAError, UnicodeError) as error:
        raise LookupFailed(f"{name!r} is not a domain: {error}") from None


# --- charsets ---------------------------------------------------------------------------------------------------------


def _known(charset: str) -> str:
    if not rfc2047.is_charset(charset.lower()):
        raise LumilterError(f"the charset {charset!r} is not known")
    return charset.lower()


def _in_charset(original: bytes, charset: str | None) -> bytes:
    """UTF-8 text in a charset."""
    if charset is None or _known(charset) in ("utf-8", "utf8"):
        return original
    raw = rfc2047.in_charset(charset.lower(), original.decode("utf-8", "surrogateescape"))
    if raw is None:
        raise LumilterError(f"{charset} has not all characters of the text")
    return raw


def _from_charset(raw: bytes, charset: str | None) -> bytes:
    """Text in a charset as UTF-8."""
    text = None if charset is None else rfc2047.text_in(_known(charset), raw)
    return raw if text is None else text.encode("utf-8", "surrogateescape")
