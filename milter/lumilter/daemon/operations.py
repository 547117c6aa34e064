"""What an operator can ask of the daemon: the verbs of `lumilter ctl`, the pages for monitoring, systemd's watchdog.

The law: questions and orders to the supervisor, and nothing that it needs to do its work.
"""

from __future__ import annotations

import ipaddress
import itertools
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lumilter import __version__
from lumilter.daemon import systemd
from lumilter.daemon.commands import Commands
from lumilter.daemon.control import EX_USAGE, Control, Request
from lumilter.daemon.ledger import CONTENT_TYPE
from lumilter.daemon.page import Answer, Pages
from lumilter.daemon.probe import Probe
from lumilter.daemon.supervisor import Supervisor
from lumilter.daemon.trace import Network, is_of
from lumilter.daemon.workforce import Worker
from lumilter.errors import LumilterError
from lumilter.wire.listener import bind

log = logging.getLogger("lumilter.supervisor")

EX_CONFIG = 78
_PROBE = 10.0
"""Seconds that a worker may take to negotiate with us."""
_FRESH = 2.0
"""Seconds that workers are given to say their figures; who is slower is shown as it was when it spoke last."""
_EVERYBODY = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


class Operations:
    """The sockets and the verbs around a supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor, self._loop = supervisor, supervisor.loop
        self._traces: dict[Request, list[Network]] = {}
        self._recording: list[Network] = []
        self._services: list[Control | Pages] = []
        self._probes: set[Probe] = set()
        self._numbers = itertools.count()
        self._questions: dict[int, _Question] = {}
        self._commands = Commands(supervisor, self.reload, self._fresh)
        supervisor.on_worker = self._inform
        supervisor.on_message = self._said
        supervisor.on_end = self._commands.gone
        supervisor.on_generation = lambda: self._recording.clear()
        supervisor.workforce.abandon.append(self._abandon)

    # --- sockets -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Bind the sockets of the configuration. Raises ConfigError."""
        config = self._supervisor.config
        address = config.control_address()
        if address is not None:
            listener = bind(address, config.control.socket_mode, config.control.socket_group)
            verbs = {
                "status": self.status,
                "reload": self.reload,
                "restart": self.restart,
                "health": self.health,
                "metrics": self.metrics,
                "trace": self.trace,
                "record": self.record,
            }
            self._services.append(Control(self._loop, listener, verbs, self._commands.run))
        if config.metrics.socket is not None:
            listener = bind(config.metrics.socket, config.metrics.socket_mode, config.metrics.socket_group)
            self._services.append(
                Pages(self._loop, listener, {"/metrics": self._metrics_page, "/health": self._health_page})
            )

    def close(self) -> None:
        """Give the sockets back."""
        for service in self._services:
            service.close()

    def _abandon(self) -> None:
        for each in (*self._services, *self._probes):
            each.abandon()

    def feed_watchdog(self) -> None:
        """Tell systemd that all is well, as often as it wants and only while our own milter socket negotiates."""
        every = systemd.watchdog()
        if not every:
            return

        def answered(problem: str) -> None:
            if problem:
                log.error("systemd's watchdog is not fed: %s", problem)
            else:
                systemd.notify("WATCHDOG=1")

        def probe() -> None:
            self._loop.at(time.monotonic() + every, probe)
            if not self._supervisor.stopping:
                self._probe(min(_PROBE, every), answered)

        probe()

    def _probe(self, seconds: float, answer: Callable[[str], None]) -> None:
        def answered(problem: str) -> None:
            self._probes.discard(probe)
            answer(problem)

        probe = Probe(self._loop, self._supervisor.listener.socket, seconds, answered)
        self._probes.add(probe)

    # --- verbs -------------------------------------------------------------------------------------------------------

    def status(self, request: Request) -> None:
        """Everything about the daemon as one object."""

        def answer() -> None:
            request.data(self._state())
            request.end()

        self._fresh(answer)

    def _state(self) -> dict[str, Any]:
        supervisor, now = self._supervisor, time.monotonic()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "socket": str(supervisor.config.milter.socket),
            "config": supervisor.config.file,
            "started": supervisor.started,
            "generation": supervisor.generation,
            "loaded": supervisor.loaded,
            "last_reload": supervisor.last_reload or None,
            "stopping": supervisor.stopping,
            "totals": (totals := supervisor.ledger.summary()),
            "restarts": totals.pop("restarts"),
            "workers": [
                {
                    "index": worker.index,
                    "pid": worker.pid,
                    "state": worker.state,
                    "generation": worker.generation,
                    "age": round(now - worker.started, 3),
                    **worker.process,
                }
                for worker in supervisor.workers
            ],
        }

    def reload(self, request: Request) -> None:
        """Load configuration and scripts anew; ends when they serve, or with what is wrong with them."""

        def done(problem: str) -> None:
            if not problem:
                request.text(f"generation {self._supervisor.generation} serves")
            request.end(EX_CONFIG if problem else 0, problem)

        self._supervisor.reload(done)

    def restart(self, request: Request) -> None:
        """Replace all workers by new ones."""
        self._supervisor.restart(lambda problem: request.end(1 if problem else 0, problem))

    def health(self, request: Request) -> None:
        """0 if a worker negotiates with us."""
        self._healthy(lambda problem: request.end(1 if problem else 0, problem))

    def _healthy(self, answer: Callable[[str], None], seconds: float = _PROBE) -> None:
        if self._supervisor.stopping:
            answer("the daemon is stopping")
        else:
            self._probe(seconds, answer)

    def metrics(self, request: Request) -> None:
        """All figures, as at /metrics."""

        def answer() -> None:
            request.text(self._supervisor.ledger.exposition().decode())
            request.end()

        self._fresh(answer)

    def _metrics_page(self, answer: Answer) -> None:
        self._fresh(lambda: answer(200, CONTENT_TYPE, self._supervisor.ledger.exposition()))

    def _health_page(self, answer: Answer) -> None:
        def said(problem: str) -> None:
            answer(503 if problem else 200, "text/plain; charset=utf-8", (problem or "ok").encode() + b"\n")

        self._healthy(said, _PROBE / 2)  # before the client of the page is given up

    def trace(self, request: Request) -> None:
        """Every event of some clients' sessions as it happens, until the asker is gone. args: client."""
        networks = self._asked_networks(request)
        if networks is None:
            return
        self._traces[request] = networks
        self._tell("trace")

        def gone() -> None:
            del self._traces[request]
            self._tell("trace")

        request.on_end = gone

    def record(self, request: Request) -> None:
        """Save the sessions of some clients from now on, until the next reload. args: client, on."""
        if not self._supervisor.config.record.directory:
            request.end(EX_CONFIG, "[record] directory is not set: there is nowhere to save sessions")
            return
        networks = self._asked_networks(request)
        if networks is None:
            return
        chosen = set(networks)
        self._recording = [*(n for n in self._recording if n not in chosen), *(networks if request.args["on"] else [])]
        self._tell("record")
        request.text(f"recording {', '.join(map(str, self._recording)) or 'no more than the configuration says'}")
        request.end()

    def _asked_networks(self, request: Request) -> list[Network] | None:
        """The networks of --client; all clients without it; None if it is none, which the asker was told."""
        given = request.args.get("client")
        try:
            return [ipaddress.ip_network(given, strict=False)] if given else list(_EVERYBODY)
        except ValueError as error:
            request.end(EX_USAGE, f"--client: expected an address or a network, got {given!r}: {error}")
            return None

    # --- workers -----------------------------------------------------------------------------------------------------

    def _inform(self, worker: Worker) -> None:
        """A new worker is told what is being looked at."""
        worker.channel.send(self._wanted("trace"))
        worker.channel.send(self._wanted("record"))
        if worker.generation == self._supervisor.generation:
            for words in self._supervisor.changes:
                worker.channel.send({"set": list(words)})

    def _tell(self, what: str) -> None:
        for worker in self._supervisor.workers:
            worker.channel.send(self._wanted(what))

    def _wanted(self, what: str) -> dict[str, list[str]]:
        networks = self._recording if what == "record" else [n for each in self._traces.values() for n in each]
        return {what: sorted(map(str, set(networks)))}

    def _said(self, worker: Worker, message: dict[str, Any]) -> None:
        if "said" in message:
            self._commands.said(worker, message["said"])
        if "set" in message:
            try:
                self._commands.set(message["set"], worker)
            except LumilterError as error:
                log.error("worker %d could not configure the others: %s", worker.index, error)
        record = message.get("trace")
        if record:
            for request, networks in list(self._traces.items()):
                if is_of(record["client"], networks):
                    request.data({**record, "worker": worker.index})
        question = self._questions.get(message.get("asked", -1))
        if question:
            question.asked.discard(worker)
            if not question.asked:
                question.go_on()

    def _fresh(self, then: Callable[[], None]) -> None:
        """Ask the workers for their figures, and go on once all have said them, or after _FRESH seconds."""
        number, asked = next(self._numbers), set(self._supervisor.current())

        def go_on() -> None:
            timer.cancel()
            del self._questions[number]
            then()

        timer = self._loop.at(time.monotonic() + _FRESH, go_on)
        self._questions[number] = _Question(asked, go_on)
        for worker in asked:
            worker.channel.send({"beat": number})
        if not asked:
            go_on()


@dataclass(slots=True)
class _Question:
    """Workers that were asked for their figures and have not answered, and what is done when all have."""

    asked: set[Worker]
    go_on: Callable[[], None]
