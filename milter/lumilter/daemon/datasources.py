"""From the [[datasource]] tables of a configuration to the datasources that scripts ask."""

from __future__ import annotations

from collections.abc import Sequence

from lumilter.adapters.datasources.contract import Options
from lumilter.adapters.datasources.datasource import Behaviour
from lumilter.adapters.datasources.service import Datasources, Settings
from lumilter.adapters.files import Files
from lumilter.adapters.http import Web
from lumilter.config.sections.datasources import Datasource


def datasources_of(tables: Sequence[Datasource], files: Files, web: Web, offline: bool = False) -> Datasources:
    """Raises ConfigError for URIs that can't be used. files, web: for iowrapper. offline: see Datasources."""

    def opened(uri: str, deadline: float, most: int) -> bytes:
        return files.read(uri, web, deadline, most)

    return Datasources(map(_settings, tables), offline, opened)


def _settings(table: Datasource) -> Settings:
    return Settings(
        table.name,
        table.uri,
        Behaviour(
            timeout=table.timeout,
            retry=table.retry,
            connections=table.connections,
            spread=table.order == "round-robin",
            cache_life=table.cache_life,
            cache_size=0 if table.no_cache else table.cache_size,
            cache_memory=table.cache_memory,
        ),
        Options(
            max_rows=table.max_rows,
            max_size=table.max_size,
            timeout=table.timeout,
            connect_timeout=table.connect_timeout,
            connections=table.connections,
            connection_life=table.connection_life,
            charset=table.assume_charset or "",
        ),
        table.numbers,
    )
