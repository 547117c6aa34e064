"""Content-Type and Content-Disposition: a value with parameters.

The law: any text has a reading and none takes more than time in proportion to it; what can't be read is left out.

Source: RFC 2045 5.1 (syntax), RFC 2231 (continued and encoded parameters). Senders also write encoded words (RFC 2047)
into file names, spaces without quotation marks, and semicolons without anything after them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lumilter.session import rfc2047

_LONGEST = 16384
"""Characters of a field that are looked at."""
_TOKEN = re.compile(r'[^\s;=()"]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL)
_WHITE = re.compile(r"\s*")
_UNQUOTED = re.compile(r"[^;]*")
_SPACE = re.compile(r"[\s;]*")
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*+\)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TO_QUOTE = re.compile(rb'(["\\])')
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_SECTION = re.compile(r"(?P<name>[^*]+)(?:\*(?P<number>[0-9]{1,3}))?(?P<encoded>\*)?")


@dataclass(frozen=True, slots=True)
class Parameters:
    """value: before the first semicolon, in lower case, without comments. parameters: by name in lower case."""

    value: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """text: the unfolded field, UTF-8 with surrogateescape."""
        text = text[:_LONGEST]
        value, semicolon, rest = text.partition(";")
        value = "".join(_COMMENT.sub("", value).split()).lower()
        return cls(value, _joined(_pairs(rest)) if semicolon else {})


def _pairs(text: str) -> list[tuple[str, str]]:
    """Names in lower case and values, quotation marks removed, in the order in which they stand there."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        position = _end(_SPACE, text, position)
        if text.startswith("(", position):
            comment = _COMMENT.match(text, position)
            position = comment.end() if comment else position + 1
            continue
        name = _TOKEN.match(text, position)
        if not name:
            position += 1
            continue
        position = _end(_WHITE, text, name.end())
        if not text.startswith("=", position):
            continue
        position = _end(_WHITE, text, position + 1)
        quoted = _QUOTED.match(text, position)
        if quoted:
            value = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
            position = quoted.end()
        else:
            unquoted = _UNQUOTED.match(text, position)
            assert unquoted
            value = _COMMENT.sub("", unquoted[0]).strip()
            position = unquoted.end()
        pairs.append((name[0].lower(), value))
    return pairs


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Continued parameters put together and decoded; of two with one name the first counts."""
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value in pairs:
        section = _SECTION.fullmatch(name)
        if section and (section["number"] or section["encoded"]):
            number = int(section["number"] or 0)
            sections.setdefault(section["name"], {}).setdefault(number, (value, bool(section["encoded"])))
        else:
            plain.setdefault(name, value)
    for name, numbered in sections.items():
        decoded = _decoded(numbered)
        if decoded is not None:
            plain[name] = decoded  # RFC 2231 says more than the plain one beside it, for old programs
    return plain


def _decoded(numbered: dict[int, tuple[str, bool]]) -> str | None:
    if 0 not in numbered:
        return None
    charset = ""
    raw: list[bytes] = []
    for number in range(len(numbered)):
        if number not in numbered:
            break
        value, encoded = numbered[number]
        if encoded and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        octets = value.encode("utf-8", "surrogateescape")
        raw.append(_PERCENT.sub(lambda found: bytes([int(found[1], 16)]), octets) if encoded else octets)
    joined = b"".join(raw)
    text = rfc2047.text_in(charset.lower(), joined) if charset else None
    return joined.decode("utf-8", "surrogateescape") if text is None else text


def with_parameter(raw: bytes, name: str, value: str) -> bytes:
    """A field's raw value with that parameter set: in its place, or at the end; everything else stays as it was.

    Text that is not ASCII is written as RFC 2231 has it; control characters, which could begin another field, as "?".
    """
    value = _CONTROL.sub("?", value)
    if not value.isascii():
        octets = value.encode("utf-8", "surrogateescape")
        written = b"utf-8''" + b"".join(b"%c" % octet if octet in _PLAIN else b"%%%02X" % octet for octet in octets)
        name += "*"
    elif _TOKEN.fullmatch(value) and "/" not in value:
        written = value.encode("ascii")
    else:
        written = b'"' + _TO_QUOTE.sub(rb"\\\1", value.encode("ascii")) + b'"'
    found = re.search(
        rb';\s*+%s\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^\s;"]*+)' % re.escape(name.encode("ascii")),
        raw[:_LONGEST],
        re.I | re.S,
    )
    if found:
        return raw[: found.start(1)] + written + raw[found.end(1) :]
    return raw.rstrip(b"; \t\r\n") + b"; " + name.encode("ascii") + b"=" + written
