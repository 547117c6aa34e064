"""URIs: Momentum's and SQLAlchemy's, what in them is secret, and what is none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lumilter.adapters.datasources.service import Datasources, Settings
from lumilter.adapters.datasources.uris import target
from lumilter.errors import ConfigError


@pytest.mark.parametrize(
    ("uri", "kind", "place", "arguments"),
    [
        ("sqlite:/path/to/db", "sql", "sqlite:///path/to/db", {"database": "/path/to/db"}),
        ("sqlite:////path/to/db", "sql", "sqlite:////path/to/db", {}),
        (
            "pgsql:host=example.com;dbname=db_name;user=user_name; password=secret;port=5432", "sql",
            "postgresql+psycopg://",
            {"host": "example.com", "dbname": "db_name", "user": "user_name", "password": "secret", "port": "5432"},
        ),
        (
            "mysql:host=localhost;port=3306;dbname=ecmail; user=user;password=password", "sql", "mysql+pymysql://",
            {"host": "localhost", "port": 3306, "database": "ecmail", "user": "user", "password": "password"},
        ),
        ("odbc:DSN=sqlserver;UID=user;PWD=pass", "sql", "odbc+pyodbc://", {"odbc": "DSN=sqlserver;UID=user;PWD=pass"}),
        ("ldap://10.80.116.112", "ldap", "ldap://10.80.116.112", {}),
        ("LDAPS://x/", "ldap", "LDAPS://x/", {}),
        ("csv:", "csv", "", {}),
        ("cdb:/path/to/data.cdb", "cdb", "/path/to/data.cdb", {}),
        ("iowrapper:", "iowrapper", "", {}),
        ("postgres://u@h/d", "sql", "postgresql+psycopg://u@h/d", {}),
        ("postgresql+psycopg2://u@h/d", "sql", "postgresql+psycopg2://u@h/d", {}),
        ("mariadb://u@h/d", "sql", "mariadb+pymysql://u@h/d", {}),
        ("mssql+pyodbc://u@h/d", "sql", "mssql+pyodbc://u@h/d", {}),
    ],
)  # fmt: skip
def test_targets(uri: str, kind: str, place: str, arguments: dict[str, object]) -> None:
    found = target(uri)
    assert (found.kind, found.place, found.arguments) == (kind, place, arguments)


@pytest.mark.parametrize(
    ("uri", "secret"),
    [
        ("pgsql:host=h;password=hush;user=u", "hush"),
        ("pgsql:password = h u s h", "h u s h"),
        ("mysql:password=a&b,c?d;host=h", "a&b,c?d"),
        ("odbc:PWD=hush;DSN=x", "hush"),
        ("odbc:DSN=x;pwd={a;b}}c};UID=u", "a;b}c"),
        ("postgresql://u:hu%2Fsh@h/d", "hu/sh"),
        ("postgresql://u:hu%2Fsh@h/d", "hu%2Fsh"),
        ("postgresql://h/d?user=u&password=hush", "hush"),
        ("ldap://h/????bindname=cn=x,x-bindpw=h%2cush", "h,ush"),
        ("ldap://h/????!x-bindpw=hush,bindname=cn=x", "hush"),
    ],
)
def test_passwords_are_not_shown(uri: str, secret: str) -> None:
    found = target(uri)
    assert secret in found.secrets
    assert "***" in found.shown
    assert secret not in found.shown
    assert secret not in repr(found)
    assert secret not in repr(Settings("x", (uri,)))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "x",
        "riak:host=hush",
        "nothing:hush",
        "pgsql:hush",
        "mysql:hush=1",
        "mysql:port=hush",
        "mysql:host",
        "ldap:hush",
    ],
)
def test_what_is_none_is_an_error_that_does_not_repeat_it(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Datasources([Settings("db", (uri,))])
    assert str(caught.value).startswith('[[datasource]] "db" uri: ')
    assert "hush" not in str(caught.value).replace('"hush"', "")


def test_datasources_without_uri_and_of_the_same_name() -> None:
    with pytest.raises(ConfigError, match="has no uri"):
        Datasources([Settings("db", ())])
    with pytest.raises(ConfigError, match="there are two"):
        Datasources([Settings("db", ("csv:",)), Settings("db", ("csv:",))])


def test_no_library_is_imported_before_a_datasource_is_asked() -> None:
    program = """
import sys
from lumilter.daemon.setup import setup_of
from lumilter.config import Config
from lumilter.adapters.datasources.service import Datasources, Settings
setup_of(Config())
uris = ("sqlite:/x", "pgsql:host=h", "mysql:host=h", "odbc:DSN=x", "ldap://h", "postgresql://h/d", "csv:", "cdb:/x")
Datasources([Settings(uri, (uri,)) for uri in uris])
names = {"sqlalchemy", "psycopg", "pymysql", "pyodbc", "ldap3", "sqlite3"}
print(sorted(names & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
