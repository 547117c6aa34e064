"""SQLAlchemy's dialect for ODBC connection strings of any driver.

The law: no SQL of its own: statements are the scripts'.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.connectors.pyodbc import PyODBCConnector
from sqlalchemy.engine.default import DefaultDialect


class OdbcDialect(PyODBCConnector, DefaultDialect):
    """What the pool needs of a dialect."""

    name = "odbc"
    default_paramstyle = "qmark"
    supports_statement_cache = False

    def initialize(self, connection: Any) -> None:
        """Nothing is asked of a database that nobody knows."""
