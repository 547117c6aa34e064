"""What a datasource's parts agree on: requests, answers, drivers, errors.

The law: plain values only; whatever is large, slow or secret is for the drivers. A driver's texts for errors are
cleaned of passwords (`Options.clean`) before anybody else sees them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from lumilter.errors import LookupFailed

Value = None | bool | int | float | str | bytes | list[Any]
"""Of a parameter or a column; str is UTF-8 with surrogateescape, a list is a column with several values."""


_SHORT = 3


class DatasourceError(LookupFailed):
    """A query failed: str() is the text for the script."""


class Unreachable(DatasourceError):
    """There is no connection, so nothing was asked: another place may be."""


class Lost(DatasourceError):
    """The connection broke after something was asked; whether it was done nobody knows."""


class TimedOut(DatasourceError):
    """The query took too long and was given up."""


class Silent(TimedOut):
    """The same, and nothing was heard of the server meanwhile."""


@dataclass(frozen=True, slots=True)
class Request:
    """A query with its parameters, by position from 1 or by name; what is missing is NULL. execute: no rows wanted."""

    text: str
    params: Mapping[int | str, Value] = field(default_factory=dict)
    execute: bool = False

    def key(self) -> tuple[str, frozenset[tuple[int | str, str, Any]]]:
        """What two requests with the same answer have in common."""
        return self.text, frozenset((name, type(value).__name__, value) for name, value in self.params.items())


@dataclass(frozen=True, slots=True)
class Answer:
    """names: of the columns, None where they have none. rows: tuples of values, or mappings from names to values.

    records: whether it had rows at all, as a SELECT has and an INSERT has not. size: about how many bytes it takes.
    """

    names: tuple[str, ...] | None = None
    rows: Sequence[tuple[Value, ...] | Mapping[str, Value]] = ()
    records: bool = False
    size: int = 0

    def row(self, number: int) -> dict[str | int, Value]:
        """A row, from 0: values by name, or by position from 1; NULL is left out."""
        row = self.rows[number]
        pairs: Iterator[tuple[str | int, Value]]
        if isinstance(row, Mapping):
            pairs = iter(row.items())
        else:
            pairs = zip(self.names, row, strict=False) if self.names is not None else enumerate(row, 1)
        return {name: value for name, value in pairs if value is not None}


class Rows:
    """Collects an answer within its limits. most: rows, -1 is no limit; size: bytes."""

    def __init__(self, most: int, size: int) -> None:
        self.rows: list[tuple[Value, ...] | Mapping[str, Value]] = []
        self._most, self._largest = most, size
        self.size = 0

    @property
    def full(self) -> bool:
        """Whether the configured number of rows is reached."""
        return 0 <= self._most <= len(self.rows)

    def add(self, row: tuple[Value, ...] | Mapping[str, Value]) -> None:
        """Raises DatasourceError where it becomes too large."""
        values = row.values() if isinstance(row, Mapping) else row
        self.size += 64 + sum(map(_size, values))
        if self.size > self._largest:
            raise DatasourceError(f"the answer is larger than max_size ({self._largest} bytes)")
        self.rows.append(row)

    def answer(self, names: tuple[str, ...] | None = None) -> Answer:
        """What was collected."""
        return Answer(names, self.rows, True, self.size)


def _size(value: Value) -> int:
    if isinstance(value, str | bytes):
        return 50 + len(value)
    return 32 + sum(map(_size, value)) if isinstance(value, list) else 32


class Cut:
    """How a request that takes too long is ended from another thread.

    A driver arms it with what breaks its wait, and disarms it before it gives that up or away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by: Callable[[], object] | None = None
        self.fired = False

    def arm(self, by: Callable[[], object]) -> None:
        """by: must not block. Raises TimedOut where it is too late already."""
        with self._lock:
            if self.fired:
                raise TimedOut("no connection was free in time")
            self._by = by

    def disarm(self) -> None:
        """Nothing is to be broken any more."""
        with self._lock:
            self._by = None

    def fire(self) -> None:
        """Any thread: end it."""
        with self._lock:
            self.fired = True
            if self._by is not None:
                with suppress(Exception):  # a driver's own error: it had ended
                    self._by()


@dataclass(frozen=True, slots=True)
class Options:
    """What the drivers of a datasource have in common. Times are seconds.

    timeout: for a query; connect_timeout: for a connection. connections: kept at most, for connection_life.
    numbers: whether numbers come as numbers, else as text. charset: of data that is not UTF-8; "" leaves it as it is.
    copies: SQLite databases are copied into memory, and nothing reaches the file. secrets: never to be shown.
    """

    max_rows: int = 100
    max_size: int = 64 << 20
    timeout: float = 10.0
    connect_timeout: float = 3.0
    connections: int = 10
    connection_life: float = 3600.0
    numbers: bool = True
    charset: str = ""
    copies: bool = False
    secrets: tuple[str, ...] = ()

    def rows(self) -> Rows:
        """To collect an answer in."""
        return Rows(self.max_rows, self.max_size)

    def clean(self, text: object) -> str:
        """An error's text as it may be shown: one line, without passwords."""
        return cleaned(" ".join(str(text).split()), self.secrets)[:500]

    def encodable(self, text: str) -> str:
        """Text for a database: what is not UTF-8 is taken as latin-1, or as `charset`."""
        if text.isascii():
            return text
        raw = text.encode("utf-8", "surrogateescape")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode(self.charset or "latin-1", "replace")

    def decoded(self, raw: bytes) -> str:
        """Bytes of a source whose charset nobody knows, as text that gives them back or, with `charset`, as UTF-8."""
        if self.charset:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return raw.decode(self.charset, "replace")
        return raw.decode("utf-8", "surrogateescape")


def cleaned(text: str, secrets: Sequence[str]) -> str:
    """A server's words without passwords. Very short ones are also parts of words, and servers repeat none."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > _SHORT:
            text = text.replace(secret, "***")
    return text


class Driver(Protocol):
    """One place to ask; any thread may, several at the same time."""

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        """The answer by `until`, a time.monotonic() value. Raises DatasourceError."""
        ...

    def close(self) -> None:
        """Give up its connections."""
        ...


@runtime_checkable
class Loads(Protocol):
    """A driver of a library that takes its time to import."""

    def load(self) -> None:
        """Import it, and connect to nothing. What fails is told by the first query."""
        ...
