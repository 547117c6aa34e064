"""Where lists of networks are loaded from: rbldnsd's files, and queries of datasources.

The law: a Fill (see lists) each; everything here may block, within the deadline that it is given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing
from typing import Any

from lumilter.adapters.datasources.contract import Answer, Request
from lumilter.adapters.files.contract import Stream
from lumilter.adapters.networks import addresses, rbldnsd
from lumilter.adapters.networks.lists import Fill, Report
from lumilter.adapters.networks.table import Builder
from lumilter.errors import LookupFailed

log = logging.getLogger("lumilter.cidr")

Open = Callable[[float], Stream]
"""A source, opened by a time.monotonic() value. Raises LookupFailed."""
Ask = Callable[[Request, float], Future[Answer]]
"""A query of a datasource, by a time.monotonic() value."""
_CHUNK = 1 << 20
Column = str | int | None
"""A column's name, or its position from 1."""


def rbldnsd_file(open_source: Open, want_text: bool) -> Fill:
    """A file of rbldnsd; want_text: the values are its texts, else its address records."""

    def fill(into: Builder, report: Report, deadline: float) -> None:
        with closing(open_source(deadline)) as stream:
            rbldnsd.load(_lines(stream, deadline), into, want_text, report)

    return fill


def _lines(stream: Stream, deadline: float) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_CHUNK, deadline):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _CHUNK:
            raise LookupFailed("a line has no end")
        yield from lines
    yield rest


def datasource(ask: Ask, query: str, max_rows: int, cidr_column: Column, value_column: Column) -> Fill:
    """The rows of a query. cidr_column: None is the first. value_column: None makes every value true.

    max_rows: of the datasource; as many rows are reported, because the rest is probably missing.
    """

    def fill(into: Builder, report: Report, deadline: float) -> None:
        try:
            answer = ask(Request(query), deadline).result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout:
            raise LookupFailed("the query was not answered in time") from None
        for number, row in enumerate(answer.rows, 1):
            try:
                network = _column(row, answer.names, 1 if cidr_column is None else cidr_column)
                value = True if value_column is None else _column(row, answer.names, value_column)
                if network is None:
                    raise ValueError("it has no network")
                if value is not None:  # NULL: as if the network were not there
                    into.add(*addresses.prefix(_text(network)), True if value_column is None else _text(value))
            except ValueError as error:
                report(number, str(error))
        if 0 <= max_rows <= len(answer.rows):
            log.warning("the query %.80r gave %d rows, which is max_rows: there may be more", query, len(answer.rows))

    return fill


def _column(row: Any, names: tuple[str, ...] | None, column: str | int) -> Any:
    if isinstance(row, Mapping):
        at = list(row)[column - 1 : column] if isinstance(column, int) else [column]
        return row.get(at[0]) if at else None
    if isinstance(column, str):
        if names is None or column not in names:
            raise ValueError(f"there is no column {column!r}")
        column = names.index(column) + 1
    if not 1 <= column <= len(row):
        raise ValueError(f"there is no column {column}")
    return row[column - 1]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, float):
        return f"{value:.14g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    raise ValueError(f"a value is a {type(value).__name__}, not text")
