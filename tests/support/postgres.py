"""A PostgreSQL server of a test's own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from support.ports import free_port
from support.server_process import ServerProcess, account, own_directory, prepared

PASSWORD = "p4ss;word"


@dataclass
class Postgres:
    """User "policy" has the database "mail" and PASSWORD."""

    server: ServerProcess
    port: int

    @property
    def uri(self) -> str:
        """Momentum's form; without password, since that has a semicolon."""
        return f"pgsql:host=127.0.0.1;dbname=mail;user=trusted;port={self.port}"

    def url(self, user: str = "policy", port: int | None = None) -> str:
        """SQLAlchemy's form."""
        return f"postgresql://{user}:{PASSWORD.replace(';', '%3B')}@127.0.0.1:{port or self.port}/mail"

    def connect(self) -> psycopg.Connection:
        """As the owner of the database."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="trusted", dbname="mail", autocommit=True, connect_timeout=10
        )


def programs() -> Path:
    """Where Debian keeps the newest version."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Running, with an empty database."""
    user = account("postgres")
    with own_directory(user) as directory:
        data, port = directory / "data", free_port()
        options = ["-A", "trust", "-U", "trusted", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        prepared([programs() / "initdb", "-D", data, *options], user)
        (data / "pg_hba.conf").write_text(
            "host all policy 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        )
        command = [
            str(programs() / "postgres"), "-D", str(data), "-k", str(directory), "-p", str(port),
            "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60",
            "-c", "shared_buffers=16MB", "-c", "dynamic_shared_memory_type=mmap", "-c", "unix_socket_directories=",
        ]  # fmt: skip

        def ready() -> bool:
            psycopg.connect(host="127.0.0.1", port=port, user="trusted", dbname="postgres", connect_timeout=5).close()
            return True

        server = ServerProcess(command, directory / "log", ready, user, signal.SIGINT)
        with server.running():
            with psycopg.connect(
                host="127.0.0.1", port=port, user="trusted", dbname="postgres", autocommit=True
            ) as connection:
                connection.execute(f"create role policy login password '{PASSWORD}'")
                connection.execute("create database mail owner policy")
            yield Postgres(server, port)
