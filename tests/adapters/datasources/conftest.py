"""The servers that datasources are tried with, each started once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.certificates import Authority
from support.mariadb import Mariadb, mariadb
from support.openldap import OpenLdap, openldap
from support.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Mariadb]:
    with mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def ldap_server(authority: Authority) -> Iterator[OpenLdap]:
    with openldap(authority) as server:
        yield server
