"""A worker process: one Lua state, one loop, sessions of MTAs from a socket that the supervisor bound.

The law: it takes orders from nobody but the supervisor at the other end of its channel, and ends when that is gone.

    it says                                       it is told
    {"loaded": {...}}  it waits for the order     {"serve": true}                           begin to
    {"ready": true}    MTAs are served            {"drain": {"seconds": s, "last": bool}}   end, by then at the latest
    {"failed": {...}}  it could not load, it ends {"beat": n}                               say one at once
    {"beat": {...}}    every second or "asked": n {"trace": [...]}, {"record": [...]}       networks of clients
    {"trace": {...}}   what was asked for         {"timers": bool}                          fire them, or no more
    {"timers": "paused"}  none of them runs       {"run": {...}}                            a command (console)
    {"said": {...}}    what that printed          {"set": [...]}                            another value of a key
    {"set": [...]}     a script set a key
    {"leaving": true}  somebody else told it to end
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lumilter.config import Config
from lumilter.daemon import log as logs
from lumilter.daemon import observers
from lumilter.daemon.channel import Channel
from lumilter.daemon.console import Console
from lumilter.daemon.engine import Engine
from lumilter.daemon.live import LiveSettings
from lumilter.daemon.mail import Mailer
from lumilter.daemon.metrics import Meter, resident
from lumilter.daemon.record import Recorder
from lumilter.daemon.setup import adjust, setup_of
from lumilter.daemon.shared_state import open_state, sweep
from lumilter.daemon.trace import Tracer
from lumilter.daemon.warming import warm
from lumilter.daemon.wires import make_wire
from lumilter.errors import ConfigError, ScriptError
from lumilter.loop import Loop

log = logging.getLogger("lumilter.worker")

BEAT = 1.0
"""Seconds between two signs of life."""


class Worker:
    """The process, once it was forked. channel: to the supervisor. index: its place among the workers.

    state: directory of what the workers share.
    """

    def __init__(
        self, config: Config, listener: socket.socket, channel: socket.socket, index: int, generation: int, state: Path
    ) -> None:
        self._config, self._listener = config, listener
        self._index, self._generation, self._directory = index, generation, state
        self._meter = Meter()
        self._tracer = Tracer(lambda record: self._channel.send({"trace": record}))
        self._recorder = Recorder(config.record.directory, config.record.networks, generation)
        self._loop = Loop(config.limits.lookups, self._meter.delay)
        self._loop.alive = self._say_beat
        self._channel = Channel(self._loop, channel, self._told, lambda channel: self._orphaned())
        self._ready = self._draining = False
        self._ordered: Callable[[Any], None]
        self._settings: LiveSettings
        self._console: Console

    def run(self) -> int:
        """Serve until the end; the exit status: 1 where sessions were cut, 70 or 78 where nothing could be loaded."""
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(f"lumilter/{self._index}")
        signal.signal(signal.SIGTERM, lambda *_: self._loop.post(self._leave))
        try:
            logs.configure(self._config.log, worker=self._index, generation=self._generation)
            self._wire = make_wire(self._config, self._loop, self._listener, self._meter.limit)
            observe = observers.in_order(self._meter.observe, self._tracer.observe, self._recorder.observe)
            state = open_state(self._config, self._directory)
            self._engine = Engine(setup_of(self._config, observe=observe, state=state), self._loop)
            warm(self._engine.setup.services, self._engine.host.state.sources.values())
            settings = self._engine.setup.services.settings
            assert isinstance(settings, LiveSettings)
            self._settings = settings
            settings.on_set = self._set_by_script
            observers.watch(self._engine, self._loop, self._meter, lambda: settings.config.log.slow_hook)
            self._console = Console(self._engine, self._channel.send)
        except Exception as error:
            return self._failed(error)
        self._loop.call(self._await_order)
        mail = self._engine.setup.services.mail
        if isinstance(mail, Mailer):
            mail.on_event = self._meter.mail
            mail.start()
        sweep(self._loop, self._engine.setup.services.state)
        self._wire.serve(self._engine, lambda: self._loop.post(self._serving))
        cut = self._wire.run()
        shared = self._engine.setup.services.state.places.shared
        if shared is not None:
            shared.close()  # what is on its way goes out; before the message that may still be on its way, too
        if isinstance(mail, Mailer):
            mail.stop()
        self._engine.setup.services.datasources.close()
        self._say_beat()
        self._channel.flush(1.0)
        return 1 if cut else 0

    def _failed(self, error: Exception) -> int:
        expected = isinstance(error, ConfigError | ScriptError)
        if not expected:
            log.error("the scripts could not be loaded", exc_info=error)

        def say(answer: Callable[[Any], None]) -> None:
            self._channel.send({"failed": {"text": str(error), "configuration": expected}})
            answer(None)

        self._loop.call(say)
        self._channel.flush(5.0)
        return 78 if expected else 70

    # --- the supervisor ----------------------------------------------------------------------------------------------

    def _await_order(self, go_on: Callable[[Any], None]) -> None:
        """Until all workers of a change have loaded none of them serves."""
        self._ordered = go_on
        host = self._engine.host
        self._channel.send({"loaded": {"modules": len(host.modules), "commands": host.controls.names()}})

    def _set_by_script(self, words: Sequence[str]) -> None:
        adjust(self._engine, self._settings.config)
        self._channel.send({"set": list(words)})

    def _serving(self) -> None:
        self._ready = True
        self._channel.send({"ready": True})
        self._beats()

    def _beats(self) -> None:
        self._say_beat()
        self._loop.at(time.monotonic() + BEAT, self._beats)

    def _say_beat(self, asked: int = -1) -> None:
        """Our figures; asked: the number of the question that they answer."""
        if not self._ready:
            return
        process = {
            "rss": resident(),
            "python_blocks": sys.getallocatedblocks(),
            "lua_memory": self._engine.host.state.memory_used,
            "sessions": self._wire.open,
            "messages": self._engine.messages,
        }
        self._channel.send({"beat": {"process": process, "figures": self._meter.snapshot()}, "asked": asked})

    def _told(self, channel: Channel, message: dict[str, Any]) -> None:
        if "serve" in message:
            self._ordered(None)
        if "drain" in message:
            self._drain(message["drain"]["seconds"], message["drain"]["last"])
        if "beat" in message:
            self._say_beat(message["beat"])
        if "trace" in message:
            self._tracer.watch(message["trace"])
        if "record" in message:
            self._recorder.watch(message["record"])
        if "run" in message:
            self._console.run(message["run"]["id"], message["run"]["words"])
        if "set" in message:
            self._settings.adopt(message["set"])
            adjust(self._engine, self._settings.config)
        if message.get("timers") is True and not self._draining:
            self._engine.host.timers.activate()
        if message.get("timers") is False:
            self._engine.host.timers.pause(lambda: self._channel.send({"timers": "paused"}))

    def _orphaned(self) -> None:
        if not self._draining:
            log.error("the supervisor is gone: this worker ends when its sessions have ended")
        self._drain(self._config.workers.stop, last=True)

    def _leave(self) -> None:
        self._channel.send({"leaving": True})
        self._drain(self._config.workers.stop, last=False)

    def _drain(self, seconds: float, last: bool) -> None:
        """Take no new connections and end with the open ones. last: nobody else will take those that wait."""
        if not self._ready:
            os._exit(0)  # still loading: there is nothing to finish
        self._draining = True
        self._engine.host.timers.pause(lambda: None)
        mail = self._engine.setup.services.mail
        if isinstance(mail, Mailer):
            self._loop.pool.submit(mail.stop)  # a worker that stays has the outbox from now on
        self._wire.drain(time.monotonic() + seconds, last)
