"""Numerals and quoted strings: what thrlua reads, spelled so that LuaJIT reads the same value.

The law: None means "LuaJIT reads these bytes as thrlua does"; only then is the literal copied as it stands.
Facts: thrlua src/llex.c read_numeral and read_string, src/lobject.c luaO_str2d.
"""

from __future__ import annotations

import re

from lumilter.errors import DialectError

_DECIMAL = re.compile(rb"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(rb"0[xX][0-9A-Fa-f]+")
_OCTAL = re.compile(rb"0[0-7]+")
_HEX_DIGITS = re.compile(rb"[0-9A-Fa-f]*")
_LINE_BREAK = re.compile(rb"\r\n|\n\r|\r|\n")
_DECIMAL_ESCAPE = re.compile(rb"[0-9]{1,3}")
_PLAIN = {delimiter: re.compile(rb"[^\\\r\n" + delimiter + rb"]+") for delimiter in (b'"', b"'")}
_CONTROL = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11}
_INT64_MAX = 2**63 - 1


def decode(text: bytes) -> str:
    """Bytes of a source as text for a message; any byte survives."""
    return text.decode("utf-8", "surrogateescape")


def numeral(text: bytes, script: str, line: int) -> bytes | None:
    """The numeral in a spelling that LuaJIT reads the same way, or None.

    A leading zero means octal where every digit is octal. thrlua calls `08` and `010.5` malformed; they are read as
    the decimals that they look like, as stock Lua does. Number suffixes, binary and hexadecimal floats are LuaJIT's.
    """
    if _OCTAL.fullmatch(text):
        return b"%d" % min(int(text, 8), _INT64_MAX)  # strtol saturates
    if _DECIMAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return None
    raise DialectError(f"malformed number near '{decode(text)}'", script, line)


def utf8(code: int) -> bytes:
    """A code point below 2**31 in UTF-8 as first defined (RFC 2279): one to six bytes, surrogates not refused."""
    if code < 0x80:
        return bytes([code])
    tail = 1
    while code >= 1 << (5 * tail + 6):
        tail += 1
    lead = (0xFF00 >> (tail + 1)) & 0xFF | code >> (6 * tail)
    return bytes([lead, *(0x80 | code >> (6 * n) & 0x3F for n in reversed(range(tail)))])


class QuotedString:
    """One pass over a quoted string that contains an escape or does not end on its line.

    After `read`: `end` is the offset behind it, `line` its last line, `text` the new spelling or None.
    """

    def __init__(self, source: bytes, start: int, script: str, line: int) -> None:
        self.source, self.script, self.line = source, script, line
        self.delimiter = source[start : start + 1]
        self.start = start
        self.end = start + 1
        self.value = bytearray(self.delimiter)  # what thrlua has in its buffer, for the "near" of an error
        self.text: bytes | None = None

    def read(self) -> None:
        """Scan to the closing delimiter; raises DialectError."""
        source, plain = self.source, _PLAIN[self.delimiter]
        spelled = [self.delimiter]
        while (char := source[self.end : self.end + 1]) != self.delimiter:
            if not char:
                raise DialectError("unfinished string near '<eof>'", self.script, self.line)
            if char in b"\r\n":
                raise self._error("unfinished string")
            if char == b"\\":
                self.end += 1
                spelled.append(self._escape())
            elif run := plain.match(source, self.end):
                self.end = run.end()
                self.value += run[0]
                spelled.append(run[0])
        self.end += 1
        spelled.append(self.delimiter)
        text = b"".join(spelled)
        self.text = None if text == source[self.start : self.end] else text

    def _error(self, message: str) -> DialectError:
        near = decode(bytes(self.value).split(b"\0", 1)[0])  # thrlua prints a C string
        return DialectError(f"{message} near '{near}'", self.script, self.line)

    def _escape(self) -> bytes:
        """Read what follows a backslash; the spelling of the whole escape."""
        source, at = self.source, self.end
        char = source[at : at + 1]
        if not char:
            return b""  # the caller's next round reports the end of the source
        if char == b"x":
            digits = _HEX_DIGITS.match(source, at + 1, at + 3)
            if digits is None or len(digits[0]) != 2:
                raise self._error("expected hex digit")
            self.end = at + 3
            self.value.append(int(digits[0], 16))
            return b"\\x" + digits[0]
        if char == b"u":
            return self._unicode(at + 1)
        if number := _DECIMAL_ESCAPE.match(source, at):
            if int(number[0]) > 255:
                raise self._error("escape sequence too large")
            self.end = number.end()
            self.value.append(int(number[0]))
            return b"\\" + number[0]
        if newline := _LINE_BREAK.match(source, at):
            self.end = newline.end()
            self.line += 1
            self.value += b"\n"
            return b"\\" + newline[0]
        self.end = at + 1
        if char in _CONTROL:
            self.value.append(_CONTROL[char])
            return b"\\" + char
        self.value += char
        # Any other character stands for itself. LuaJIT refuses most such escapes and gives `\z` a meaning.
        return b"\\" + char if char in b"\\\"'" else char

    def _unicode(self, at: int) -> bytes:
        digits = _HEX_DIGITS.match(self.source, at, at + 8)
        if digits is None or len(digits[0]) not in (4, 6, 8):
            raise self._error("expected either 4, 6 or 8 hex digits for unicode escape")
        code = int(digits[0], 16)
        if code > 0x7FFFFFFF:
            raise self._error("unicode escape sequence too large")
        self.end = digits.end()
        encoded = utf8(code)
        self.value += encoded
        return b"".join(b"\\%03d" % byte for byte in encoded)
