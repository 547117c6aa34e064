"""An SMTP reply in the form that libmilter takes, and in the one that it sends.

The law: whatever a session's reply says, libmilter accepts it; nothing here chooses what is said. Both wires send the
same bytes.
"""

from __future__ import annotations

import re
from typing import Protocol

from lumilter.session.events import Reply

_LINE = 980
"""Bytes in a line, libmilter's MAXREPLYLEN."""
_LINES = 32
"""Lines in a reply, libmilter's MAXREPLIES and the number that pymilter passes on."""


_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)


class Context(Protocol):
    """The part of pymilter's context object that a reply needs."""

    def setreply(self, code: str, xcode: str | None, *lines: str) -> None: ...


def lines(text: tuple[str, ...]) -> list[str]:
    """The lines as libmilter wants them.

    `%` is doubled (Sendmail formats the text), control characters and undecodable bytes become "?" (libmilter refuses
    CR and LF, pymilter NUL and surrogates), a long line is continued on the next, and what does not fit into the
    reply is cut.
    """
    result: list[str] = []
    for line in text:
        piece, size = "", 0
        for char in line:
            shown = "?" if (char < " " and char != "\t") or "\ud800" <= char <= "\udfff" else char
            shown = "%%" if shown == "%" else shown
            width = len(shown.encode())
            if size + width > _LINE:
                result.append(piece)
                piece, size = "", 0
            piece, size = piece + shown, size + width
        result.append(piece)
    return result[:_LINES]


def put(ctx: Context, reply: Reply) -> None:
    """Hand the reply to libmilter; it is sent when the callback returns REJECT for a 5xx code or TEMPFAIL for a 4xx."""
    ctx.setreply(str(reply.code), reply.xcode or None, *lines(reply.lines))


def text(reply: Reply) -> bytes:
    """The reply as SMFIR_REPLYCODE carries it, made as libmilter's smfi_setreply and smfi_setmlreply make it.

    A reply of several lines without a status gets the general one. Raises ValueError for what libmilter refuses.
    """
    if not 400 <= reply.code <= 599:
        raise ValueError(f"expected a code from 400 to 599, got {reply.code}")
    if reply.xcode and not _STATUS.fullmatch(reply.xcode):
        raise ValueError(f"expected a status such as 5.7.1, got {reply.xcode!r}")
    said = lines(reply.lines) or [""]
    status = reply.xcode or (f"{reply.code // 100}.0.0" if len(said) > 1 else "")
    if status:
        status += " "
    *before, last = said
    return "".join([*(f"{reply.code}-{status}{line}\r\n" for line in before), f"{reply.code} {status}{last}"]).encode()
