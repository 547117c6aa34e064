"""msys.db: queries of datasources.

The law: declarations only; a query that is not answered from the cache suspends its session, whatever the driver.

Source: manual, msys.db.query, msys.db.fetch_row, msys.db.execute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lumilter.adapters.datasources.contract import Answer, Request, Value
from lumilter.calls import Elsewhere, Here
from lumilter.errors import LumilterError
from lumilter.registry import CLASSES, api, lua_class

PACKAGE = "msys.db"


class Rowset:
    """The rows of an answer; each call gives the next one."""

    __slots__ = ("_answer", "_at")

    def __init__(self, answer: Answer) -> None:
        self._answer, self._at = answer, 0

    def __call__(self) -> dict[str | int, Value] | None:
        """The next row, None after the last."""
        if self._at >= len(self._answer.rows):
            return None
        self._at += 1
        return self._answer.row(self._at - 1)


lua_class("rowset", Rowset)


@api("msys.db.query", package=PACKAGE, blocking=True)
def query(
    cachename: str,
    query: str,
    queryparams: dict[Any, Any] | None = None,
    options: dict[Any, Any] | None = None,
    *,
    here: Here,
) -> Any:
    """Ask a datasource: an iterator over its rows, tables by column name; `for row in rowset do`.

    query: with `?`, `:name` or `$name` as placeholders. queryparams: their values by position from 1, or by name; nil
    is NULL. options: nocache (true asks the datasource in any case) and raise_error (true by default; false returns nil
    and a message instead of raising an error). Columns without a name are at their position, NULL is left out, a column
    of several values (LDAP) is a table. At most max_rows rows.
    """
    return _asked("msys.db.query", Request(query, _values(queryparams)), cachename, options, Rowset, here)


@api("msys.db.fetch_row", package=PACKAGE, blocking=True)
def fetch_row(
    cachename: str,
    query: str,
    queryparams: dict[Any, Any] | None = None,
    options: dict[Any, Any] | None = None,
    *,
    here: Here,
) -> Any:
    """The first row of what msys.db.query gives, as a table; nil if there is none."""
    return _asked(
        "msys.db.fetch_row", Request(query, _values(queryparams)), cachename, options,
        lambda answer: answer.row(0) if answer.rows else None, here,
    )  # fmt: skip


@api("msys.db.execute", package=PACKAGE, blocking=True)
def execute(
    cachename: str,
    query: str,
    queryparams: dict[Any, Any] | None = None,
    options: dict[Any, Any] | None = None,
    *,
    here: Here,
) -> Any:
    """Carry out a statement that gives no rows: true; or false and a message where raise_error is false.

    It always reaches the datasource; parameters and options are those of msys.db.query.
    """
    request = Request(query, _values(queryparams), True)
    return _asked("msys.db.execute", request, cachename, options, lambda answer: True, here, False)


def _asked(
    name: str,
    request: Request,
    cachename: str,
    options: dict[Any, Any] | None,
    shape: Callable[[Answer], Any],
    here: Here,
    failure: bool | None = None,
) -> Any:
    """shape: from the answer to what the script gets. failure: its first result where the query fails."""
    chosen = options or {}
    nocache = _truth(chosen.get("nocache"))
    raises = _truth(chosen.get("raise_error", True))
    datasources = here.services.datasources
    if not nocache:
        known = datasources.cached(cachename, request)
        if known is not None:
            return shape(known)

    def failed(error: LumilterError) -> Any:
        if raises:
            raise LumilterError(f"{name}: {error}")
        return failure, str(error)

    return Elsewhere(lambda deadline: datasources.submit(cachename, request, deadline, nocache), "db", shape, failed)


def _truth(value: Any) -> bool:
    """Lua's: 0 is true."""
    return value is not None and value is not False


def _values(params: dict[Any, Any] | None) -> dict[int | str, Value]:
    return {key: _value(key, value) for key, value in (params or {}).items()}


def _value(key: Any, value: Any) -> Value:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if type(value) in CLASSES.values() and "__str__" in vars(type(value)):
        return str(value)
    raise LumilterError(f"parameter {key} is a {getattr(value, 'kind', 'table')}, not a string, number or boolean")
