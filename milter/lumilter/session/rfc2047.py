"""Encoded words (RFC 2047) in header values, both ways.

The law: decoding takes anything and never raises: what is not well-formed stays as it came. Encoding gives ASCII that
decodes to the same text. Both take time in proportion to the text. The standard library's email.header raises on broken
base64 and drops white space between words and plain text, so both directions are ours; charsets are Python's codecs.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from encodings.aliases import aliases

_WORD = re.compile(rb"=\?([!#-'*+\-0-9A-Z^-~]+?)(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([!->@-~]*)\?=")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "ks_c_5601_1987": "cp949", "euc_kr": "cp949", "windows_874": "cp874"}
"""Charsets that mail programs name when they mean a superset, and one that Python has under its other name only."""
_CHARSETS = (frozenset(aliases) | frozenset(aliases.values()) | {"koi8_u", *_WIDER, *_WIDER.values()}) - {
    *("base64", "base64_codec", "base_64", "bz2", "bz2_codec", "hex", "hex_codec", "quopri", "quopri_codec"),
    *("quoted_printable", "quotedprintable", "rot13", "rot_13", "uu", "uu_codec", "zip", "zlib", "zlib_codec"),
    *("idna", "punycode", "mbcs", "ansi", "dbcs", "undefined", "unicode_escape", "raw_unicode_escape", "oem"),
}
"""Python's codecs for text. Others are not even looked up: Python remembers every unknown name for ever."""
AS_UTF8 = frozenset(("utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit"))
"""Charsets that are read as UTF-8: what claims to be ASCII and is not is most often that."""
_Q_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
"""RFC 2047 5 (3): safe in every kind of header."""
_WORD_LIMIT = 75
_LINE_LIMIT = 76
"""RFC 2047 2: octets in one encoded word, and in a line that holds one."""
_FIRST_ROOM = 40
"""Fewer octets than this are not worth beginning an encoded word for: it goes to the next line."""
_WHITE = frozenset(" \t\n")
_TOKEN = re.compile(r'\\["\\]|["\\]|[ \t\n]+|[^"\\ \t\n]+')
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""No bytes stand for these: they can't come from a message, only from an escape in JSON and the like."""


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


def encode(text: str, column: int = 0) -> bytes:
    """Text as ASCII: words that need it become encoded words.

    column: how much of the first line is taken. A line that holds an encoded word is folded at 76 octets, by "\\n"
    before a single space; folding in the text itself ("\\n" before white space) stays.
    """
    out: list[bytes] = []
    encoded_here = False
    for white, word, needed in _runs(text):
        column, encoded_here = _after(column, white), encoded_here and "\n" not in white
        parts = _words(word, _LINE_LIMIT - column) if needed else [word.encode("ascii")]
        if white == " " and (needed or encoded_here) and column + len(parts[0]) > _LINE_LIMIT:
            white, column, encoded_here = "\n ", 1, False
            parts = _words(word, _WORD_LIMIT) if needed else parts
        raw = b"\n ".join(parts)
        out += [white.encode("ascii"), raw]
        column, encoded_here = _after(column, raw.decode("ascii")), needed or encoded_here
    return b"".join(out)


def _join(words: list[tuple[str, bytes, bytes]]) -> str:
    """Neighbouring words as text; bytes of one charset are put together first, as a character may be split over two."""
    text: list[str] = []
    at = 0
    while at < len(words):
        start, charset = at, words[at][0]
        while at < len(words) and words[at][0] == charset:
            at += 1
        together = words[start:at]
        decoded = text_in(charset, b"".join(raw for _, raw, _ in together))
        text.append(b" ".join(source for *_, source in together).decode("ascii") if decoded is None else decoded)
    return "".join(text)


def text_in(charset: str, raw: bytes) -> str | None:
    """Bytes in a charset, named in lower case; None where it is not known."""
    if charset in AS_UTF8:
        return raw.decode("utf-8", "surrogateescape")
    codec = codec_of(charset)
    if codec is None:
        return None
    text = raw.decode(codec, "replace")
    return text.encode("utf-8", "replace").decode("utf-8")  # utf-7 can spell half of a surrogate pair


def codec_of(charset: str) -> str | None:
    """The codec that reads a charset, named in lower case; None where there is none."""
    codec = charset.replace("-", "_")
    return _WIDER.get(codec, codec) if codec in _CHARSETS else None


def in_charset(charset: str, text: str) -> bytes | None:
    """Text in a charset, named in lower case; None where it is not known, or has not all of the characters."""
    codec = charset.replace("-", "_")
    if codec not in _CHARSETS:
        return None
    try:
        return text.encode(codec)
    except UnicodeError:
        return None


def is_charset(charset: str) -> bool:
    """Whether there is a codec for it, named in lower case."""
    return charset in AS_UTF8 or charset.replace("-", "_") in _CHARSETS


def _content(encoding: bytes, text: bytes) -> bytes | None:
    if encoding in b"Qq":
        return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.replace(b"_", b" "))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _pieces(text: str) -> Iterator[str]:
    """White space and words in turn, white space first; a quoted string is not taken apart.

    Half a quoted string as an encoded word would leave the other half without its quotation mark, and an address
    after it would no longer be one: From: "Müller, Jo" <a@example.com>.
    """
    tokens = _TOKEN.findall(text)
    closed = tokens.count('"') % 2 == 0
    quoted = False
    word: list[str] = []
    if tokens and tokens[0][0] not in _WHITE:
        yield ""
    for token in tokens:
        if token[0] in _WHITE and not quoted:
            if word:
                yield "".join(word)
                word = []
            yield token
        else:
            quoted ^= closed and token == '"'
            word.append(token)
    if word:
        yield "".join(word)


def _runs(text: str) -> Iterator[tuple[str, str, bool]]:
    """(white space, what follows, whether it has to be encoded); neighbours that have to are one run.

    White space between encoded words is not text (RFC 2047 6.2), so that of a run is encoded with it.
    """
    white = pending = ""
    run: list[str] = []
    for number, piece in enumerate(_pieces(text)):
        if number % 2 == 0:
            white = piece
        elif not (piece.isascii() and "=?" not in piece):
            if run:
                run += [_unfolded(white), _unfolded(piece)]
            else:
                pending, run = white, [_unfolded(piece)]
            white = ""
        else:
            if run:
                yield pending, "".join(run), True
                run = []
            yield white, piece, False
            white = ""
    if run:
        yield pending, "".join(run), True
    if white:
        yield white, "", False


def _after(column: int, text: str) -> int:
    """The column after the text."""
    return len(text) - text.rindex("\n") - 1 if "\n" in text else column + len(text)


def _unfolded(text: str) -> str:
    return " ".join(line.strip(" \t") for line in text.split("\n")) if "\n" in text else text


def _words(text: str, first_room: int) -> list[bytes]:
    """Encoded words for a run, none longer than the limit, no character split over two.

    first_room: octets for the first one, if that is enough to begin there.
    """
    raw = _LONE_SURROGATE.sub("?", text).encode("utf-8", "surrogateescape")
    try:
        pieces = [character.encode() for character in raw.decode()]
        charset = b"utf-8"
    except UnicodeDecodeError:
        charset, pieces = b"unknown-8bit", [bytes([byte]) for byte in raw]  # RFC 1428 3
    quoted = _q_length(raw) <= (len(raw) + 2) // 3 * 4
    room = min(first_room, _WORD_LIMIT) if first_room >= _FIRST_ROOM else _WORD_LIMIT
    words: list[bytes] = []
    chunk: list[bytes] = []
    used = 0
    for piece in pieces:
        length = _q_length(piece) if quoted else len(piece)
        space = room - len(charset) - 7
        if used + length > (space if quoted else space // 4 * 3):
            words.append(_word(charset, b"".join(chunk), quoted))
            chunk, used, room = [], 0, _WORD_LIMIT
        chunk.append(piece)
        used += length
    words.append(_word(charset, b"".join(chunk), quoted))
    return words


def _word(charset: bytes, raw: bytes, quoted: bool) -> bytes:
    if quoted:
        text = b"".join(b"_" if b == 32 else bytes([b]) if b in _Q_SAFE else b"=%02X" % b for b in raw)
        return b"=?" + charset + b"?Q?" + text + b"?="
    return b"=?" + charset + b"?B?" + base64.b64encode(raw) + b"?="


def _q_length(raw: bytes) -> int:
    return sum(1 if byte == 32 or byte in _Q_SAFE else 3 for byte in raw)
