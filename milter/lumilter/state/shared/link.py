"""The one connection of a process to Redis: operations go out in order, several at a time, and their answers come back.

The law: an operation is sent once. Whether one that was on its way when the connection broke was done is not known, so
it fails and is not tried again. While the server is away nothing waits for it: operations fail at once, and once a
second it is tried whether it is back.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from lumilter.state.contract import StateError
from lumilter.state.shared import scripts
from lumilter.state.shared.sending import is_away, sent
from lumilter.state.shared.server import Address, Server, connected, nodes

T = TypeVar("T")

Argument = bytes | str | int

_AT_ONCE = 256
"""Operations that go out together."""
_WAITING = 20_000
"""Operations that wait to go out, at most."""
_TRY = 1.0
"""Seconds between two tries while the server is away."""


@dataclass(frozen=True, slots=True)
class _Operation:
    script: str
    keys: Sequence[bytes]
    arguments: Sequence[Argument]
    done: Future[Any]


class Link:
    """Any thread. on_connect: called on the link's own thread when the server is there, first or again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.on_connect: Callable[[], None] = lambda: None
        self.tick: Callable[[], None] = lambda: None
        """Called about once a second on the link's thread, while the server is there."""
        self._queue: deque[_Operation] = deque()
        self._ready = threading.Condition()
        self._client: Any = None
        self._nodes: list[Address] = []
        self._shas: dict[str, str] = {}
        self._problem = "it has not answered yet"
        """Why the server is away; "" while it is not."""
        self._looked = threading.Event()
        self._ending = False
        self._ticked = 0.0
        self._thread = threading.Thread(target=self._run, name="redis", daemon=True)
        self._thread.start()
        self._looked.wait(server.timeout + 1)  # what comes first is to find it, if it is there

    def submit(self, script: str, keys: Sequence[bytes], *arguments: Argument) -> Future[Any]:
        """Have a script run; a StateError or its answer is in the future. keys: all with the same hash tag."""
        done: Future[Any] = Future()
        with self._ready:
            if self._problem or self._ending or len(self._queue) >= _WAITING:
                problem = self._problem or ("it is left" if self._ending else "too much is waiting for it")
            else:
                self._queue.append(_Operation(script, keys, arguments, done))
                self._ready.notify()
                return done
        done.set_exception(StateError(f"{self.server}: {problem}"))
        return done

    def ask(self, script: str, keys: Sequence[bytes], *arguments: Argument, read: Callable[[Any], T]) -> T:
        """What `read` makes of a script's answer. Raises StateError."""
        return self.wait(self.submit(script, keys, *arguments), read)

    def wait(self, future: Future[Any], read: Callable[[Any], T]) -> T:
        """The same for what is in a future of `submit`. Raises StateError."""
        try:
            answer = future.result(4 * self.server.timeout + 1)
        except TimeoutError:
            raise StateError(f"{self.server}: it does not answer") from None
        try:
            return read(answer)
        except (TypeError, ValueError, AttributeError):
            raise StateError(f"{self.server}: it is none of ours, or no Redis: {answer!r:.80}") from None

    def scan(self, pattern: bytes) -> list[bytes]:
        """Names of keys. Raises StateError. On a connection of its own: it takes long."""
        try:
            with contextlib.closing(connected(self.server, self._nodes)) as client:
                return list(client.scan_iter(match=pattern, count=1000))
        except Exception as error:  # redis-py raises of its own and the socket's
            raise StateError(f"{self.server}: {error}") from error

    def close(self) -> None:
        """Send what waits, and leave."""
        with self._ready:
            self._ending = True
            self._ready.notify()
        self._thread.join(2 * self.server.timeout + 1)

    # --- its own thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._look()
        self._looked.set()
        while True:
            with self._ready:
                if not self._queue and not self._ending:
                    self._ready.wait(_TRY)
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _AT_ONCE))]
                if not batch and self._ending:
                    break
            if batch:
                self._perform(batch)
            if time.monotonic() > self._ticked + _TRY:
                self._ticked = time.monotonic()
                if self._problem:
                    self._look()
                else:
                    self.tick()
        if self._client is not None:
            with contextlib.suppress(Exception):
                self._client.close()

    def _look(self) -> None:
        """Whether the server is there."""
        try:
            if self._client is None:
                self._client = connected(self.server, self._nodes)
            self._client.ping()
            for script in scripts.ALL:  # one that it learned too late would run after what follows it
                self._client.script_load(script)
        except Exception as error:  # redis-py raises of its own and the socket's
            self._gone(error)
            return
        self._nodes = nodes(self._client) or self._nodes
        with self._ready:
            self._problem = ""
        self.on_connect()

    def _perform(self, batch: Sequence[_Operation]) -> None:
        from redis.exceptions import NoScriptError

        answers = self._send(batch)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # SCRIPT FLUSH, or another server has taken over; nothing of these was done
            again = [batch[at] for at in unknown]
            for at, answer in zip(unknown, self._told(again), strict=True):
                answers[at] = answer
        lost = next(filter(is_away, answers), None)
        if lost is not None:
            self._gone(lost)
        for operation, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                operation.done.set_exception(StateError(f"{self.server}: {answer or type(answer).__name__}"))
            else:
                operation.done.set_result(answer)

    def _told(self, batch: Sequence[_Operation]) -> list[Any]:
        """The same after the server was told the scripts."""
        try:
            for script in {operation.script for operation in batch}:
                self._client.script_load(script)
        except Exception as error:
            return [error] * len(batch)
        return self._send(batch)

    def _send(self, batch: Sequence[_Operation]) -> list[Any]:
        commands = [("EVALSHA", self._sha(o.script), len(o.keys), *o.keys, *o.arguments) for o in batch]
        return sent(self._client, commands)

    def _sha(self, script: str) -> str:
        found = self._shas.get(script)
        if found is None:
            found = self._shas[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        return found

    def _gone(self, error: Exception) -> None:
        """The server can't be reached: whoever waits for it hears so."""
        with self._ready:
            self._problem = str(error) or type(error).__name__
            waiting, self._queue = list(self._queue), deque()
        for operation in waiting:
            operation.done.set_exception(StateError(f"{self.server}: {self._problem}"))
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()
