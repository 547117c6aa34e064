"""A new process that has nothing to do with what the forking one was about to do.

The law: no handler, no clean-up and no descriptor of the forking process is used in the new one, not even on its way
out.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable

log = logging.getLogger("lumilter.supervisor")

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_FAILED = 70


def fork(run: Callable[[], int], abandon: Iterable[Callable[[], None]], what: str) -> int:
    """The process id. Raises OSError.

    run: gives the new process's exit status. abandon: called there before: close what is not its own. what: the log
    calls it that.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)  # none may reach our handlers in the new process
    try:
        pid = os.fork()
        if pid == 0:
            _live(run, abandon, what)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    return pid


def _live(run: Callable[[], int], abandon: Iterable[Callable[[], None]], what: str) -> None:
    """All that the new process does; it does not return."""
    status = _FAILED
    try:
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole group: the supervisor decides
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        for each in abandon:
            each()
        status = run()
    except BaseException:
        log.exception("%s failed", what)
    finally:
        logging.shutdown()
        os._exit(status)
