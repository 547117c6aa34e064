"""libmilter's callbacks, registered: from the context object of a connection to its `Connection`.

The law: the context object owns the Connection, nothing else does; it ends with the close callback.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import Milter

from lumilter.errors import NegotiationError
from lumilter.session.events import Outcome
from lumilter.session.needs import Edits
from lumilter.wire import macros
from lumilter.wire.connection import Connection
from lumilter.wire.content import Limits
from lumilter.wire.handler import Server
from lumilter.wire.negotiation import Terms, negotiate
from lumilter.wire.refusing import Refusing

log = logging.getLogger("lumilter.wire")

_served = threading.local()
"""`.connection`: pymilter has one Python thread state for each connection, so this is the one being served."""


class _Callbacks:
    """The callbacks of one process: libmilter has no more than one filter in it."""

    def __init__(self, server: Server, limits: Limits, max_sessions: int, refuse: Outcome) -> None:
        self._server, self._limits = server, limits
        self._max_sessions, self._refusing = max_sessions, Refusing(refuse)
        self._open: set[Connection] = set()
        self._last_terms = Terms(0, 0, Edits.NONE)

    def negotiate(self, ctx: Any, offer: list[int]) -> int:
        """offer: [actions, steps, 0, 0], changed in place."""
        try:
            server: Server = self._server
            if 0 < self._max_sessions <= len(self._open):
                self._limits.on_limit("sessions")
                server = self._refusing
            terms = negotiate(server.needs, offer[0], offer[1])
            if terms.macros:
                macros.request(ctx)
            if server is self._server:
                self._last_terms = terms
                self._connection(ctx)
            else:
                ctx.setpriv(Connection(server.open(), terms, self._limits))
        except NegotiationError as error:
            log.error("a connection of the MTA is refused: %s", error)
            return int(Milter.REJECT)  # libmilter closes the connection; the MTA applies its default action
        except Exception:
            log.exception("a connection of the MTA is refused")
            return int(Milter.REJECT)
        offer[:] = [terms.actions, terms.steps, 0, 0]
        return int(Milter.CONTINUE)

    def connect(self, ctx: Any, hostname: str, family: int, address: Any) -> int:
        return self._connection(ctx).connect(ctx, hostname, family, address)

    def helo(self, ctx: Any, name: str) -> int:
        return self._connection(ctx).helo(ctx, name)

    def mail(self, ctx: Any, *arguments: bytes) -> int:
        return self._connection(ctx).mail(ctx, *arguments)

    def rcpt(self, ctx: Any, *arguments: bytes) -> int:
        return self._connection(ctx).rcpt(ctx, *arguments)

    def data(self, ctx: Any) -> int:
        return self._connection(ctx).data(ctx)

    def header(self, ctx: Any, name: str, value: bytes) -> int:
        return self._connection(ctx).header(name, value)

    def eoh(self, ctx: Any) -> int:
        return self._connection(ctx).eoh()

    def body(self, ctx: Any, chunk: bytes) -> int:
        return self._connection(ctx).body(chunk)

    def eom(self, ctx: Any) -> int:
        return self._connection(ctx).eom(ctx)

    def abort(self, ctx: Any) -> int:
        return self._connection(ctx).abort()

    def close(self, ctx: Any) -> int:
        connection: Connection | None = ctx.getpriv()
        _served.connection = None
        ctx.setpriv(None)
        if connection is None:
            return int(Milter.CONTINUE)
        self._open.discard(connection)
        return connection.close()

    def _connection(self, ctx: Any) -> Connection:
        """The connection of this context.

        After SMFIC_QUIT_NC the MTA goes on with a new client on the same socket without negotiating again: libmilter
        has closed the context and pymilter has made a new one.
        """
        connection: Connection | None = ctx.getpriv()
        if connection is None:
            connection = Connection(self._server.open(), self._last_terms, self._limits)
            self._open.add(connection)
            ctx.setpriv(connection)
            _served.connection = connection
        return connection


def _guarded(callback: Callable[..., int]) -> Callable[..., int]:
    """Never raise into pymilter, which is told to go on after an exception (see `register`)."""

    def guarded(ctx: Any, *arguments: Any) -> int:
        try:
            return callback(ctx, *arguments)
        except Exception:
            log.exception("the rest of this connection is tempfailed")
            connection: Connection | None = ctx.getpriv()
            if connection is not None:
                connection.debts.broken = True
            return int(Milter.TEMPFAIL)

    return guarded


def _exception_hook(
    before: Callable[[type[BaseException], BaseException, TracebackType | None], Any],
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """pymilter prints what it could not decode, through this hook, instead of calling us."""

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        connection: Connection | None = getattr(_served, "connection", None)
        if connection is not None and isinstance(error, UnicodeDecodeError):
            connection.undecodable(error.object)
        else:
            before(kind, error, traceback)

    return hook


def register(name: str, server: Server, limits: Limits, max_sessions: int, refuse: Outcome) -> None:
    """Register the callbacks under the filter's name; once in a process. Limits as in `server.MilterServer`."""
    callbacks = _Callbacks(server, limits, max_sessions, refuse)
    Milter.set_connect_callback(_guarded(callbacks.connect))
    Milter.set_helo_callback(_guarded(callbacks.helo))
    Milter.set_envfrom_callback(_guarded(callbacks.mail))
    Milter.set_envrcpt_callback(_guarded(callbacks.rcpt))
    Milter.set_header_callback(_guarded(callbacks.header))
    Milter.set_eoh_callback(_guarded(callbacks.eoh))
    Milter.set_body_callback(_guarded(callbacks.body))
    Milter.set_eom_callback(_guarded(callbacks.eom))
    Milter.set_abort_callback(_guarded(callbacks.abort))
    Milter.set_close_callback(_guarded(callbacks.close))
    Milter.set_exception_policy(Milter.CONTINUE)  # for _exception_hook; nothing of ours raises
    sys.excepthook = _exception_hook(sys.excepthook)
    Milter.register(name, data=_guarded(callbacks.data), negotiate=_guarded(callbacks.negotiate))
