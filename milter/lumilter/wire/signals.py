"""Signals beside libmilter.

The law: libmilter's own signal thread, which stops without draining, must not get one. The kernel gives a signal of the
process to the main thread, if that has it unblocked and no other signal on the way, else to the next such thread in the
order of their creation. So libmilter runs on a thread of its own, the main thread stays with Python, and threads that
are older than libmilter's stand in for it.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lumilter.wire.descriptors import readable

log = logging.getLogger("lumilter.wire")


def tasks() -> set[Path]:
    """The threads of this process."""
    return set(Path("/proc/self/task").iterdir())


def catch(handled: Mapping[int, object]) -> tuple[socket.socket, socket.socket]:
    """Signals arrive as bytes on the first socket; the second is the sending end."""
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
    never = threading.Event()
    for number in handled:
        signal.signal(number, lambda *_: None)
        threading.Thread(target=never.wait, name="stands in for signals", daemon=True).start()
    return receiver, sender


def settle(before: set[Path]) -> None:
    """Wait, a second at most, until libmilter's threads sleep: a signal that comes earlier can reach the wrong one.

    before: `tasks()` from before they were started.
    """
    until = time.monotonic() + 1
    while time.monotonic() < until:
        new = tasks() - before
        if len(new) > 1 and all(map(_sleeps, new)):
            return
        time.sleep(0.001)


def _sleeps(task: Path) -> bool:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
    except OSError:
        return True


def wait(wakeup: socket.socket, on_signal: Mapping[int, Callable[[], None]], stop: int | None) -> None:
    """Until SIGTERM, SIGINT, a word on `stop` or the end of libmilter."""
    while True:
        readable(wakeup, *([] if stop is None else [stop]))
        if stop is not None and readable(stop, seconds=0):
            return
        for number in wakeup.recv(64):
            if number in on_signal:
                on_signal[number]()
            elif number == signal.SIGHUP:
                log.info("SIGHUP: nothing to do")
            else:
                return
