"""The datasources of the scripts in tests/lua: "mycache", and "uncached", which is the same without a cache."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

from lumilter.adapters.datasources.datasource import Behaviour
from lumilter.adapters.datasources.service import Datasources, Settings

TABLES = """
create table names (firstname text, lastname text, age integer);
insert into names values ('Ann', 'Lee', 20), ('Bob', null, 40), ('caf' || char(233), cast(x'ff' as text), 60);
create table log (line text);
"""


@contextmanager
def datasources() -> Iterator[Datasources]:
    """A database of its own for each run."""
    with tempfile.TemporaryDirectory() as directory:
        database = f"{directory}/policy.db"
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(TABLES)
        found = Datasources(
            [
                Settings("mycache", (f"sqlite:{database}",)),
                Settings("uncached", (f"sqlite:{database}",), Behaviour(cache_size=0)),
            ]
        )
        yield found
        found.close()
