"""The macros that an MTA has sent on one connection, by the stage they were sent for.

The law: known is what libmilter's smfi_getsymval would find: a later stage before an earlier one, and a command
forgets what was sent for the stages after its own (libmilter's engine.c, mi_clr_macros). So what came with the
connection outlives every message, and an abort forgets nothing.
"""

from __future__ import annotations

from lumilter.session.events import Macros

_NUMBER = {byte: number for number, byte in enumerate(b"CHMRTEN")}
"""The command that a macro packet is sent for, to its stage: SMFIM_CONNECT 0 to SMFIM_EOH 6."""
CONNECT, HELO, MAIL, RCPT = range(4)
LAST = 6


class _Bare(dict[str, str]):
    """A macro's name as the protocol spells it, to the name without braces."""

    def __missing__(self, spelled: str) -> str:
        bare = spelled[1:-1] if spelled[:1] == "{" and spelled[-1:] == "}" else spelled
        if len(self) < 500:  # an MTA has some fifty; what else comes is not kept
            self[spelled] = bare
        return bare


_BARE = _Bare()


class Stages:
    __slots__ = ("_known", "_sent")

    def __init__(self) -> None:
        self._sent: list[dict[str, str] | None] = [None] * len(_NUMBER)
        self._known: dict[str, str] | None = {}
        """What all of them together say, as long as it is up to date."""

    def put(self, payload: bytes) -> None:
        """A macro packet: the command that it is for, names and values. One that makes no sense changes nothing."""
        if not payload or payload[0] not in _NUMBER:  # Postfix sends one with every header and body chunk too
            return
        strings = payload[1:].decode("utf-8", "surrogateescape").split("\0")
        del strings[-1]  # what follows the last NUL
        self._sent[_NUMBER[payload[0]]] = dict(zip(map(_BARE.__getitem__, strings[::2]), strings[1::2], strict=False))
        self._known = None

    def forget(self, after: int) -> None:
        """Forget what was sent for the stages after this one; -1 forgets all."""
        for number in range(after + 1, len(self._sent)):
            if self._sent[number] is not None:
                self._sent[number] = self._known = None

    def known(self) -> Macros:
        """All of them; the mapping is not changed later."""
        if self._known is None:
            self._known = {}
            for sent in self._sent:
                if sent:
                    self._known.update(sent)
        return self._known
