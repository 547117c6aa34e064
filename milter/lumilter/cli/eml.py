"""A message file as an MTA would hand it to a milter.

The law: it takes any bytes, as an MTA does: a line that is no header ends them, and the body's line ends become CRLF.
"""

from __future__ import annotations

import re

_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_BREAK = re.compile(rb"\r\n|\n|\r(?!\n)")


def read_message(raw: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    """Headers and body as in session.events.EndOfMessage. A leading "From " line of a mailbox is skipped."""
    lines = _BREAK.split(raw)
    if lines and lines[0].startswith(b"From "):
        lines.pop(0)
    headers: list[tuple[bytes, list[bytes]]] = []
    at = 0
    for at, line in enumerate(lines):
        match = _HEADER.fullmatch(line)
        if line[:1] in (b" ", b"\t") and headers:
            headers[-1][1].append(line)
        elif match:
            headers.append((match[1], [match[2]]))
        else:
            at += line == b""
            break
    else:
        at = len(lines)
    return tuple((name, b"\n".join(value)) for name, value in headers), b"\r\n".join(lines[at:])
