"""Which fields a signature covers, and how its own field is written.

The law: pure. A field that lumilter takes out again on the way is never covered.

Source: manual, module opendkim (headerlist, oversign_headerlist, skip_headerlist) and, for the signs behind a name, the
older module dkim; RFC 6376 5.4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from lumilter.adapters.signatures.content import Digests

RECOMMENDED = (
    "from", "sender", "reply-to", "subject", "date", "message-id", "to", "cc", "mime-version", "content-type",
    "content-transfer-encoding", "content-id", "content-description", "resent-date", "resent-from", "resent-sender",
    "resent-to", "resent-cc", "resent-message-id", "in-reply-to", "references", "list-id", "list-help",
    "list-unsubscribe", "list-unsubscribe-post", "list-subscribe", "list-post", "list-owner", "list-archive",
)  # fmt: skip
"""RFC 6376 5.4.1 and RFC 8058: what is signed where no list is given."""
_PRIVATE = ("x-lumilter-",)
_LIST = re.compile(r"[\s:,]+")
_NAME = re.compile(r"([!-9;-~]+?)([?*+]?)")
_WIDTH = 76
_NAME_ROOM = 24
"""What the name of the field takes of the first line."""


def names_of(text: str | Iterable[str]) -> tuple[str, ...]:
    """A list of header names, as text with colons, commas or spaces between them, in lower case."""
    parts = _LIST.split(text) if isinstance(text, str) else [part for item in text for part in _LIST.split(item)]
    return tuple(part.lower() for part in parts if part)


def covered(
    digests: Digests, wanted: Sequence[str], oversigned: Sequence[str], skipped: Sequence[str], strict: bool
) -> tuple[str, ...]:
    """The h= of a signature. From is always in it.

    wanted: a name means all fields of that name that are not covered yet; with "?" one of them; with "+" all; with "*"
    all, or that there is none. strict: a name alone means one of them, or that there is none, as in the module dkim.
    oversigned: names once more than there are fields.
    """
    used: Counter[str] = Counter()
    found: list[str] = []
    for item in wanted:
        match = _NAME.fullmatch(item)
        if match is None or match[1] in skipped or match[1].startswith(_PRIVATE):
            continue
        name, sign = match.groups()
        there = len(digests.positions(name.encode())) - used[name]
        if sign == "?":
            count = min(there, 1)
        elif sign == "*":
            count = max(there, 1)
        elif sign == "+" or not strict:
            count = there
        else:
            count = 1
        count = max(count, 0)
        used[name] += count
        found += [name] * count
    missing = len(digests.positions(b"from")) - used["from"]
    found = ["from"] * max(missing, 0 if used.get("from") else 1) + found
    return tuple(found + [name for name in oversigned if name not in skipped and _NAME.fullmatch(name)])


def value(tags: Sequence[tuple[str, str]], signature: str = "") -> bytes:
    """The value of a signature field: tags in order, folded; b= last, with that signature."""
    lines: list[str] = []
    line = ""
    for name, text in (*tags, ("b", "")):
        piece = f"{name}={text}" + (";" if name != "b" else "")
        if line and len(line) + 1 + len(piece) > _WIDTH - (0 if lines else _NAME_ROOM):
            lines.append(line)
            line = ""
        line = f"{line} {piece}" if line else piece
        while len(line) > _WIDTH and name in ("h", "z", "bh"):  # no other value may be folded
            cut = _cut(line)
            lines.append(line[:cut])
            line = line[cut:]
    lines.append(line)
    head = "\r\n\t".join(lines)
    return b" " + head.encode("ascii") + b"".join(b"\r\n\t" + part for part in _chunks(signature))


def _cut(line: str) -> int:
    """Where a long line may be broken: behind a colon or a bar, anywhere in base64."""
    for sign in ":|":
        at = line.rfind(sign, 1, _WIDTH)
        if at > 0:
            return at + 1
    return _WIDTH


def _chunks(text: str) -> list[bytes]:
    return [text[at : at + 72].encode("ascii") for at in range(0, len(text), 72)]


def quoted(raw: bytes) -> str:
    """DKIM's quoted-printable (RFC 6376 2.11)."""
    return "".join(chr(octet) if 0x21 <= octet <= 0x7E and octet not in b";=|:" else f"={octet:02X}" for octet in raw)
