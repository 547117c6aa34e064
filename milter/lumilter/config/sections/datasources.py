"""[[datasource]]: what scripts ask by msys.db.

The law: what a key means is said here and nowhere else (see schema).
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import BOOLEAN, SIZE, TEXT, Kind, choice, integer, optional, seconds


def _uris(value: object) -> tuple[str, ...]:
    """The values are not repeated in an error: they may hold passwords."""
    given = value if isinstance(value, list) else [value]
    if not given or not all(isinstance(uri, str) and uri and "\0" not in uri for uri in given):
        raise ValueError(f"expected {URIS.expected}")
    return tuple(given)


URIS = Kind("a URI, or a list of them", _uris)


def _charset(value: object) -> str:
    name = str(TEXT.read(value))
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        raise ValueError(f'expected the name of a charset, got the string "{name[:40]}"') from None
    return name


@dataclass(frozen=True, slots=True)
class Datasource:
    """A database, directory or file that scripts ask by msys.db; Momentum's Datasource stanza."""

    name: str = key(TEXT, "The cachename that scripts give.", example="customers")
    uri: tuple[str, ...] = key(
        URIS,
        "Where it is: a URI of Momentum's (sqlite:, pgsql:, mysql:, odbc:, ldap://, csv:, cdb:, iowrapper:) or an "
        "SQLAlchemy URL; or a list of several, which give the same answers. Where it holds a password let nobody else "
        "read this file.",
        example=["pgsql:host=db1;dbname=mail", "pgsql:host=db2;dbname=mail"],
        secret=True,
    )
    order: str = key(
        choice("failover", "round-robin"),
        'Of several URIs: "failover" takes the first that can be reached, and goes back to an earlier one when that '
        'answers again; "round-robin", as Momentum does, takes each in turn, those that can\'t be reached left out.',
        "failover",
    )
    cache_size: int = key(integer(0), "Answers that are kept; the least recently used goes first.", 1000)
    cache_life: float = key(seconds(0), "Seconds for which an answer is kept.", 3600)
    cache_memory: int = key(SIZE, "Memory that kept answers may take in one worker, about.", "64M")
    no_cache: bool = key(BOOLEAN, "Keep no answers.", False)
    max_rows: int = key(integer(-1), "Rows that a query gives at most; -1 is no limit.", 100)
    max_size: int = key(SIZE, "Size of the largest answer, in memory; a larger one is an error.", "64M")
    connections: int = key(
        integer(1, 1000),
        "Connections, and so queries at the same time, of one worker; more queries wait, within `timeout`.",
        10,
    )
    connection_life: float = key(seconds(1), "Seconds after which a connection is replaced by a new one.", 3600)
    connect_timeout: float = key(seconds(0.1), "Seconds that making a connection may take.", 3)
    timeout: float = key(
        seconds(0.1),
        "Seconds that a query may take, its wait for a connection included; never longer than its hook has left.",
        10,
    )
    retry: float = key(seconds(0.1), "Seconds for which a URI that could not be reached is not tried again.", 5)
    numbers: str = key(
        choice("auto", "number", "text"),
        'How scripts get numbers: as "number" or as "text". "auto" is text for pgsql: and mysql: URIs, as Momentum\'s '
        "drivers give it, and numbers for all others.",
        "auto",
    )
    assume_charset: str | None = key(
        optional(Kind('the name of a charset such as "iso-8859-1"', _charset)),
        "Charset of text that is not UTF-8, which then becomes UTF-8. Empty leaves it as it is.",
        "",
        example="iso-8859-1",
    )
