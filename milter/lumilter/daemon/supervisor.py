"""The supervisor: binds the milter socket, forks the workers that serve it, and keeps their number and age right.

The law: no Lua, no mail and no thread in this process, so that it may fork at any time and no script can stop it.
Workers change in one way only: new ones are started, and once all of them serve, the old ones are told to drain. If one
does not load, the new ones go and nothing has changed. All workers of one load of the configuration are a generation.
"""

from __future__ import annotations

import functools
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lumilter.config import Config, live
from lumilter.daemon import log as logs
from lumilter.daemon import systemd
from lumilter.daemon.backoff import Backoff
from lumilter.daemon.ledger import Ledger
from lumilter.daemon.milter_socket import MilterSocket
from lumilter.daemon.state_directory import StateDirectory
from lumilter.daemon.timekeeper import Timekeeper
from lumilter.daemon.worker import Worker as Process
from lumilter.daemon.workforce import DRAINING, SERVING, STARTING, Worker, Workforce, end_of
from lumilter.errors import ConfigError, LumilterError
from lumilter.loop import Loop
from lumilter.wire.listener import Listener

log = logging.getLogger("lumilter.supervisor")

LOOK = 1.0
"""Seconds between two looks at the workers."""
_LOAD = 120.0
"""Seconds that a worker may take to load the scripts."""


@dataclass(eq=False, slots=True)
class Change:
    """New workers on their way, and the ones that drain once all of these serve. done: gets "", or what went wrong."""

    config: Config
    listener: Listener
    generation: int
    new: list[Worker]
    old: list[Worker]
    done: Callable[[str, bool], None]
    ordered: bool = False
    """All have loaded, and were told to serve."""
    modules: int = 0
    """How many modules the scripts registered."""


class Supervisor:
    """What `lumilter serve` runs. load: reads the configuration, now and for each reload; raises ConfigError."""

    def __init__(self, load: Callable[[], Config]) -> None:
        self._load = load
        self.config = load()
        self.loop = Loop(1)
        self.generation = 0
        self.started = self.loaded = time.time()
        """Seconds since the epoch; loaded: when the running generation began to serve."""
        self.last_reload: dict[str, Any] = {}
        self.ledger = Ledger()
        self.workforce = Workforce(self.loop, self.ledger, self._said, self._ended)
        self.stopping = False
        self.on_worker: Callable[[Worker], None] = lambda worker: None
        """Called when a worker begins to serve."""
        self.on_generation: Callable[[], None] = lambda: None
        """Called when new scripts serve."""
        self.on_message: Callable[[Worker, dict[str, Any]], None] = lambda worker, message: None
        """Called with what a worker says that does not concern the supervisor itself."""
        self.on_end: Callable[[Worker], None] = lambda worker: None
        """Called when a worker has ended."""
        self.changes: list[Sequence[str]] = []
        """What was set since the configuration was read."""
        self.timekeeper = Timekeeper()
        self._socket = MilterSocket()
        self._listener: Listener
        self._change: Change | None = None
        self._reloads: list[Callable[[str], None]] = []
        """Who waits for a reload that can't begin yet."""
        self._backoff = Backoff()
        self._looked = time.monotonic()
        self._failure: LumilterError | None = None
        self._status = 0

    # --- life --------------------------------------------------------------------------------------------------------

    def run(self, ready: Callable[[], None]) -> int:
        """Serve until SIGTERM or SIGINT; 0, or 1 where sessions were cut. ready: called when the first workers serve.

        Raises ConfigError or LumilterError where they can't.
        """
        logs.configure(self.config.log)
        self._listener = self._socket.open(self.config.milter, None)
        try:
            self._state = StateDirectory(self.config.state)
        except ConfigError:
            self._listener.remove()
            raise
        for number, action in (
            (signal.SIGTERM, self.stop),
            (signal.SIGINT, self.stop),
            (signal.SIGHUP, lambda: self.reload(lambda problem: None)),
            (signal.SIGCHLD, self.workforce.reap),
        ):
            signal.signal(number, functools.partial(self._signalled, action))

        def started(problem: str, configuration: bool) -> None:
            if not problem:
                ready()
            elif not self.stopping:
                self._failure = ConfigError(problem) if configuration else LumilterError(problem)
                self.stop()

        gc.collect()
        gc.freeze()  # what exists now stays shared with the workers
        self._begin(self.config, self._listener, range(self.config.milter.workers), [], started)
        self._look()
        self.loop.run()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # on the way out nothing is left to be stopped
            signal.signal(number, signal.SIG_IGN)
        self._listener.remove()
        self._state.close()
        if self._failure:
            raise self._failure
        return self._status

    def _signalled(self, action: Callable[[], None], number: int, frame: object) -> None:
        self.loop.post(action)

    def stop(self) -> None:
        """Let the sessions end within [workers] stop; a second call cuts them."""
        seconds = 0.0 if self.stopping else self.config.workers.stop
        if not self.stopping:
            self.stopping = True
            log.info("stopping: no new connections are taken, open ones have %g s to end", seconds)
            systemd.notify("STOPPING=1")
            self._listener.remove()
            self._give_up("the daemon is stopping", False)
            waiting, self._reloads = self._reloads, []
            for done in waiting:
                done("the daemon is stopping")
        for worker in self.workers:
            if worker.state == STARTING:
                self.workforce.kill(worker, "stop")
            else:
                self.workforce.drain(worker, seconds, last=True)
        self._socket.close(self._listener)
        self._end_if_alone()

    def reload(self, done: Callable[[str], None]) -> None:
        """Serve new sessions with the configuration and the scripts as they are now. done: gets "" or what is wrong."""
        if self.stopping:
            done("the daemon is stopping")
            return
        self._reloads.append(done)
        self._next()

    def restart(self, done: Callable[[str], None]) -> None:
        """Replace every worker by a new one of the same configuration."""
        if self.stopping or self._change:
            done("the daemon is stopping" if self.stopping else "workers are being changed already")
            return
        old = self.current()
        self.ledger.own.add("worker_restarts", ("asked",), len(old))
        self._begin(self.config, self._listener, [w.index for w in old], old, lambda problem, _: done(problem))

    def configure(self, words: Sequence[str]) -> live.Found:
        """Change a key until the configuration is read again; the workers are for the caller. Raises LumilterError."""
        self.config, found = live.changed(self.config, words)
        self.changes.append(words)
        logging.getLogger().setLevel(self.config.log.level.upper())
        return found

    def current(self) -> list[Worker]:
        """The workers that take new sessions."""
        return self.workforce.current()

    @property
    def workers(self) -> list[Worker]:
        """All of them."""
        return self.workforce.workers

    @property
    def listener(self) -> Listener:
        """The socket that the current generation serves."""
        return self._listener

    # --- change ------------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin what is due, unless a change is on its way already: a reload, or workers that are missing."""
        if self._change or self.stopping:
            return
        if self._reloads:
            waiting, self._reloads = self._reloads, []
            self._reload(waiting)
            return
        serving = {worker.index for worker in self.current()}
        missing = [index for index in range(self.config.milter.workers) if index not in serving]
        if missing and time.monotonic() >= self._backoff.until and self.generation:
            self._begin(self.config, self._listener, missing, [], self._filled)

    def _filled(self, problem: str, configuration: bool) -> None:
        if problem and not self.stopping:
            wait = self._backoff.ended(time.monotonic(), 0.0)
            log.error("a worker did not start: %s; %s", problem, _when(wait, self._backoff))

    def _reload(self, waiting: list[Callable[[str], None]]) -> None:
        systemd.reloading()
        begun = time.time()
        listener: Listener | None = None

        def done(problem: str, configuration: bool = True) -> None:
            self.ledger.own.add("reloads", ("failed" if problem else "ok",))
            self.last_reload = {"time": begun, "problem": problem, "generation": self.generation}
            if problem:
                log.error("the reload changed nothing: %s", problem)
                if listener not in (None, self._listener):
                    listener.remove()
                    listener.socket.close()
            if not self.stopping:
                systemd.notify("READY=1")
            for each in waiting:
                each(problem)

        try:
            config = self._load()
            self._state.check(config.state)
            listener = self._socket.open(
                config.milter, (self.config.milter, self._listener) if self.generation else None
            )
        except LumilterError as error:
            done(str(error))
        else:
            self._begin(config, listener, range(config.milter.workers), self.current(), done, self.generation + 1)

    def _begin(
        self,
        config: Config,
        listener: Listener,
        places: Iterable[int],
        old: list[Worker],
        done: Callable[[str, bool], None],
        generation: int = 0,
    ) -> None:
        self._change = change = Change(config, listener, generation or self.generation or 1, [], old, done)
        try:
            for index in places:
                change.new.append(self._start(change, index))
        except OSError as error:  # no process, no descriptor: later, perhaps
            self._give_up(f"a worker can't be started: {error}", False)

    def _loaded(self, worker: Worker, modules: int) -> None:
        """A worker has loaded; once all of its change have, they serve, and not before."""
        worker.loaded = True
        change = self._change
        if change and worker in change.new and all(new.loaded for new in change.new):
            change.ordered = True
            change.modules = modules
            for new in change.new:
                new.channel.send({"serve": True})

    def _ready(self, worker: Worker) -> None:
        worker.started = time.monotonic()
        self.workforce.enter(worker, SERVING)
        self.on_worker(worker)
        self._finish()

    def _finish(self) -> None:
        """End the change if all of its workers serve."""
        change = self._change
        if change and change.ordered and all(new.state == SERVING for new in change.new):
            self._change = None
            for old in change.old:
                if old in self.workers:
                    self.workforce.drain(old, change.config.workers.drain)
            if change.generation != self.generation:
                self._adopt(change)
            self._keep_time()
            change.done("", False)
            self._next()

    def _adopt(self, change: Change) -> None:
        """A new generation serves."""
        if change.listener is not self._listener:
            self._listener.remove()
            self._listener.socket.close()
        self.config, self._listener, self.generation = change.config, change.listener, change.generation
        self.ledger.generation = change.generation
        self.changes.clear()
        self.loaded = time.time()
        logs.configure(self.config.log)
        log.info(
            "generation %d serves: %d workers, %d modules",
            self.generation, self.config.milter.workers, change.modules,
        )  # fmt: skip
        self.on_generation()

    def _give_up(self, problem: str, configuration: bool) -> None:
        """A new worker could not start: the others of its change go too."""
        change, self._change = self._change, None
        if change:
            for worker in change.new:
                if worker.state == STARTING:
                    self.workforce.kill(worker, "change")
            change.done(problem, configuration)
            self._next()

    # --- processes ---------------------------------------------------------------------------------------------------

    def _start(self, change: Change, index: int) -> Worker:
        def run(channel: socket.socket) -> int:
            place = index, change.generation, self._state.path
            return Process(change.config, change.listener.socket, channel, *place).run()

        former = self._listener.socket if self._listener.socket is not change.listener.socket else None
        return self.workforce.begin(run, index, change.generation, [former.close] if former else [])

    def _said(self, worker: Worker, message: dict[str, Any]) -> None:
        worker.heard = time.monotonic()
        if "beat" in message:
            worker.process = message["beat"]["process"]
            self.ledger.heard(worker, worker.index, worker.state, message["beat"]["figures"])
        if "loaded" in message:
            worker.commands = message["loaded"]["commands"]
            self._loaded(worker, message["loaded"]["modules"])
        elif "ready" in message:
            self._ready(worker)
        elif "failed" in message:
            worker.killed_for = "it could not load"
            if self._change and worker in self._change.new:
                self._give_up(message["failed"]["text"], message["failed"]["configuration"])
        elif "leaving" in message and worker.state == SERVING:
            log.info("worker %d (%d) was told to end", worker.index, worker.pid)
            self.workforce.leaves(worker, self.config.workers.stop)
            self._keep_time()
            self._next()
        elif Timekeeper.says(message):
            self.timekeeper.paused(worker)
            self._keep_time()
        self.on_message(worker, message)

    def _keep_time(self) -> None:
        serving = [worker for worker in self.current() if worker.generation == self.generation]
        self.timekeeper.look(serving, self.workers, self.config.timers.workers == "all")

    def _ended(self, worker: Worker, code: int) -> None:
        """A worker is gone."""
        if code and worker.state == DRAINING:
            log.warning("worker %d (%d) %s while it was draining", worker.index, worker.pid, end_of(code))
            if self.stopping:
                self._status = 1
        self.on_end(worker)
        self._keep_time()
        if self._change and worker in self._change.new:
            if self._change.ordered and len(self._change.new) > 1:
                self._change.new.remove(worker)  # the others serve already
                self._finish()
            else:
                self._give_up(f"worker {worker.index} {end_of(code)} while it was starting", False)
        if worker.state == SERVING:
            why = worker.killed_for or "died"
            self.ledger.own.add("worker_restarts", (why,))
            wait = self._backoff.ended(time.monotonic(), time.monotonic() - worker.started)
            log.error("worker %d (%d) %s; %s", worker.index, worker.pid, end_of(code), _when(wait, self._backoff))
        self._next()
        self._end_if_alone()

    def _end_if_alone(self) -> None:
        if self.stopping and not self.workers:
            self.loop.stop()

    # --- looks -------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Every second: who is stuck, who has grown, whose time to drain is over, who is missing."""
        now, limits = time.monotonic(), self.config.workers
        if now - self._looked > 3 * LOOK:  # we were held up, and have not heard what they said meanwhile
            for worker in self.workers:
                worker.heard = now
        self._looked = now
        self.loop.at(now + LOOK, self._look)
        for worker in self.workers:
            if worker.state == STARTING:
                if now - worker.started > _LOAD and self._change and worker in self._change.new:
                    self._give_up(f"worker {worker.index} did not load within {_LOAD:g} s", False)
            elif worker.until and now > worker.until:
                log.warning("worker %d (%d) is killed: its sessions did not end in time", worker.index, worker.pid)
                self.workforce.kill(worker, "drain")
            elif now - worker.heard > limits.stuck:
                log.error(
                    "worker %d (%d) is killed: no sign of life for %g s; a script is stuck where it can't be stopped",
                    worker.index, worker.pid, limits.stuck,
                )  # fmt: skip
                self.workforce.kill(worker, "stuck")
        self._replace_grown(now)
        self._next()

    def _replace_grown(self, now: float) -> None:
        for worker in self.current():
            if self._change or self.stopping or now < self._backoff.until:
                return
            why = worker.grown(self.config.workers, now)
            if why:
                log.info("worker %d (%d) is replaced: it has reached [workers] max_%s", worker.index, worker.pid, why)
                self.ledger.own.add("worker_restarts", (why,))
                self._begin(self.config, self._listener, [worker.index], [worker], self._filled)


def _when(wait: float, backoff: Backoff) -> str:
    if not wait:
        return "a new one is started"
    return f"{backoff.failures} ended in a row, the next is started in {wait:.1f} s"
