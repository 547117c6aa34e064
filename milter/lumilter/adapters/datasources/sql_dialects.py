"""What differs between SQL databases: how they connect, how long they may take, how rows are streamed.

The law: SQLAlchemy knows the dialects; here is only what it leaves to others: a bound for every wait, no more rows in
memory than are wanted, and parameters that a column of any type takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lumilter.adapters.datasources import sockets
from lumilter.adapters.datasources.contract import Options, Value
from lumilter.adapters.datasources.placeholders import as_text
from lumilter.adapters.datasources.uris import Target

_BATCH = 100
"""Rows that are asked of a driver at once."""


class Dialect:
    """A database that nothing is known of but that SQLAlchemy has a dialect for it.

    is_here: whether it is no server, and so never silent.
    """

    is_here = False

    def __init__(self, target: Target, options: Options) -> None:
        self.target, self.options = target, options
        self.wait = threading.local()
        """What the thread's new connection is held to: `until`, when it has to be there, and `cut`."""

    @property
    def own_timeout(self) -> float:
        """Seconds after which a server is to give a query up itself: a bit before we do, so that it can say so."""
        return self.options.timeout - min(0.5, self.options.timeout / 10)

    # --- connections -------------------------------------------------------------------------------------------------

    def engine(self) -> Any:
        """SQLAlchemy's engine, nothing connected yet."""
        import sqlalchemy
        from sqlalchemy.pool import QueuePool

        engine = sqlalchemy.create_engine(
            self.url(),
            poolclass=QueuePool,
            pool_size=self.options.connections,
            max_overflow=0,
            pool_timeout=1,
            pool_recycle=int(self.options.connection_life),
            pool_use_lifo=True,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            **self.settings(),
        )
        sqlalchemy.event.listen(engine, "do_connect", self._connecting)
        sqlalchemy.event.listen(engine, "connect", self._arrived, insert=True)  # before SQLAlchemy asks it anything
        sqlalchemy.event.listen(engine, "connect", lambda raw, record: self.opened(raw))
        sqlalchemy.event.listen(engine, "close", self._closed)
        return engine

    def url(self) -> Any:
        """The URL of the engine."""
        return self.target.place

    def settings(self) -> dict[str, Any]:
        """More for create_engine."""
        return {"connect_args": dict(self.target.arguments)}

    def _connecting(self, dialect: Any, record: Any, arguments: Any, named: dict[str, Any]) -> None:
        named.update(self.patience(max(0.1, min(self.options.connect_timeout, self.wait.until - time.monotonic()))))

    def patience(self, seconds: float) -> dict[str, Any]:
        """Arguments of connect that let it fail after some seconds."""
        return {}

    def _arrived(self, raw: Any, record: Any) -> None:
        descriptor = self.descriptor(raw)
        if descriptor is not None and descriptor >= 0:
            copy = record.info["socket"] = sockets.copy_of(descriptor)
            self.wait.cut.arm(lambda: sockets.shut(copy))

    def _closed(self, raw: Any, record: Any) -> None:
        copy = record.info.pop("socket", None)
        if copy is not None:
            copy.close()

    def opened(self, raw: Any) -> None:
        """A new connection of the library."""

    def descriptor(self, raw: Any) -> int | None:
        """Of the connection's socket, where it is known."""
        return None

    def is_alive(self, connection: Any) -> bool:
        """Whether the server has neither hung up nor said something while nobody asked."""
        copy = connection.info.get("socket")
        return copy is None or sockets.is_quiet(copy)

    def breaker(self, connection: Any) -> Callable[[], object]:
        """What makes a wait for the server fail, from another thread."""
        copy = connection.info.get("socket")
        return (lambda: None) if copy is None else lambda: sockets.shut(copy)

    def settled(self, raw: Any) -> None:
        """Leave what a script may have begun: a transaction."""
        raw.rollback()

    def discard(self, connection: Any) -> None:
        """Nobody is to use the connection again."""
        connection.invalidate()

    # --- statements --------------------------------------------------------------------------------------------------

    def parameters(self, values: Any) -> Any:
        """Values as the library takes them."""
        if isinstance(values, dict):
            return {name: self.parameter(value) for name, value in values.items()}
        return None if values is None else tuple(map(self.parameter, values))

    def parameter(self, value: Value) -> Value:
        """One value."""
        if isinstance(value, str):
            return self.options.encodable(value)
        return as_text(value) if isinstance(value, bytes | list) else value

    def cursor(self, raw: Any) -> Any:
        """A cursor that does not fetch everything at once."""
        return raw.cursor()

    def execute(self, cursor: Any, statement: str, values: Any) -> None:
        """Carry a statement out."""
        if values is None:
            cursor.execute(statement)
        else:
            cursor.execute(statement, values)

    def fetched(self, cursor: Any, statement: str, values: Any) -> Iterator[Any]:
        """The rows of a statement."""
        self.execute(cursor, statement, values)
        while cursor.description is not None and (batch := cursor.fetchmany(_BATCH)):
            yield from batch

    def end(self, cursor: Any) -> bool:
        """Done with a cursor; whether its connection is of use for another one."""
        with suppress(Exception):  # it failed before, or the connection did
            cursor.close()
        return True

    def is_gone(self, error: Exception, raw: Any) -> bool:
        """Whether an error means that the connection is of no more use, where SQLAlchemy does not know."""
        return False

    def was_heard(self, error: BaseException) -> bool:
        """Whether the error of a query that was ended from another thread shows that the server is there."""
        return self.is_here

    def is_timeout(self, error: Exception) -> bool:
        """Whether the database itself gave the query up because it took too long."""
        return False


class Sqlite(Dialect):
    """Files; with `copies` what is opened is a copy in memory."""

    is_here = True

    def url(self) -> Any:
        import sqlalchemy

        if self.target.momentum:
            path = self.target.arguments["database"]
            return sqlalchemy.URL.create("sqlite", database=path if path != ":memory:" else None)
        return self.target.place

    def engine(self) -> Any:
        engine = super().engine()
        database = engine.url.database
        if not self.options.copies and database not in (None, "", ":memory:"):
            return engine
        engine.dispose()  # a memory is one connection's
        import sqlite3

        import sqlalchemy
        from sqlalchemy.pool import StaticPool

        memory = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        if database not in (None, "", ":memory:"):
            source = sqlite3.connect(f"file:{_uri_path(database)}?mode=ro", uri=True)
            with source:
                source.backup(memory)
            source.close()
        self.opened(memory)
        return sqlalchemy.create_engine("sqlite://", poolclass=StaticPool, creator=lambda: memory)

    def settings(self) -> dict[str, Any]:
        return {"connect_args": {"check_same_thread": False, "timeout": self.options.timeout}}

    def opened(self, raw: Any) -> None:
        raw.text_factory = self.options.decoded

    def breaker(self, connection: Any) -> Callable[[], object]:
        return connection.driver_connection.interrupt  # type: ignore[no-any-return]

    def settled(self, raw: Any) -> None:
        if raw.in_transaction:
            raw.rollback()

    def discard(self, connection: Any) -> None:
        self.settled(connection.driver_connection)  # there is no server that it could have lost
        connection.close()

    def is_timeout(self, error: Exception) -> bool:
        return "database is locked" in str(error)


class Postgres(Dialect):
    """psycopg. Values go as text of no type: the server reads them as what the column is."""

    def settings(self) -> dict[str, Any]:
        return {"connect_args": {"application_name": "lumilter", **self.target.arguments}, "use_native_hstore": False}

    def patience(self, seconds: float) -> dict[str, Any]:
        return {"connect_timeout": max(1, round(seconds))}

    def opened(self, raw: Any) -> None:
        raw.execute(f"SET statement_timeout = {max(1, int(self.own_timeout * 1000))}")
        if not self.options.numbers:
            from psycopg.types.string import TextLoader

            for info in raw.adapters.types:
                if info.name != "bytea":
                    raw.adapters.register_loader(info.oid, TextLoader)
                if info.array_oid:
                    raw.adapters.register_loader(info.array_oid, TextLoader)

    def descriptor(self, raw: Any) -> int | None:
        return int(raw.fileno())

    def settled(self, raw: Any) -> None:
        if raw.info.transaction_status.name != "IDLE":
            raw.rollback()

    def parameter(self, value: Value) -> Value:
        value = super().parameter(value)
        return value if value is None or isinstance(value, str) else as_text(value)

    def fetched(self, cursor: Any, statement: str, values: Any) -> Iterator[Any]:
        stream = cursor.stream(statement, values)
        try:
            yield from stream
        finally:
            stream.close()

    def is_timeout(self, error: Exception) -> bool:
        return getattr(error, "sqlstate", "") == "57014"  # query_canceled


class Mysql(Dialect):
    """PyMySQL, rows not kept in memory."""

    def settings(self) -> dict[str, Any]:
        return {"connect_args": {"charset": "utf8mb4", **self._texts(), **self.target.arguments}}

    def _texts(self) -> dict[str, Any]:
        if self.options.numbers:
            return {}
        from pymysql.converters import encoders

        return {"conv": dict(encoders)}

    def patience(self, seconds: float) -> dict[str, Any]:
        return {"connect_timeout": max(1, round(seconds)), "read_timeout": max(1, round(self.options.timeout) + 1)}

    def opened(self, raw: Any) -> None:
        bound = (
            f"max_statement_time = {self.own_timeout:.3f}"
            if "mariadb" in raw.get_server_info().lower()
            else f"max_execution_time = {max(1, int(self.own_timeout * 1000))}"
        )
        with raw.cursor() as cursor:
            cursor.execute(f"SET SESSION {bound}")
            if self.options.max_rows >= 0:
                cursor.execute(f"SET SESSION sql_select_limit = {self.options.max_rows}")

    def descriptor(self, raw: Any) -> int | None:
        return int(raw._sock.fileno())

    def settled(self, raw: Any) -> None:
        if raw.server_status & 1:  # SERVER_STATUS_IN_TRANS
            raw.rollback()

    def cursor(self, raw: Any) -> Any:
        from pymysql.cursors import SSCursor

        return raw.cursor(SSCursor)

    def end(self, cursor: Any) -> bool:
        result = cursor._result
        if result is not None and result.unbuffered_active and not self._is_last(cursor):
            result.unbuffered_active = False  # PyMySQL would read millions of rows to their end
            result.connection = cursor.connection = None
            return False
        return super().end(cursor)

    @staticmethod
    def _is_last(cursor: Any) -> bool:
        with suppress(Exception):
            return cursor.fetchone() is None
        return False

    def is_timeout(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] in (1205, 1969, 3024)


def _uri_path(path: str) -> str:
    return quote(str(Path(path).absolute()))
