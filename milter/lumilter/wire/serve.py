"""libmilter's main loop, its start and its end.

The law: once in a process, in the main thread; when `serve` has returned, the process ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping

import Milter

from lumilter.errors import LumilterError
from lumilter.session.events import Outcome
from lumilter.wire import drain, signals
from lumilter.wire.callbacks import register
from lumilter.wire.content import Limits
from lumilter.wire.debts import TEMPFAIL
from lumilter.wire.descriptors import is_listening, open_sockets
from lumilter.wire.handler import Server
from lumilter.wire.listener import BACKLOG, Listener, SocketAddress, bind

log = logging.getLogger("lumilter.wire")


class WireError(LumilterError):
    """libmilter did not start, or ended by itself."""


def serve(
    address: SocketAddress | None,
    server: Server,
    *,
    mode: int = 0o660,
    group: str = "",
    fd: int | None = None,
    name: str = "lumilter",
    on_ready: Callable[[], None] = lambda: None,
    on_signal: Mapping[int, Callable[[], None]] | None = None,
    stop: int | None = None,
    timeout: float = 7210,
    deadline: float | Callable[[], float] = 30.0,
    limits: Limits = Limits(),  # noqa: B008 (immutable)
    max_sessions: int = 0,
    refuse: Outcome = TEMPFAIL,
) -> int:
    """Answer MTAs until SIGTERM, SIGINT or a word on `stop`, then let the open connections end.

    address, mode, group: where to listen, as for `bind`; or fd: a listening descriptor that the parent process owns.
    on_ready: called when MTAs are answered. on_signal: what to do, in the main thread, on other signals (SIGHUP).
    stop: a descriptor that becomes readable, or ends, when it is time to leave: the way for a supervisor, whose death
    is noticed by it too.
    timeout: seconds that an MTA may be silent before its connection is given up.
    deadline: seconds that open connections are given, or what says so when it is time; another signal ends the wait.
    limits, max_sessions, refuse: as in `server.MilterServer`.
    Returns the number of connections that were cut. Raises ConfigError and WireError.
    """
    if (address is None) == (fd is None):
        raise ValueError("expected either an address or a descriptor")
    own: Listener | None = None
    if address is not None:
        own = bind(address, mode, group)
        listener = own.socket
    else:
        listener = socket.socket(fileno=fd)
        listener.setblocking(False)
    wakeup, stopped = signals.catch(
        {signal.SIGTERM: None, signal.SIGINT: None, signal.SIGHUP: None, **(on_signal or {})}
    )
    try:
        _set_packet_limit(limits.packet)
        register(name, server, limits, max_sessions, refuse)
        Milter.settimeout(max(1, round(timeout)))
        Milter.setbacklog(BACKLOG)  # libmilter calls listen() again
        descriptor = hand_over(listener)
        ended: list[BaseException] = []
        before = signals.tasks()
        threading.Thread(target=_run, args=(ended, stopped), name="libmilter", daemon=True).start()
        signals.settle(before)
        on_ready()
        signals.wait(wakeup, on_signal or {}, stop)
        if ended:
            raise WireError(f"libmilter ended: {ended[0]}")
        patience = deadline() if callable(deadline) else deadline
        return _leave(listener, own, descriptor, wakeup, time.monotonic() + patience)
    finally:
        if own is not None:
            own.remove()


def hand_over(listener: socket.socket) -> int:
    """Make libmilter listen on our socket; the descriptor that it uses.

    Debian's libmilter takes `fd:N`. An unpatched one does not: it opens a socket of the same family on its own, and
    ours is put in its place.
    """
    try:
        Milter.setconn(f"fd:{listener.fileno()}")
        Milter.opensocket(False)
        return listener.fileno()
    except Milter.error:
        return replace_socket(listener)


def replace_socket(listener: socket.socket) -> int:
    """Let libmilter open a socket that nobody knows and put `listener` on its descriptor, which is returned."""
    with tempfile.TemporaryDirectory() as directory:
        family = {socket.AF_UNIX: f"unix:{directory}/s", socket.AF_INET: "inet:0@127.0.0.1"}
        before = _listening()
        Milter.setconn(family.get(listener.family, "inet6:0@::1"))
        Milter.opensocket(False)
        (descriptor,) = _listening() - before
        os.dup2(listener.fileno(), descriptor, inheritable=False)
    return descriptor


def _listening() -> set[int]:
    return {number for number, one in open_sockets() if is_listening(one)}


def _set_packet_limit(size: int) -> None:
    """libmilter's own 65,535 drop the connection for a header of 100 kB, and pymilter has no call for that."""
    libmilter = ctypes.CDLL(Milter.milter.__file__)
    libmilter.smfi_setmaxdatasize.argtypes = [ctypes.c_size_t]
    libmilter.smfi_setmaxdatasize.restype = ctypes.c_size_t
    libmilter.smfi_setmaxdatasize(size)


def _run(ended: list[BaseException], stopped: socket.socket) -> None:
    try:
        Milter.main()
        ended.append(WireError("a signal reached its own thread, open connections were cut"))
    except BaseException as error:
        ended.append(error)
    with contextlib.suppress(OSError):  # at the very end nobody waits for it
        stopped.send(b"\0")


def _leave(listener: socket.socket, own: Listener | None, descriptor: int, wakeup: socket.socket, until: float) -> int:
    name = listener.getsockname()
    log.info("no new connections are taken")
    kept = listener.dup()
    if own is not None:
        own.remove()
        drain.empty_queue(kept, until)
    drain.stop_accepting(descriptor)
    if descriptor == listener.fileno():
        listener.detach()  # libmilter polls it to the end, and may close it itself
    else:
        listener.close()
    if own is not None:
        kept.shutdown(socket.SHUT_RDWR)  # refuse at once; libmilter's poll keeps the old socket for up to 5 s
    kept.close()
    left = drain.wait_for_connections(name, until, wakeup)
    if left:
        log.warning("%d connections are cut: they did not end in time", left)
    return left
