"""The addresses of a host, by a deadline: the system's own look-up (hosts file, DNS) knows none.

The law: whoever asks waits until the deadline; the look-up goes on in a thread that nobody waits for. There is one for
each name at a time, which all who ask meanwhile share, so that a name server that is silent holds few threads; however
many names mail makes scripts ask for, there are never more than so many.
"""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

Found = list[tuple[Any, ...]]
"""As socket.getaddrinfo has them."""
_Question = tuple[str, int, int]

_MOST = 500
"""Names that are looked up at a time. The system's look-up gives up by itself, after half a minute or so."""

_running: dict[_Question, Future[Found]] = {}
_lock = threading.Lock()


def resolved(host: str, port: int, family: int, deadline: float) -> Found:
    """The addresses. deadline: a time.monotonic() value. Raises OSError, TimeoutError when time is up."""
    try:
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):  # it is a name, or nothing
        pass
    question = host, port, family
    with _lock:
        asked = _running.get(question)
        if asked is None:
            if len(_running) >= _MOST:
                raise OSError(f"{host} can't be looked up: {_MOST} other names still are")
            asked = Future()
            thread = threading.Thread(target=_ask, args=(question, asked), name="host-name", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(f"{host} can't be looked up: {error}") from None
            _running[question] = asked
    try:
        return asked.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise TimeoutError(f"{host} was not looked up in time") from None


def _ask(question: _Question, asked: Future[Found]) -> None:
    host, port, family = question
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except Exception as error:
        _end(question)
        asked.set_exception(error if isinstance(error, OSError) else OSError(f"{host[:80]!r} is no host name"))
    else:
        _end(question)
        asked.set_result(found)


def _end(question: _Question) -> None:
    with _lock:
        del _running[question]
