"""The seam between the wire and whoever answers: two Protocols, implemented by the daemon and by scripted tests.

The law: the wire knows nothing else of what is behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lumilter.session.events import Event, Outcome
from lumilter.session.needs import Needs


class Conversation(Protocol):
    """One connection of an MTA.

    The wire promises: Connect first (unless the MTA negotiated it away), Close last and once; every Mail is followed by
    exactly one EndOfMessage or Abort before the next Mail or Close, whatever was answered in between; the next event
    only after the answer to the one before. No call comes after Close.

    A wire calls either `handle` or `start`, the pymilter wire the first: each call may come on another OS thread there,
    and the last reference is dropped on a libmilter thread: whatever must not be released there (a Lua object) has to
    be given up while Close is handled.
    """

    def handle(self, event: Event) -> Outcome:
        """Answer an event. May block; the outcome of Abort and Close is not looked at.

        It should not raise: an exception is logged and tempfails the rest of this connection.
        """
        ...

    def start(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        """Begin to answer an event, on the loop's thread; never blocks.

        answer: to be called once, on the loop's thread, before `start` returns or later. An exception, raised instead,
        is logged and tempfails the rest of this connection. A body that is a memoryview (it was spooled) ends with the
        answer.
        """
        ...


class Server(Protocol):
    """Where connections come from."""

    @property
    def needs(self) -> Needs:
        """What to negotiate with the next connection; read once for each."""
        ...

    def open(self) -> Conversation:
        """A new connection, after the negotiation; called on a libmilter thread or on the loop's."""
        ...
