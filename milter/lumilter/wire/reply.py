"""An SMTP reply in the form that libmilter takes.

The law: whatever a session's reply says, libmilter accepts it; nothing here chooses what is said.
"""

from __future__ import annotations

from typing import Protocol

from lumilter.session.events import Reply

_LINE = 980
"""Bytes in a line, libmilter's MAXREPLYLEN."""
_LINES = 32
"""Lines in a reply, libmilter's MAXREPLIES and the number that pymilter passes on."""


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
