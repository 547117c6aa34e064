"""Transfer encodings and charsets of long texts: undone and done again step by step.

The law: any bytes decode, and where a step ends does not change what comes out. Beside the result no more than some
steps of a text are in memory, unless it has lines longer than that.

Source: RFC 2045 6.7, 6.8.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import functools
import re
from collections.abc import Iterable, Iterator

from lumilter.session import rfc2047
from lumilter.session.buffers import STEP, Buffer, collected, let_go

SEVEN, EIGHT, BASE64, QUOTED = "7bit", "8bit", "base64", "quoted-printable"

_NOT_BASE64 = bytes(
    octet for octet in range(256) if octet not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LINE = 57
"""Bytes that make a line of 76 characters in base64."""


def steps(text: Buffer, size: int = STEP) -> Iterator[Buffer]:
    """A text in pieces of that size."""
    if len(text) <= size:
        yield text
        return
    view = memoryview(text)
    for start in range(0, len(view), size):
        yield view[start : start + size]
        let_go(view)


def decoded(body: Buffer, encoding: str, size: int = STEP) -> Iterator[Buffer]:
    """A body without its transfer encoding; what is not well-formed is skipped."""
    if encoding == BASE64:
        return _from_base64(steps(body, size))
    if encoding == QUOTED:
        return map(binascii.a2b_qp, _lines(body, size))
    return steps(body, size)


def content_of(body: Buffer, encoding: str) -> Buffer:
    """As decoded, in one piece; no copy where there is nothing to decode. Any thread."""
    return collected(decoded(body, encoding)) if encoding in (BASE64, QUOTED) else body


def encoded(raw: Buffer, encoding: str, size: int = STEP) -> Iterator[Buffer]:
    """Content in a transfer encoding, on lines of 76 characters where that makes lines."""
    if encoding == BASE64:
        whole = max(_LINE, size - size % _LINE)
        return (base64.encodebytes(step).replace(b"\n", b"\r\n") for step in steps(raw, whole))
    if encoding == QUOTED:
        return (_BARE_LF.sub(b"\r\n", binascii.b2a_qp(lines)) for lines in _lines(raw, size))
    return steps(raw, size)


def in_utf8(pieces: Iterable[Buffer], charset: str) -> Iterator[Buffer]:
    """Text in a charset, named in lower case, as UTF-8; of one that is not known the bytes as they are."""
    if charset in rfc2047.AS_UTF8 or (codec := rfc2047.codec_of(charset)) is None:
        yield from pieces
        return
    for piece in pieces if _is_single_byte(codec) else [b"".join(pieces)]:
        yield bytes(piece).decode(codec, "replace").encode("utf-8", "replace")


def from_utf8(pieces: Iterable[Buffer], charset: str) -> Iterator[Buffer]:
    """The way back; as it is for a charset that is not known. Raises UnicodeError where it lacks a character."""
    if not rfc2047.is_charset(charset):
        yield from pieces
        return
    codec = charset.replace("-", "_")
    if not _is_single_byte(codec):
        yield b"".join(pieces).decode("utf-8", "surrogateescape").encode(codec)
        return
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for piece in pieces:
        yield decoder.decode(bytes(piece)).encode(codec)
    yield decoder.decode(b"", True).encode(codec)


_COMBINED = (
    bytes(octet for first in range(256) for second in range(256) for octet in (first, second)),
    b"\x1b$B!!", b"\x1b$A!!", b"\x1b$(C!!", b"\x1b$)C\x0e!!",
)  # fmt: skip
"""Every pair of bytes, and the escape sequences of ISO 2022: what charsets make one character of."""


@functools.cache
def _is_single_byte(codec: str) -> bool:
    """Whether every byte is a character, so that text can be taken apart anywhere.

    Other charsets are decoded as one text: Python's incremental decoders fail at bytes that their plain ones take
    (iso2022_jp_ext: "pending buffer overflow"; utf_16 without a byte order mark).
    """
    return all(len(bytes([octet]).decode(codec, "replace")) == 1 for octet in range(256)) and all(
        len(text.decode(codec, "replace")) == len(text) for text in _COMBINED
    )


def _from_base64(pieces: Iterable[Buffer]) -> Iterator[bytes]:
    """All of it, also what stands after padding, and without the rest of a last group that is not whole."""
    rest = b""
    for piece in pieces:
        letters = rest + bytes(piece).translate(None, _NOT_BASE64)
        whole = len(letters) & ~3
        rest = letters[whole:]
        yield binascii.a2b_base64(letters[:whole])
    if len(rest) > 1:
        yield binascii.a2b_base64(rest + b"=" * (4 - len(rest)))


def _lines(text: Buffer, size: int) -> Iterator[Buffer]:
    """Whole lines, about so many bytes of them together."""
    if len(text) <= size:
        yield text
        return
    view, start = memoryview(text), 0
    while start < len(view):
        end = start + size
        while end < len(view) and view[end - 1] != 10:
            found = bytes(view[end : end + STEP]).find(b"\n")
            end = end + found + 1 if found >= 0 else end + STEP
        yield view[start:end]
        let_go(view)
        start = end
