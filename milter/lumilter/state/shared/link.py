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
from dataclasses import dataclass, field
from typing import Any

from lumilter.state.contract import StateError
from lumilter.state.shared import scripts

Argument = bytes | str | int

_AT_ONCE = 256
"""Operations that go out together."""
_WAITING = 20_000
"""Operations that wait to go out, at most."""
_TRY = 1.0
"""Seconds between two tries while the server is away."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where Redis is. path: of a Unix socket, else host and port. Times are seconds."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    cluster: bool = False
    timeout: float = 0.5
    prefix: str = "lumilter"

    def __str__(self) -> str:
        return f"Redis at {self.path or f'{self.host}:{self.port}'}"


@dataclass(frozen=True, slots=True)
class _Operation:
    script: str
    key: bytes
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
        self._shas: dict[str, str] = {}
        self._problem = "it has not answered yet"
        """Why the server is away; "" while it is not."""
        self._looked = threading.Event()
        self._ending = False
        self._ticked = 0.0
        self._thread = threading.Thread(target=self._run, name="redis", daemon=True)
        self._thread.start()
        self._looked.wait(server.timeout + 1)  # what comes first is to find it, if it is there

    def submit(self, script: str, key: bytes, *arguments: Argument) -> Future[Any]:
        """Have a script run; a StateError or its answer is in the future. key: its one key, with a hash tag."""
        done: Future[Any] = Future()
        with self._ready:
            if self._problem or self._ending or len(self._queue) >= _WAITING:
                problem = self._problem or ("it is left" if self._ending else "too much is waiting for it")
            else:
                self._queue.append(_Operation(script, key, arguments, done))
                self._ready.notify()
                return done
        done.set_exception(StateError(f"{self.server}: {problem}"))
        return done

    def ask(self, script: str, key: bytes, *arguments: Argument) -> Any:
        """The answer of a script. Raises StateError."""
        return self.wait(self.submit(script, key, *arguments))

    def wait(self, future: Future[Any]) -> Any:
        """What is in a future of `submit`. Raises StateError."""
        try:
            return future.result(4 * self.server.timeout + 1)
        except TimeoutError:
            raise StateError(f"{self.server}: it does not answer") from None

    def scan(self, pattern: bytes) -> list[bytes]:
        """Names of keys. Raises StateError. On a connection of its own: it takes long."""
        import redis

        client = self._connect()
        try:
            return list(client.scan_iter(match=pattern, count=1000))
        except redis.RedisError as error:
            raise StateError(f"{self.server}: {error}") from error
        finally:
            client.close()

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
                self._client = self._connect()
            self._client.ping()
            for script in scripts.ALL:  # one that it learned too late would run after what follows it
                self._client.script_load(script)
        except Exception as error:  # redis-py raises of its own and the socket's
            self._gone(error)
            return
        with self._ready:
            self._problem = ""
        self.on_connect()

    def _connect(self) -> Any:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        server = self.server
        options: dict[str, Any] = {
            "username": server.user or None,
            "password": server.password or None,
            "socket_timeout": server.timeout,
            "socket_connect_timeout": server.timeout,
            "retry": Retry(NoBackoff(), 0),  # it would send an addition twice
            "client_name": "lumilter",
            "protocol": 2,
        }
        if server.tls:
            options |= {
                "ssl": True,
                "ssl_check_hostname": True,
                "ssl_ca_certs": server.ca or None,
                "ssl_certfile": server.certificate or None,
                "ssl_keyfile": server.key or None,
            }
        if server.cluster:
            from redis.cluster import RedisCluster

            return RedisCluster(host=server.host, port=server.port, **options)
        if server.path:
            return redis.Redis(unix_socket_path=server.path, db=server.database, **options)
        return redis.Redis(host=server.host, port=server.port, db=server.database, **options)

    def _perform(self, batch: list[_Operation]) -> None:
        from redis.exceptions import NoScriptError

        try:
            answers = self._send(batch)
            unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:  # SCRIPT FLUSH, or another server has taken over; nothing of these was done
                for script in {batch[at].script for at in unknown}:
                    self._client.script_load(script)
                for at, answer in zip(unknown, self._send([batch[at] for at in unknown]), strict=True):
                    answers[at] = answer
        except Exception as error:
            self._gone(error)
            for operation in batch:
                operation.done.set_exception(StateError(f"{self.server}: {self._problem}"))
            return
        for operation, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                operation.done.set_exception(StateError(f"{self.server}: {answer}"))
            else:
                operation.done.set_result(answer)

    def _send(self, batch: Sequence[_Operation]) -> list[Any]:
        if self.server.cluster:
            return [self._send_one(operation) for operation in batch]
        pipeline = self._client.pipeline(transaction=False)
        for operation in batch:
            pipeline.execute_command("EVALSHA", self._sha(operation.script), 1, operation.key, *operation.arguments)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def _send_one(self, operation: _Operation) -> Any:
        from redis.exceptions import ResponseError

        try:
            return self._client.evalsha(self._sha(operation.script), 1, operation.key, *operation.arguments)
        except ResponseError as error:
            return error

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
