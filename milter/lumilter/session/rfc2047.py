"""Encoded words (RFC 2047) in header values, both ways.

The law: decoding takes anything and never raises: what is not well-formed stays as it came. Encoding gives ASCII that
decodes to the same text. The standard library's email.header raises on broken base64 and drops white space between
words and plain text, so both directions are ours; charsets are Python's codecs.
"""

from __future__ import annotations

import base64
import binascii
import re
from encodings.aliases import aliases

_WORD = re.compile(rb"=\?([!#-'*+\-0-9A-Z^-~]+?)(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([!->@-~]*)\?=")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_CHARSETS = (frozenset(aliases) | frozenset(aliases.values())) - {
    *("base64", "base64_codec", "base_64", "bz2", "bz2_codec", "hex", "hex_codec", "quopri", "quopri_codec"),
    *("quoted_printable", "quotedprintable", "rot13", "rot_13", "uu", "uu_codec", "zip", "zlib", "zlib_codec"),
    *("idna", "punycode", "mbcs", "ansi", "dbcs", "undefined", "unicode_escape", "raw_unicode_escape", "oem"),
}
"""Python's codecs for text. Others are not even looked up: Python remembers every unknown name for ever."""
_Q_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
"""RFC 2047 5 (3): safe in every kind of header."""
_WORD_LIMIT = 75
"""RFC 2047 2: octets in one encoded word."""


def decode(value: bytes) -> str:
    """A header value as text: encoded words decoded, other bytes as UTF-8 with surrogateescape."""
    if b"=?" not in value:
        return value.decode("utf-8", "surrogateescape")
    text: list[str] = []
    pending: list[tuple[str, bytes, bytes]] = []
    end = 0
    for match in _WORD.finditer(value):
        between = value[end : match.start()]
        if between.strip(b" \t\r\n") or not pending:  # white space between encoded words is no text (RFC 2047 6.2)
            text += [_join(pending), between.decode("utf-8", "surrogateescape")]
            pending = []
        raw = _content(match[2], match[3])
        end = match.end()
        if raw is None:
            text += [_join(pending), match[0].decode("ascii")]
            pending = []
        else:
            pending.append((match[1].decode("ascii").lower(), raw, match[0]))
    text += [_join(pending), value[end:].decode("utf-8", "surrogateescape")]
    return "".join(text)


def encode(text: str) -> bytes:
    """Text as ASCII: words that need it become encoded words, folded by "\\n " where several follow each other."""
    if text.isascii() and "=?" not in text:
        return text.encode("ascii")
    out: list[bytes] = []
    for index, run in enumerate(_runs(text)):
        if index % 2:
            out.append(b"\n ".join(_words(run)))
        else:
            out.append(run.encode("ascii"))
    return b"".join(out)


def _join(words: list[tuple[str, bytes, bytes]]) -> str:
    """Neighbouring words as text; bytes of one charset are put together first, as a character may be split over two."""
    text: list[str] = []
    at = 0
    while at < len(words):
        charset, raw, source = words[at]
        at += 1
        while at < len(words) and words[at][0] == charset:
            raw += words[at][1]
            source += b" " + words[at][2]
            at += 1
        text.append(_text(charset, raw, source))
    return "".join(text)


def _text(charset: str, raw: bytes, source: bytes) -> str:
    if charset in ("utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit"):
        return raw.decode("utf-8", "surrogateescape")
    if charset.replace("-", "_") not in _CHARSETS:
        return source.decode("ascii")
    text = raw.decode(charset, "replace")
    return text.encode("utf-8", "replace").decode("utf-8")  # utf-7 can spell half of a surrogate pair


def _content(encoding: bytes, text: bytes) -> bytes | None:
    if encoding in b"Qq":
        return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.replace(b"_", b" "))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _runs(text: str) -> list[str]:
    """Plain text and text to encode, in turn; a run to encode goes from its first to its last word that needs it."""
    runs, plain = [""], True
    for piece in re.split(r"([ \t\r\n]+)", text):
        if piece.strip(" \t\r\n") == "":
            runs[-1] += piece  # white space belongs to the run before, until the next word decides
        elif piece.isascii() and "=?" not in piece:
            if not plain:
                body = runs[-1].rstrip(" \t\r\n")
                runs[-1:] = [body, runs[-1][len(body) :]]
                plain = True
            runs[-1] += piece
        else:
            if plain:
                runs.append("")
                plain = False
            runs[-1] += piece
    if not plain:
        body = runs[-1].rstrip(" \t\r\n")
        runs[-1:] = [body, runs[-1][len(body) :]]
    return runs


def _words(text: str) -> list[bytes]:
    """Encoded words for a run, none longer than the limit, no character split over two."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
        charset, pieces = b"utf-8", [character.encode("utf-8") for character in text]
    except UnicodeDecodeError:
        charset, pieces = b"unknown-8bit", [bytes([byte]) for byte in raw]  # RFC 1428 3
    words: list[bytes] = []
    chunk = b""
    room = _WORD_LIMIT - len(charset) - 7
    for piece in pieces:
        if min(_q_length(chunk + piece), _b_length(chunk + piece)) > room:
            words.append(_word(charset, chunk))
            chunk = b""
        chunk += piece
    words.append(_word(charset, chunk))
    return words


def _word(charset: bytes, raw: bytes) -> bytes:
    if _q_length(raw) <= _b_length(raw):
        text = b"".join(b"_" if b == 32 else bytes([b]) if b in _Q_SAFE else b"=%02X" % b for b in raw)
        return b"=?" + charset + b"?Q?" + text + b"?="
    return b"=?" + charset + b"?B?" + base64.b64encode(raw) + b"?="


def _q_length(raw: bytes) -> int:
    return sum(1 if byte == 32 or byte in _Q_SAFE else 3 for byte in raw)


def _b_length(raw: bytes) -> int:
    return (len(raw) + 2) // 3 * 4
