"""A MariaDB server of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pymysql

from support.ports import free_port
from support.server_process import ServerProcess, account, own_directory, prepared

PASSWORD = "m4ria&db"


@dataclass
class Mariadb:
    """User "policy" has the database "mail" and PASSWORD."""

    server: ServerProcess
    port: int
    socket: str

    @property
    def uri(self) -> str:
        """Momentum's form."""
        return f"mysql:host=127.0.0.1;port={self.port};dbname=mail;user=policy;password={PASSWORD}"

    def url(self, port: int | None = None) -> str:
        """SQLAlchemy's form."""
        return f"mysql://policy:{PASSWORD.replace('&', '%26')}@127.0.0.1:{port or self.port}/mail"

    def connect(self) -> pymysql.Connection:
        """As root."""
        return pymysql.connect(unix_socket=self.socket, user="root", autocommit=True)


@contextmanager
def mariadb() -> Iterator[Mariadb]:
    """Running, with an empty database."""
    user = account("mysql")
    with own_directory(user) as directory:
        data, port, socket = directory / "data", free_port(), str(directory / "sock")
        # A server that starts removes the temporary tables of all others in /tmp.
        places = [f"--datadir={data}", f"--tmpdir={directory}"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=4M"]
        prepared(["mariadb-install-db", "--no-defaults", *places, *options], user)
        command = [
            "/usr/sbin/mariadbd", "--no-defaults", *places, f"--socket={socket}", f"--port={port}",
            "--bind-address=127.0.0.1", f"--pid-file={directory}/pid", "--skip-name-resolve", "--max-connections=60",
            "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=4M",
            "--performance-schema=off", "--skip-log-bin",
        ]  # fmt: skip

        def ready() -> bool:
            pymysql.connect(unix_socket=socket, user="root", connect_timeout=5).close()
            return True

        server = ServerProcess(command, directory / "log", ready, user)
        with server.running():
            found = Mariadb(server, port, socket)
            with found.connect() as connection, connection.cursor() as cursor:
                cursor.execute("create database mail character set utf8mb4")
                cursor.execute(f"create user policy@'127.0.0.1' identified by '{PASSWORD}'")
                cursor.execute("grant all on mail.* to policy@'127.0.0.1'")
            yield found
