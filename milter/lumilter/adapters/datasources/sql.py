"""SQL databases through SQLAlchemy's pools and dialects.

The law: a statement goes to the driver as the script wrote it, its values beside it; every connection is in autocommit,
and comes back to the pool outside a transaction or not at all. What differs between databases is in sql_dialects.

Source: manual, msys.db.query; SQLAlchemy 2.0; PEP 249.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from lumilter.adapters.datasources.contract import (
    Answer,
    Cut,
    DatasourceError,
    Lost,
    Options,
    Request,
    Silent,
    TimedOut,
    Unreachable,
)
from lumilter.adapters.datasources.placeholders import rendered
from lumilter.adapters.datasources.sql_dialects import Dialect, Mysql, Postgres, Sqlite
from lumilter.adapters.datasources.sql_odbc import Odbc, Pyodbc
from lumilter.adapters.datasources.sql_values import converter
from lumilter.adapters.datasources.uris import Target


class SqlDriver:
    """See contract.Driver."""

    def __init__(self, target: Target, options: Options) -> None:
        self._target, self._options = target, options
        self._convert = converter(options.numbers)
        self._lock = threading.Lock()
        self._engine: Any = None
        self._dialect: Dialect

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        """See contract.Driver."""
        engine = self._made()
        statement, values = rendered(request, engine.dialect.name, engine.dialect.paramstyle)
        statement = self._options.encodable(statement)
        values = self._dialect.parameters(values)
        connection = self._connected(until, cut)
        raw = connection.driver_connection
        problem: BaseException | None = None
        answer = Answer()
        try:
            cut.arm(self._dialect.breaker(connection))
            answer, usable = self._asked(raw, statement, values, request.execute)
            if usable:
                self._dialect.settled(raw)
        except BaseException as error:
            problem, usable = self._judged(error, raw, cut)
        cut.disarm()
        if usable:
            connection.close()
        else:
            self._dialect.discard(connection)
        if problem is not None:
            raise problem
        return answer

    def load(self) -> None:
        """See contract.Loads."""
        with contextlib.suppress(Unreachable):
            self._made()

    def close(self) -> None:
        """See contract.Driver."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()

    def _made(self) -> Any:
        with self._lock:
            if self._engine is None:
                try:
                    self._dialect = _dialect(self._target, self._options)
                    self._engine = self._dialect.engine()
                except Exception as error:
                    raise Unreachable(self._text(error)) from None
            return self._engine

    def _connected(self, until: float, cut: Cut) -> Any:
        """A connection of the pool, of which nobody knows that it is dead."""
        if time.monotonic() >= until:
            raise TimedOut("no connection was free in time")
        self._dialect.wait.until, self._dialect.wait.cut = until, cut
        while True:
            try:
                connection = self._engine.raw_connection()
            except DatasourceError:
                raise
            except Exception as error:
                raise Unreachable(self._text(error)) from None
            finally:
                cut.disarm()
            if self._dialect.is_alive(connection):
                return connection
            self._dialect.discard(connection)

    def _asked(self, raw: Any, statement: str, values: Any, execute: bool) -> tuple[Answer, bool]:
        """The answer, and whether the connection is of use for the next query."""
        cursor = self._dialect.cursor(raw)
        answer, usable = Answer(), True
        try:
            if execute:
                self._dialect.execute(cursor, statement, values)
            else:
                rows = self._options.rows()
                for row in self._dialect.fetched(cursor, statement, values):
                    if rows.full:
                        break
                    rows.add(tuple(map(self._convert, row)))
                if cursor.description is not None:
                    answer = rows.answer(tuple(str(column[0]) for column in cursor.description))
        finally:
            usable = self._dialect.end(cursor)
        return answer, usable

    def _judged(self, error: BaseException, raw: Any, cut: Cut) -> tuple[BaseException, bool]:
        """What is raised for an error, and whether the connection is of use for the next query."""
        dialect = self._engine.dialect
        if cut.fired or isinstance(error, TimedOut):
            return (TimedOut if self._dialect.was_heard(error) else Silent)("the query took too long"), False
        if isinstance(error, DatasourceError) or not isinstance(error, Exception):
            return error, False  # rows may be left on it
        text = self._text(error)
        if isinstance(error, dialect.loaded_dbapi.Error):
            try:
                lost = dialect.is_disconnect(error, raw, None) or self._dialect.is_gone(error, raw)
                if not lost:
                    self._dialect.settled(raw)
            except Exception:
                lost = True
            if lost:
                return Lost(text), False
            if self._dialect.is_timeout(error):
                return TimedOut(f"the query took too long ({text})"), True
            return DatasourceError(text), True
        if self._dialect.is_here or isinstance(error, UnicodeEncodeError | OverflowError):
            return DatasourceError(text), False  # the library can't send it
        return Lost(f"unexpected answer: {type(error).__name__}: {text}"), False

    def _text(self, error: BaseException) -> str:
        """The database's words; never the statement or its values."""
        original = getattr(error, "orig", None) or error
        primary = getattr(getattr(original, "diag", None), "message_primary", None)
        if not primary:
            texts = [each for each in original.args if isinstance(each, str) and each.strip()]
            primary = (texts[-1] if texts else str(original)).strip().splitlines() or [type(original).__name__]
            primary = primary[0]
        return self._options.clean(primary)


_DIALECTS: dict[str, type[Dialect]] = {
    "sqlite": Sqlite,
    "postgresql+psycopg": Postgres,
    "mysql+pymysql": Mysql,
    "mariadb+pymysql": Mysql,
    "odbc+pyodbc": Odbc,
}


def _dialect(target: Target, options: Options) -> Dialect:
    scheme = target.place.partition(":")[0]
    name, _, library = scheme.partition("+")
    other = Sqlite if name == "sqlite" else Pyodbc if library == "pyodbc" else Dialect
    return _DIALECTS.get(scheme, other)(target, options)
