"""datasources: queries of scripts, URIs and LDAP URLs, and files with anything in them."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import FROM_MTA, TEXT, damaged, soup
from lumilter.adapters.datasources.cdb import hash_of, values
from lumilter.adapters.datasources.contract import Cut, DatasourceError, Options, Request
from lumilter.adapters.datasources.csv_files import CsvDriver
from lumilter.adapters.datasources.ldap_url import LdapUrl, escaped_filter, escaped_name, parse
from lumilter.adapters.datasources.placeholders import pieces, rendered
from lumilter.adapters.datasources.service import Datasources, Settings
from lumilter.adapters.datasources.uris import hidden, secrets_of
from lumilter.adapters.datasources.uris import target as target_of
from lumilter.errors import ConfigError

SQL = [
    "select ", "1", " ? ", ":a", "$a", "'", "''", '"', "`", "--", "/*", "*/", "#", "$$", "$t$", "e'", "\\", "\n",
    "::int", ":=", " = ", "%", "%s", "@a", "(", ")", ";", "[1:n]", "and ",
]  # fmt: skip
PARAMS = st.dictionaries(
    st.sampled_from([1, 2, 3, "a", "b"]), FROM_MTA | st.integers() | st.floats() | st.booleans() | st.none(), max_size=3
)


@target(soup(SQL), PARAMS, st.sampled_from(["sqlite", "postgresql", "mysql", "odbc"]), examples=500)
def placeholders(text: str, params: dict[Any, Any], dialect: str) -> None:
    """Pieces are the text; a placeholder becomes the driver's, with a value that was given, or NULL."""
    assert "".join(part for part, _ in pieces(text, dialect)) == text
    for style in ("qmark", "format", "pyformat", "named"):
        with suppress(DatasourceError):
            _, got = rendered(Request(text, params), dialect, style)
            if got is not None:
                for value in got.values() if isinstance(got, dict) else got:
                    assert value is None or any(value is given for given in params.values())


@contextmanager
def _memory() -> Iterator[Datasources]:
    datasources = Datasources([Settings("db", ("sqlite::memory:",))])
    yield datasources
    datasources.close()


@target(soup(SQL).filter(lambda text: "\ud800" not in text), PARAMS, st.booleans(), examples=200, using=_memory)
def sqlite(datasources: Datasources, text: str, params: dict[Any, Any], execute: bool) -> None:
    """Any query is answered or is a DatasourceError, and the next one works."""
    for request in (Request(text, params, execute), Request("select 1 as n")):
        future = datasources.submit("db", request, time.monotonic() + 60, nocache=True)
        error = future.exception(60)
        assert error is None or (isinstance(error, DatasourceError) and "internal error" not in str(error)), error
    assert future.result().row(0) == {"n": 1}


@target(FROM_MTA, examples=300)
def values_in_sqlite(value: str) -> None:
    """A value comes back as it was, or as latin-1 where it is no UTF-8."""
    from lumilter.adapters.datasources.sql_dialects import Sqlite

    sent = Sqlite(target_of("sqlite::memory:"), Options()).parameter(value)
    with closing(sqlite3.connect(":memory:")) as connection:
        got = connection.execute("select ?", (sent,)).fetchone()[0]
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    assert got == value


URIS = [
    "sqlite:", "pgsql:", "mysql:", "odbc:", "ldap://", "postgresql://", "mysql+pymysql://", "csv:", "cdb:", "host=",
    "port=", "password=hush", "PWD={hush}", "user=u", ";", "@", ":", "/", "?", "&", ",", "x-bindpw=hush",
    "u:hush@h", "{", "}", "%2c",
]  # fmt: skip


@target(soup(URIS, 10) | TEXT, examples=500)
def uris(uri: str) -> None:
    """Any URI has a target or is a ConfigError; what is secret in it is not shown."""
    secrets = secrets_of(uri)
    shown = hidden(uri, secrets)
    for secret in secrets:
        assert secret not in shown or secret in "***"
    with suppress(ConfigError):
        assert target_of(uri).shown == shown


LDAP = [
    "ldap://", "ldap:///", "ldaps://h:1/", "ldapi://%2fx/", "dc=x", "?", "??", "cn", ",", "sub", "one", "base",
    "(cn=$a)", "$a", "${b}", "(", ")", "*", "%2a", "%", "bindname=$a", "x-bindpw=p", "!", "=", "x-search-timeout=5",
    "\n   ", "x-return-dn=$b",
]  # fmt: skip


@target(soup(LDAP, 15) | TEXT, PARAMS, examples=500)
def ldap_urls(text: str, params: dict[Any, Any]) -> None:
    """Any text is an LDAP URL or a DatasourceError, and can be sent: it is UTF-8."""
    try:
        url = parse(text, params).over(LdapUrl("ldap", "h", "dc=base", (), "sub", "(a=b)", {"bindname": "x"}))
    except DatasourceError:
        return
    assert url.scope in ("base", "one", "sub")
    if "\ud800" not in text + "".join(map(str, params.values())):
        for each in (url.dn, url.filter, *url.attributes, *url.extensions.values()):
            each.encode()


@target(TEXT, examples=300)
def ldap_values(value: str) -> None:
    """An escaped value has no character left that means something."""
    if "\ud800" in value:
        return
    assert not set(escaped_filter(value)) & set("()*\0")
    escaped = escaped_name(value)
    assert "\0" not in escaped
    for at, letter in enumerate(escaped):
        if letter in ',+"<>;=':
            assert escaped[:at].endswith("\\")


def _cdb(records: dict[bytes, bytes]) -> bytes:
    """A database, by the format's description."""
    body, tables = bytearray(2048), [[] for _ in range(256)]
    for key, value in records.items():
        tables[hash_of(key) % 256].append((hash_of(key), len(body)))
        body += len(key).to_bytes(4, "little") + len(value).to_bytes(4, "little") + key + value
    for number, entries in enumerate(tables):
        slots = [(0, 0)] * (2 * len(entries))
        for hashed, at in entries:
            slot = hashed // 256 % len(slots)
            while slots[slot][1]:
                slot = (slot + 1) % len(slots)
            slots[slot] = hashed, at
        head = len(body).to_bytes(4, "little") + len(slots).to_bytes(4, "little")
        body[8 * number : 8 * number + 8] = head
        for hashed, at in slots:
            body += hashed.to_bytes(4, "little") + at.to_bytes(4, "little")
    return bytes(body)


RECORDS = {b"a": b"1", b"b": b"22", b"": b"", b"\xff\0": b"x" * 50}
DATABASE = _cdb(RECORDS)


@target(damaged([DATABASE], [b"\xff" * 8, b"\0" * 8]), st.sampled_from([*RECORDS, b"none"]), examples=500)
def cdb(raw: bytes, key: bytes) -> None:
    """A search in any bytes ends, with values of the file or with struct.error or ValueError."""
    assert list(values(DATABASE, key)) == ([RECORDS[key]] if key in RECORDS else [])
    import struct

    with suppress(struct.error, ValueError):
        for value in values(raw, key):
            assert value in raw


@contextmanager
def _file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "x.csv"


@target(
    soup([",", ";", '"', '""', "a", "\n", "\r\n", "\r", "caf\u00e9"]).map(lambda t: t.encode("utf-8", "replace"))
    | st.binary(max_size=80),
    examples=200,
    using=_file,
)
def csv(path: Path, raw: bytes) -> None:
    """Any bytes are rows of texts, or a DatasourceError."""
    path.write_bytes(raw)
    with suppress(DatasourceError):
        answer = CsvDriver("", Options()).ask(Request(str(path)), time.monotonic() + 60, Cut())
        for number in range(len(answer.rows)):
            assert all(isinstance(value, str) for value in answer.row(number).values())
