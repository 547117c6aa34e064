"""A real wire in a process of its own (libmilter runs once in a process), answering by a plan.

The law: the parent describes with plain, picklable data; what the conversation was told comes back through a pipe.
Run as `python -m support.wire_server` by `WireServer`, not by hand.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from lumilter.session.events import CONTINUE, EndOfMessage, Event, Helo, Mail, Outcome, Rcpt
from lumilter.session.needs import Needs

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Address:
    """A socket address as the configuration would give it."""

    family: str
    path: str = ""
    host: str = "127.0.0.1"
    port: int = 0

    @property
    def target(self) -> str | tuple[str, int]:
        """What a client connects to."""
        return self.path if self.family == "unix" else (self.host, self.port)


@dataclass(frozen=True)
class Plan:
    """answers: an event's class name, or that and its address or name ("Rcpt <a@b>"), to an outcome; "raise" instead of
    an outcome raises. What is not named continues. sleep: seconds before each answer to the named class."""

    needs: Needs = field(default_factory=Needs)
    answers: Mapping[str, Outcome | str] = field(default_factory=dict)
    sleep: Mapping[str, float] = field(default_factory=dict)
    deadline: float = 2.0
    mode: int = 0o660
    wire: str = "libmilter"
    """Or "python"."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the Python wire's MilterServer."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Of one message, for the Python wire. Each limit that is hit is a line in the log: "limit: spool"."""
    adopt_by_dup2: bool = False
    """Go the way of a libmilter that does not know `fd:`."""


@dataclass
class WireServer:
    """A context manager: the process, started and ready. events: (number of the conversation, event) in order."""

    address: Address
    plan: Plan = field(default_factory=Plan)
    listener: int | None = None
    """Descriptor of a listening socket to inherit instead of binding `address`."""
    events: list[tuple[int, Event]] = field(default_factory=list, init=False)

    def __enter__(self) -> WireServer:
        reading, writing = os.pipe()
        stopping, self._stop = os.pipe()
        inherited = [writing, stopping] if self.listener is None else [writing, stopping, self.listener]
        paths = os.pathsep.join((str(ROOT / "milter"), str(ROOT / "tests")))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.wire_server", str(writing), str(stopping)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=inherited,
            env={**os.environ, "PYTHONPATH": paths},
        )
        os.close(writing)
        os.close(stopping)
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps((self.address, self.plan, self.listener)))
        self._process.stdin.close()
        self._ready = threading.Event()
        self._log: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_events, args=(reading,)),
            threading.Thread(target=self._read_log),
        ]
        for reader in self._readers:
            reader.start()
        if not self._ready.wait(20) or self._process.poll() is not None:
            self.stop()
            raise RuntimeError(f"the wire did not start: {self.log}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _read_events(self, descriptor: int) -> None:
        with open(descriptor, "rb") as stream:
            while True:
                try:
                    record = pickle.load(stream)
                except EOFError:
                    self._ready.set()
                    return
                if record == "ready":
                    self._ready.set()
                else:
                    self.events.append(record)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line.decode())

    @property
    def log(self) -> str:
        """What the process wrote to its log so far."""
        return "".join(self._log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def let_go(self) -> None:
        """Tell it to stop as a supervisor does, by its death or by closing the pipe."""
        os.close(self._stop)
        self._stop = -1

    def stop(self) -> int:
        """SIGTERM, unless it has ended; its exit status, which is the number of connections that were cut."""
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Its exit status."""
        try:
            status = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        for reader in self._readers:
            reader.join()
        if self._stop >= 0:
            self.let_go()
        return status

    def told(self, number: int | None = None) -> list[Event]:
        """The events, all or those of one conversation; complete only after `stop`."""
        return [event for each, event in self.events if number in (None, each)]


class _Recorder:
    """The scripted Server, in the process of the wire."""

    def __init__(self, plan: Plan, descriptor: int) -> None:
        self.needs = plan.needs
        self.plan = plan
        self.loop: Any = None
        self._out = open(descriptor, "wb", buffering=0)  # noqa: SIM115 (open as long as the process)
        self._lock = threading.Lock()
        self._count = 0

    def write(self, record: object) -> None:
        packet = memoryview(pickle.dumps(record))
        with self._lock:
            while packet:
                packet = packet[self._out.write(packet) :]

    def open(self) -> _Conversation:
        with self._lock:
            self._count += 1
            return _Conversation(self, self.plan, self._count)


class _Conversation:
    def __init__(self, recorder: _Recorder, plan: Plan, number: int) -> None:
        self._recorder, self._plan, self._number = recorder, plan, number

    def handle(self, event: Event) -> Outcome:
        self._tell(event)
        time.sleep(self._plan.sleep.get(type(event).__name__, 0))
        return self._outcome(event)

    def start(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        self._tell(event)
        sleep = self._plan.sleep.get(type(event).__name__)
        if sleep is None:
            answer(self._outcome(event))
        else:
            assert self._recorder.loop is not None
            self._recorder.loop.at(time.monotonic() + sleep, lambda: answer(self._outcome(event)))

    def _tell(self, event: Event) -> None:
        if isinstance(event, EndOfMessage) and isinstance(event.body, memoryview):
            logging.info("a spooled body, read-only: %s", event.body.readonly)
            event = replace(event, body=bytes(event.body))
        self._recorder.write((self._number, event))

    def _outcome(self, event: Event) -> Outcome:
        name = type(event).__name__
        argument = {Helo: "name", Mail: "address", Rcpt: "address"}.get(type(event))
        special = f"{name} {getattr(event, argument)}" if argument else name
        answer = self._plan.answers.get(special, self._plan.answers.get(name, CONTINUE))
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer


def _serve_libmilter(recorder: _Recorder, address: Address | None, fd: int | None, stop: int) -> int:
    from lumilter.wire import serve as wire

    plan = recorder.plan
    if plan.adopt_by_dup2:
        wire.hand_over = wire.replace_socket
    return wire.serve(
        address,
        recorder,
        mode=plan.mode,
        fd=fd,
        on_ready=lambda: recorder.write("ready"),
        on_signal={signal.SIGUSR1: lambda: logging.info("SIGUSR1 was handled")},
        stop=stop,
        deadline=plan.deadline,
    )


def _serve_python(recorder: _Recorder, address: Address | None, fd: int | None, stop: int) -> int:
    """As a worker does it: the wire on the loop, a drain when it is told to end, a cut when that takes too long."""
    from lumilter.loop import Loop
    from lumilter.wire.content import Limits
    from lumilter.wire.listener import bind
    from lumilter.wire.server import MilterServer

    plan, cut, leaving = recorder.plan, 0, False
    own = bind(address, plan.mode) if address is not None else None
    listener = own.socket if own is not None else socket.socket(fileno=fd)
    recorder.loop = loop = Loop()
    limits = Limits(on_limit=lambda name: logging.info("limit: %s", name), **plan.limits)
    server = MilterServer(loop, listener, recorder, **{"timeout": 7210, "limits": limits, **plan.options})

    def cut_all() -> None:
        nonlocal cut
        cut = server.cut()
        logging.warning("%d connections are cut: they did not end in time", cut)

    def leave() -> None:
        nonlocal leaving
        if leaving:
            cut_all()
            return
        leaving = True
        loop.unwatch(stop)
        logging.info("no new connections are taken")
        if own is not None:
            own.remove()
        server.drain(loop.stop, last=own is not None)
        loop.at(time.monotonic() + plan.deadline, cut_all)

    def signalled() -> None:
        for number in wakeup.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                leave()

    wakeup, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGUSR1, lambda *_: logging.info("SIGUSR1 was handled"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    loop.watch(wakeup, signalled)
    loop.watch(stop, leave)
    recorder.write("ready")
    loop.run()
    return cut


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(levelname)s %(message)s")
    gc.disable()
    address, plan, listener = pickle.loads(sys.stdin.buffer.read())
    recorder = _Recorder(plan, int(sys.argv[1]))
    serve = _serve_python if plan.wire == "python" else _serve_libmilter
    status = serve(recorder, address if listener is None else None, listener, int(sys.argv[2]))
    if plan.wire == "python":
        assert "Milter" not in sys.modules, "the Python wire has imported pymilter"
    sys.exit(status)


if __name__ == "__main__":
    from support.wire_server import main as imported_main  # pickle needs the classes under their importable name

    imported_main()
