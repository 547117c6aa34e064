"""Asking a datasource in a test as msys.db does, without Lua."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lumilter.adapters.datasources.contract import Answer, Options, Request
from lumilter.adapters.datasources.datasource import Behaviour
from lumilter.adapters.datasources.service import Datasources, Settings

NAME = "ds"


class Asked:
    """One datasource."""

    def __init__(self, datasources: Datasources) -> None:
        self.datasources = datasources

    def answer(self, text: str, *values: Any, seconds: float = 30.0, **named: Any) -> Answer:
        """The Answer to a query, not from the cache. Raises DatasourceError."""
        params = named or dict(enumerate(values, 1))
        return self.datasources.submit(NAME, Request(text, params), time.monotonic() + seconds, nocache=True).result(60)

    def rows(self, text: str, *values: Any, **named: Any) -> list[dict[str | int, Any]]:
        """The rows of a query."""
        answer = self.answer(text, *values, **named)
        return [answer.row(number) for number in range(len(answer.rows))]

    def execute(self, text: str, *values: Any, seconds: float = 30.0, **named: Any) -> None:
        """Carry out a statement. Raises DatasourceError."""
        params = named or dict(enumerate(values, 1))
        self.datasources.submit(NAME, Request(text, params, True), time.monotonic() + seconds).result(60)

    @property
    def stats(self) -> dict[str, Any]:
        """Figures."""
        return self.datasources.stats()[NAME]


@contextmanager
def asked(
    *uris: str, behaviour: Behaviour | None = None, numbers: str = "auto", offline: bool = False, **options: Any
) -> Iterator[Asked]:
    """A datasource at these URIs."""
    settings = Settings(NAME, uris, behaviour or Behaviour(), Options(**options), numbers)
    datasources = Datasources([settings], offline)
    try:
        yield Asked(datasources)
    finally:
        datasources.close()
