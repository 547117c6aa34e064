"""The worker processes as the supervisor sees them: started, told to end, killed, reaped.

The law: no decision. Who is needed, and what follows from an end, the supervisor knows.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lumilter.config.sections.daemon import Workers as Limits
from lumilter.daemon.channel import Channel
from lumilter.daemon.forking import fork
from lumilter.daemon.ledger import Ledger
from lumilter.loop import Loop

GRACE = 5.0
"""Seconds after its deadline that a draining worker is given to end by itself."""
_SETTLED = 10.0
"""Seconds that a worker serves before its size counts."""

STARTING, SERVING, DRAINING = "starting", "serving", "draining"


@dataclass(eq=False, slots=True)
class Worker:
    """A worker process. index: its place, from 0. Times are of time.monotonic()."""

    index: int
    generation: int
    channel: Channel
    pid: int = 0
    state: str = STARTING
    loaded: bool = False
    """The scripts are loaded; it serves when it is told to."""
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    """Its last sign of life."""
    until: float = 0.0
    """When it is killed, if it is draining."""
    process: dict[str, Any] = field(default_factory=dict)
    """What it last said of itself: rss, lua_memory (bytes), sessions, messages."""
    killed_for: str = ""
    commands: Sequence[str] = ()
    """Console commands that its scripts registered."""

    def grown(self, limits: Limits, now: float) -> str:
        """Which of its limits it has reached: "rss", "messages", "age", or "" where none."""
        grown = {
            # A worker that is too large from the start would be replaced for ever.
            "rss": limits.max_rss and self.process.get("rss", 0) > limits.max_rss and now - self.started > _SETTLED,
            "messages": limits.max_messages and self.process.get("messages", 0) >= limits.max_messages,
            "age": limits.max_age and now - self.started > limits.max_age,
        }
        return next((name for name, over in grown.items() if over), "")


class Workforce:
    """The workers that run. said: gets what a worker says. ended: gets its exit status, below 0 the signal."""

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        said: Callable[[Worker, dict[str, Any]], None],
        ended: Callable[[Worker, int], None],
    ) -> None:
        self._loop, self._ledger, self._said, self._ended = loop, ledger, said, ended
        self.workers: list[Worker] = []
        self.abandon: list[Callable[[], None]] = []
        """Called in a forked worker: close what is not its own."""

    def current(self) -> list[Worker]:
        """Those that take new sessions."""
        return [worker for worker in self.workers if worker.state == SERVING]

    def begin(
        self, run: Callable[[socket.socket], int], index: int, generation: int, abandon: Iterable[Callable[[], None]]
    ) -> Worker:
        """A new one. run: all that it does, given its end of the channel. abandon: besides ours. Raises OSError."""
        ours, theirs = socket.socketpair()
        others = (worker.channel.abandon for worker in self.workers)
        try:
            pid = fork(
                lambda: run(theirs),
                (*abandon, self._loop.close, ours.close, *others, *self.abandon),
                f"worker {index}",
            )
        except OSError:
            ours.close()
            theirs.close()
            raise
        theirs.close()
        channel = Channel(self._loop, ours, lambda _, message: self._said(worker, message), lambda _: None)
        worker = Worker(index, generation, channel, pid)
        self.workers.append(worker)
        self.enter(worker, STARTING)
        return worker

    def enter(self, worker: Worker, state: str) -> None:
        """It is in that state now."""
        worker.state = state
        self._ledger.heard(worker, worker.index, state)

    def leaves(self, worker: Worker, seconds: float) -> None:
        """It ends by itself, within so many seconds."""
        worker.until = time.monotonic() + seconds + GRACE
        self.enter(worker, DRAINING)

    def drain(self, worker: Worker, seconds: float, last: bool = False) -> None:
        """Tell it to end. last: nobody else will take the connections that wait."""
        self.leaves(worker, seconds)
        worker.channel.send({"drain": {"seconds": seconds, "last": last}})

    def kill(self, worker: Worker, why: str) -> None:
        """End it at once."""
        if worker in self.workers and not worker.killed_for:
            worker.killed_for = why
            os.kill(worker.pid, signal.SIGKILL)

    def reap(self) -> None:
        """See who has ended: after SIGCHLD."""
        for worker in list(self.workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.channel.finish()  # what it said last counts, such as why it could not load
                self.workers.remove(worker)
                self._ledger.gone(worker)
                self._ended(worker, os.waitstatus_to_exitcode(status))


def end_of(code: int) -> str:
    """How a worker ended, in words."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
