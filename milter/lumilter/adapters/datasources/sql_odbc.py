"""What is particular to databases behind ODBC drivers, which nobody knows.

The law: a driver is told how long a query may take, and to cancel one that takes longer; what it makes of that is its
own affair. There is no socket to shut.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from lumilter.adapters.datasources.sql_dialects import Dialect


class Pyodbc(Dialect):
    """Any of SQLAlchemy's dialects over pyodbc."""

    def patience(self, seconds: float) -> dict[str, Any]:
        return {"timeout": max(1, round(seconds))}

    def opened(self, raw: Any) -> None:
        with suppress(Exception):  # not every driver has it
            raw.timeout = max(1, round(self.options.timeout))

    def cursor(self, raw: Any) -> Any:
        cursor = raw.cursor()
        self.wait.cancel = _Cancel(cursor)
        self.wait.cut.arm(self.wait.cancel)
        return cursor

    def end(self, cursor: Any) -> bool:
        self.wait.cut.disarm()
        self.wait.cancel.end()
        return super().end(cursor)

    def was_heard(self, error: BaseException) -> bool:
        return isinstance(error, Exception) and not self.is_gone(error, None)

    def is_gone(self, error: Exception, raw: Any) -> bool:
        return bool(error.args) and str(error.args[0]).startswith("08")

    def is_timeout(self, error: Exception) -> bool:
        return bool(error.args) and str(error.args[0]) in ("HYT00", "HYT01")


class Odbc(Pyodbc):
    """Whatever an ODBC driver is installed for; the driver manager gets the connection string as it is."""

    def url(self) -> Any:
        import sqlalchemy

        sqlalchemy.dialects.registry.register("odbc.pyodbc", "lumilter.adapters.datasources.odbc", "OdbcDialect")
        return sqlalchemy.URL.create("odbc+pyodbc", query={"odbc_connect": self.target.arguments["odbc"]})

    def settings(self) -> dict[str, Any]:
        return {}


class _Cancel:
    """Ends an ODBC statement from another thread, as far as its driver can do that.

    SQLCancel may have to ask the server, or to wait for the driver manager (`Threading = 3`): it has a thread of its
    own. It must not meet a statement that is being freed, so `end` waits for it; by then the statement has ended.
    """

    def __init__(self, cursor: Any) -> None:
        self._cursor: Any = cursor
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Begin to; any thread."""
        threading.Thread(target=self._cancel, name="db-cancel", daemon=True).start()

    def _cancel(self) -> None:
        with self._lock, suppress(Exception):  # it has ended, or the driver can't
            if self._cursor is not None:
                self._cursor.cancel()

    def end(self) -> None:
        """The statement is done with."""
        with self._lock:
            self._cursor = None
