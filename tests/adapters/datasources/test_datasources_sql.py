"""SQL databases: the same statements on every one of them, by Momentum's URIs and by SQLAlchemy's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lumilter.adapters.datasources.contract import DatasourceError, Request
from lumilter.adapters.datasources.datasource import Behaviour
from support.asking import NAME, Asked, asked
from support.mariadb import Mariadb
from support.patience import until
from support.postgres import Postgres

TABLE = "create table names (firstname varchar(40), lastname varchar(40), age integer, score numeric(10,2))"
ROWS = (("Ann", "Lee", 20, 1.25), ("Bob", None, 40, None), ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "%s ? :x", 60, 3))

TEXT = {"pgsql", "mysql"}
"""Where numbers come as text by default."""


def uri_of(kind: str, request: pytest.FixtureRequest, directory: Path) -> str:
    match kind:
        case "sqlite":
            return f"sqlite:{directory}/names.db"
        case "sqlite-url":
            return f"sqlite:///{directory}/names.db"
        case "odbc":
            return f"odbc:DRIVER=SQLite3;Database={directory}/odbc.db;PWD=never"
    server: Postgres | Mariadb = request.getfixturevalue(
        f"{'postgres' if 'postgres' in kind or kind == 'pgsql' else 'mariadb'}_server"
    )
    with server.connect() as connection, connection.cursor() as cursor:
        if isinstance(server, Postgres):
            cursor.execute("drop schema public cascade; create schema public; grant all on schema public to public")
        else:
            cursor.execute("drop database mail")
            cursor.execute("create database mail character set utf8mb4")
    return server.uri if kind in TEXT else server.url()


KINDS = ["sqlite", "sqlite-url", "pgsql", "postgresql-url", "mysql", "mariadb-url", "odbc"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def uri(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return uri_of(kind, request, tmp_path)


@pytest.fixture
def names(uri: str) -> Iterator[Asked]:
    """A datasource with the table."""
    with asked(uri) as source:
        source.execute(TABLE)
        for row in ROWS:
            source.execute("insert into names values (?, ?, ?, ?)", *row)
        yield source


def test_rows_by_name(names: Asked, kind: str) -> None:
    rows = names.rows("select firstname, lastname, age, score from names order by age")
    assert [row["firstname"] for row in rows] == [row[0] for row in ROWS]
    assert rows[2]["lastname"] == "%s ? :x"
    assert "lastname" not in rows[1]
    assert "score" not in rows[1]
    assert [float(row["age"]) for row in rows] == [20, 40, 60]
    assert {type(row["age"]) for row in rows} == {str if kind in TEXT else int}
    assert float(rows[0]["score"]) == 1.25
    assert float(rows[2]["score"]) == 3
    assert names.rows("select firstname from names where age = 1") == []


@pytest.mark.parametrize(
    ("condition", "values", "named"),
    [
        ("age < ?", (30,), {}),
        ("age < ?", ("30",), {}),
        ("age < ? and lastname = ?", (30, "Lee"), {}),
        ("age < :most and lastname = :last", (), {"most": 30, "last": "Lee"}),
        ("age < $most and firstname <> ':most' -- ? $most", (), {"most": 30}),
        ("age < /* ? */ $most and firstname <> '?'", (), {"most": 30}),
        ("firstname = ? or lastname = 'x%'", ("Ann", "too", "many"), {}),
        ("firstname <> '' and age < 30", (1, 2), {}),
        ("firstname <> '' and age < 30", (), {"unused": 1}),
        ("lastname like ?", ("L%",), {}),
    ],
)
def test_placeholders(names: Asked, kind: str, condition: str, values: tuple[Any, ...], named: dict[str, Any]) -> None:
    if kind == "odbc":  # libsqliteodbc counts marks in comments
        condition = condition.replace("-- ?", "--").replace("/* ? */", "/* */")
    assert names.rows(f"select firstname from names where {condition}", *values, **named) == [{"firstname": "Ann"}]


def test_what_is_missing_is_null(names: Asked) -> None:
    assert names.rows("select firstname from names where lastname = ?") == []
    assert names.rows("select firstname from names where lastname = :nobody", other="x") == []
    names.execute("insert into names values (?, ?, ?)".replace("?)", "?, null)"), "Cy")
    assert names.rows("select * from names where firstname = ?", "Cy") == [{"firstname": "Cy"}]


@pytest.mark.parametrize(
    "text", ["' or 1=1 --", '"', "\\", "\\' or 1=1 #", "%s %(p1)s %%", "a\nb", ":x $x ?", "\u4e2d\U0001f600", ""]
)
def test_values_are_never_part_of_the_statement(names: Asked, text: str) -> None:
    assert names.rows("select firstname from names where lastname = ?", text) == []
    names.execute("insert into names (firstname, lastname) values (:first, $last)", first="new", last=text)
    assert names.rows("select lastname from names where firstname = ?", "new") == [{"lastname": text}]


def test_text_that_is_not_utf8_is_latin_1(names: Asked) -> None:
    names.execute("insert into names (firstname) values (?)", b"caf\xe9 bar".decode("utf-8", "surrogateescape"))
    assert names.rows("select firstname from names where firstname like '% bar'")[0]["firstname"] == "caf\u00e9 bar"


def test_errors_are_the_databases_and_leave_the_connection_usable(names: Asked) -> None:
    for statement in ("select * from nowhere", "selec", "select firstname from names where nonsense = ?"):
        with pytest.raises(DatasourceError, match=r"^ds: ."):
            names.answer(statement, "x")
    with pytest.raises(DatasourceError, match="nowhere"):
        names.execute("insert into nowhere values (1)")
    assert len(names.rows("select * from names")) == 3
    assert names.stats["places"][0]["failures"] == 0


def test_a_transaction_does_not_outlive_its_call(names: Asked, kind: str) -> None:
    if kind == "odbc":
        return  # libsqliteodbc begins and ends transactions itself
    names.execute("begin")
    names.execute("delete from names")
    assert names.rows("select * from names") == []
    names.execute("begin")
    names.execute("insert into names (firstname) values ('kept')")
    assert len(names.rows("select * from names")) == 1


def test_no_more_rows_than_max_rows(uri: str) -> None:
    with asked(uri, max_rows=5) as few, asked(uri, max_rows=-1) as all_of_them:
        few.execute(TABLE)
        for number in range(12):
            few.execute("insert into names (age) values (?)", number)
        for _ in range(30):  # more often than there are connections
            assert len(few.rows("select age from names")) == 5
            assert len(few.rows("select age from names limit 8")) == 5
        assert len(all_of_them.rows("select age from names")) == 12
        with asked(uri, max_rows=0) as none:
            assert none.rows("select age from names") == []


def test_rows_that_nobody_wants_are_not_read(mariadb_server: Mariadb, postgres_server: Postgres) -> None:
    many = {
        mariadb_server.url(): "select repeat('x', 1000) as x from seq_1_to_50000000 limit 50000000",
        postgres_server.url(): "select repeat('x', 1000) as x, generate_series(1, 50000000)",
    }
    for uri, query in many.items():
        with asked(uri, max_rows=3) as source:
            for _ in range(3):
                assert len(source.rows(query)) == 3
            assert source.rows("select 1 as n") == [{"n": 1}]


def test_an_answer_has_a_size(uri: str) -> None:
    with asked(uri, max_size=10_000) as small:
        small.execute("create table texts (line varchar(4000))")
        for _ in range(4):
            small.execute("insert into texts values (?)", "x" * 4000)
        with pytest.raises(DatasourceError, match="the answer is larger than max_size"):
            small.rows("select line from texts")
        assert len(small.rows("select line from texts limit 2")) == 2


def test_numbers_as_configured(uri: str, kind: str) -> None:
    large = 9007199254740993 if kind != "odbc" else 1  # libsqliteodbc takes it for an int
    with asked(uri, numbers="number") as numbers, asked(uri, numbers="text") as texts:
        row = {"n": 1, "large": str(large) if large > 1 else 1, "half": 0.5}
        assert numbers.rows(f"select 1 as n, {large} as large, 0.5 as half") == [row]
        assert texts.rows(f"select 1 as n, {large} as large, 0.5 as half") == [
            {"n": "1", "large": str(large), "half": "0.5"}
        ]


SLOW: dict[str, str] = {
    "sqlite": "with recursive c(n) as (select 1 union all select n + 1 from c) select max(n) from c",
    "pgsql": "select pg_sleep(60)",
    "mysql": "select sleep(60)",
    "odbc": "with recursive c(n) as (select 1 union all select n + 1 from c) select max(n) from c",
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_query_ends_in_time_and_holds_nobody_up(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with asked(uri_of(name, request, tmp_path), behaviour=Behaviour(timeout=2, connections=2), timeout=2) as source:
        until(lambda: answers(source))
        begun = time.monotonic()
        with pytest.raises(DatasourceError, match="took too long"):
            source.answer(SLOW[name])
        with pytest.raises(DatasourceError, match="took too long"):
            source.answer(SLOW[name], seconds=1)
        assert time.monotonic() - begun < 30
        until(lambda: answers(source))
        until(lambda: source.stats["busy"] == 0)


def answers(source: Asked) -> bool:
    """Whether it has an answer in its short time; a busy machine may need a second try."""
    try:
        return len(source.rows("select 1 as n")) == 1
    except DatasourceError:
        return False


def test_postgres_as_it_writes_itself(postgres_server: Postgres) -> None:
    with asked(postgres_server.uri) as source:
        row = source.rows(
            "select true as yes, '{1,2}'::int[] as list, 1.50 as price, null as nothing, 'x'::bytea as raw"
        )[0]
        assert row == {"yes": "t", "list": "{1,2}", "price": "1.50", "raw": b"x"}
        assert source.rows(
            """select '{"a": 1}'::jsonb ? 'a' as has, $tag$ ? :x $tag$ as body, E'\\'?' as e, :x as x""", x=5
        ) == [{"has": "t", "body": " ? :x ", "e": "'?", "x": "5"}]
    with asked(postgres_server.url()) as source:
        assert source.rows("select true as yes, '{1,2}'::int[] as list, 1.50 as price") == [
            {"yes": True, "list": [1, 2], "price": 1.5}
        ]
        with pytest.raises(DatasourceError, match="NUL"):
            source.rows("select ? as x", "a\0b")
    with asked(postgres_server.uri + ";application_name=mine;connect_timeout=9") as source:
        assert source.rows("select current_setting('application_name') as name") == [{"name": "mine"}]


def test_mariadb_as_momentums_own_tests_have_it(mariadb_server: Mariadb) -> None:
    with asked(mariadb_server.uri) as source:
        assert source.rows("select 1") == [{"1": "1"}]
        assert source.rows("select `user()` from (select user()) x where 'it\\'s ?' <> ? # ?", "") != []


@pytest.mark.parametrize("uri", ["sqlite::memory:", "sqlite://", "sqlite:///:memory:", "sqlite+pysqlite://"])
def test_a_database_in_memory_is_one_for_all(uri: str) -> None:
    with asked(uri) as source:
        source.execute("create table t (a)")
        requests = [Request("insert into t values (?)", {1: number}, True) for number in range(50)]
        futures = [source.datasources.submit(NAME, request, time.monotonic() + 60) for request in requests]
        assert [future.exception(60) for future in futures] == [None] * 50
        assert source.rows("select count(*) as n from t") == [{"n": 50}]


def test_offline_nothing_reaches_a_file_or_a_server(tmp_path: Path) -> None:
    uri = f"sqlite:{tmp_path}/names.db"
    with asked(uri) as source:
        source.execute("create table t (a)")
        with asked(uri, offline=True) as copy:
            copy.execute("insert into t values (1)")
            assert len(copy.rows("select * from t")) == 1
        assert source.rows("select * from t") == []
    missing = asked(f"sqlite:///{tmp_path}/none.db", offline=True)
    with missing as source, pytest.raises(DatasourceError, match="unable to open database file"):
        source.rows("select 1")
    assert not (tmp_path / "none.db").exists()
    with asked("pgsql:host=127.0.0.1", offline=True) as server, pytest.raises(DatasourceError, match="--live"):
        server.rows("select 1")
