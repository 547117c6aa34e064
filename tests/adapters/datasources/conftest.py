"""The servers that datasources are tried with, each started once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.mariadb import Mariadb, mariadb
from support.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Mariadb]:
    with mariadb() as server:
        yield server
