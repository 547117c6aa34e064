"""What a datasource's URI asks for: which driver, where, and what in it is secret.

    sqlite:/path  pgsql:host=H;dbname=D  mysql:host=H;dbname=D  odbc:DSN=D;UID=U      Momentum's, for SQL
    ldap://  ldaps://  ldapi://                                                       RFC 2255
    csv:  cdb:  iowrapper:                                                            files
    dialect[+driver]://user:password@host/database                                    SQLAlchemy's

The law: an error about a URI never repeats it. No library of a database is imported here.

Source: manual, "ds_core", "Datasource Drivers"; SQLAlchemy, "Database URLs".
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from lumilter.errors import ConfigError

EXTRAS = {"psycopg": "postgres", "pymysql": "mysql", "pyodbc": "odbc", "ldap3": "ldap"}
"""Library to the extra of lumilter's package that brings it."""
FILES = ("csv", "cdb", "iowrapper")
KNOWN = "sqlite:, pgsql:, mysql:, odbc:, ldap://, ldaps://, ldapi://, csv:, cdb:, iowrapper: or an SQLAlchemy URL"

_URL = re.compile(r"(?P<dialect>[A-Za-z][A-Za-z0-9_]*)(?:\+(?P<library>[A-Za-z0-9_]+))?://")
_SECRET = "(?i:pwd|password|passwd|sslpassword|x-bindpw)"
_IN_PAIRS = re.compile(rf"(?:^|[:;])\s*{_SECRET}\s*=\s*(\{{(?:[^}}]|\}}\}})*\}}|[^;]*)")
_IN_URL = re.compile(rf"://[^/?#@]*:([^/?#]*)@|[?&,]!?{_SECRET}=([^&,?]*)")
_DEFAULT_LIBRARY = {"postgresql": "psycopg", "postgres": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_MYSQL_NAMES = {"dbname": "database", "passwd": "password", "db": "database", "socket": "unix_socket"}
_MYSQL_KEYS = {
    "host", "port", "user", "password", "database", "unix_socket", "bind_address", "ssl_ca", "ssl_cert", "ssl_key",
    "ssl_verify_cert", "ssl_verify_identity",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """kind: "sql", "ldap", "csv", "cdb" or "iowrapper". place: an SQLAlchemy or LDAP URL, or a path.

    arguments: for the library's connect, beside the URL. momentum: whether the URI is of Momentum's form.
    secrets: what must not be shown. local: whether it is a file on this machine. shown: the URI without secrets.
    """

    kind: str
    place: str = field(repr=False)
    shown: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    momentum: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)
    local: bool = False


def target(uri: str) -> Target:
    """The target of a URI. Raises ConfigError."""
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.lower()
    if not colon:
        raise ConfigError(f"a datasource's URI begins with {KNOWN}")
    secrets = secrets_of(uri)
    shown = hidden(uri, secrets)
    if scheme in ("ldap", "ldaps", "ldapi") and rest.startswith("//"):
        _library("ldap3", "ldap")
        return Target("ldap", uri, shown, secrets=secrets)
    if scheme in FILES:
        return Target(scheme, rest, shown, local=True)
    if url := _URL.match(uri):
        return _sqlalchemy(uri, url, shown, secrets)
    if scheme == "sqlite":
        return Target("sql", f"sqlite://{rest}", shown, {"database": rest}, local=True)
    if scheme == "pgsql":
        _library("psycopg", "postgres")
        return Target("sql", "postgresql+psycopg://", shown, _pairs(rest, "pgsql"), secrets=secrets)
    if scheme == "mysql":
        _library("pymysql", "mysql")
        return Target("sql", "mysql+pymysql://", shown, _mysql(_pairs(rest, "mysql")), secrets=secrets)
    if scheme == "odbc":
        _library("pyodbc", "odbc")
        return Target("sql", "odbc+pyodbc://", shown, {"odbc": rest}, secrets=secrets)
    if scheme == "riak":
        raise ConfigError("lumilter has no driver for riak")
    raise ConfigError(f'a datasource\'s URI begins with {KNOWN}, not with "{scheme[:20]}:"')


def secrets_of(text: str) -> tuple[str, ...]:
    """The passwords in a URI, as they stand there and as they are sent."""
    pattern = _IN_URL if "://" in text else _IN_PAIRS
    found = {group for match in pattern.finditer(text) for group in match.groups() if group}
    found |= {secret[1:-1].replace("}}", "}") for secret in found if secret[:1] == "{"}
    return tuple(found | {secret.strip() for secret in found} | {unquote(secret) for secret in found})


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """A text without the passwords."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return text


def _sqlalchemy(uri: str, url: re.Match[str], shown: str, secrets: tuple[str, ...]) -> Target:
    dialect = url["dialect"].lower()
    library = url["library"] or _DEFAULT_LIBRARY.get(dialect)
    if library:
        _library(library, dialect)
    name = {"postgres": "postgresql"}.get(dialect, dialect)
    place = f"{name}+{library}://" if library else f"{name}://"
    return Target("sql", place + uri[url.end() :], shown, momentum=False, secrets=secrets, local=dialect == "sqlite")


def _library(name: str, what: str) -> None:
    if name in EXTRAS and importlib.util.find_spec(name) is None:
        raise ConfigError(f"{what} needs {name}, which is not installed: pip install 'lumilter[{EXTRAS[name]}]'")


def _pairs(text: str, scheme: str) -> dict[str, Any]:
    """`host=H;dbname=D`; white space around them is of no meaning."""
    pairs: dict[str, Any] = {}
    for part in filter(str.strip, text.split(";")):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise ConfigError(f'expected {scheme}:host=...;dbname=..., got a part without "="')
        pairs[name.strip().lower()] = value.strip()
    return pairs


def _mysql(pairs: dict[str, Any]) -> dict[str, Any]:
    arguments = {_MYSQL_NAMES.get(name, name): value for name, value in pairs.items()}
    for name in arguments:
        if name not in _MYSQL_KEYS:
            raise ConfigError(f'unknown "{name[:40]}" in a mysql: URI; known are {", ".join(sorted(_MYSQL_KEYS))}')
    if "port" in arguments:
        if not re.fullmatch(r"[0-9]{1,5}", arguments["port"]):
            raise ConfigError("the port of a mysql: URI is no number")
        arguments["port"] = int(arguments["port"])
    return arguments
