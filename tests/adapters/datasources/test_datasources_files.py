"""CSV, CDB and I/O wrapper: what files are asked for, and files that are not what they should be."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import cdblib
import pytest

from lumilter.adapters.datasources.cdb import values
from lumilter.adapters.datasources.contract import DatasourceError
from lumilter.adapters.datasources.service import Datasources, Settings
from lumilter.errors import LumilterError
from support.asking import NAME, Asked, asked


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "nets.csv"
    path.write_bytes(b'\xef\xbb\xbf10.0.0.0/8,"private, ""ten""",a\r\n\r\n192.0.2.0/24,"two\nlines"\r\n,caf\xe9,x\n')
    return path


def test_csv_by_position(table: Path) -> None:
    everything = [
        {1: "10.0.0.0/8", 2: 'private, "ten"', 3: "a"},
        {1: "192.0.2.0/24", 2: "two\nlines"},
        {1: "", 2: "caf\udce9", 3: "x"},
    ]
    with asked("csv:") as anywhere, asked(f"csv:{table}") as here, asked(f"csv:{table}?cols=1") as narrow:
        assert anywhere.rows(str(table)) == everything
        assert here.rows("") == everything
        assert [row.get(2) for row in here.rows(f"{table}?cols=1")] == [None] * 3
        assert narrow.rows("") == [{1: "10.0.0.0/8"}, {1: "192.0.2.0/24"}, {1: ""}]
        assert narrow.rows("cols=2")[1] == {1: "192.0.2.0/24", 2: "two\nlines"}
        assert anywhere.rows(f"{table.parent}/$name?cols=1", name="nets.csv")[1] == {1: "192.0.2.0/24"}
    with asked("csv:", max_rows=2, charset="latin-1") as limited:
        assert len(limited.rows(str(table))) == 2
    with asked("csv:", max_rows=-1, charset="latin-1") as translated:
        assert translated.rows(str(table))[2][2] == "caf\u00e9"


def test_csv_by_name(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("first;last\nAnn;Lee\nBob\n")
    with asked("csv:") as source:
        rows = source.rows(f"{path}?header=1&delimiter=%3B")
        assert rows == [{"first": "Ann", "last": "Lee"}, {"first": "Bob"}]


@pytest.mark.parametrize("query", ["?cols=0", "?cols=x", "?lines=2", "?delimiter=ab", "?delimiter="])
def test_csv_what_is_wrong(table: Path, query: str) -> None:
    with asked("csv:") as source, pytest.raises(DatasourceError):
        source.rows(f"{table}{query}")


@pytest.mark.parametrize("uri", ["csv:", "cdb:", "iowrapper:"])
def test_files_that_can_t_be_read(uri: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with asked(uri, max_size=100) as source:
        (tmp_path / "large").write_bytes(b"x" * 101)
        for name in ("missing", "pipe", "large", ".", "a\0b", "x" * 5000, "caf\udce9"):
            with pytest.raises(DatasourceError, match=r"^ds: ."):
                source.rows(f"{tmp_path}/{name}?k")
        with pytest.raises(DatasourceError, match="names no file"):
            source.rows("")
        with pytest.raises(DatasourceError, match="slash"):
            source.rows(f"{tmp_path}/$name?k", name="../etc/passwd")
        with pytest.raises(DatasourceError, match="can only be asked"):
            source.execute(f"{tmp_path}/missing?k")
        assert source.stats["places"][0]["failures"] == 0


# --- CDB --------------------------------------------------------------------------------------------------------------

RECORDS = [(b"example.com", b"1"), (b"caf\xe9", b"\xff\x00"), (b"", b"nothing"), (b"example.com", b"2")] + [
    (f"key{number}".encode(), f"value{number}".encode()) for number in range(500)
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data.cdb"
    with path.open("wb") as file, cdblib.Writer(file) as writer:
        for key, value in RECORDS:
            writer.put(key, value)
    return path


@pytest.fixture
def cdb(database: Path) -> Iterator[Asked]:
    with asked(f"cdb:{database}") as source:
        yield source


def test_cdb(cdb: Asked, database: Path) -> None:
    assert cdb.rows("example.com") == [{1: "1"}, {1: "2"}]
    assert cdb.rows("$domain", domain="example.com") == [{1: "1"}, {1: "2"}]
    assert cdb.rows("key$n", n=499) == [{1: "value499"}]
    assert cdb.rows(f"{database}?$key", key="caf\udce9") == [{1: "\udcff\0"}]
    assert cdb.rows(f"{database}?") == [{1: "nothing"}]
    assert cdb.rows("nobody") == []
    assert cdb.rows("$key", key="a/b?c") == []
    with asked("cdb:", max_rows=1) as source:
        assert source.rows(f"{database}?example.com") == [{1: "1"}]


def test_cdb_as_another_reader_has_it(database: Path) -> None:
    raw = database.read_bytes()
    for key, _ in RECORDS:
        assert list(values(raw, key)) == list(cdblib.Reader(raw).gets(key))


def test_a_damaged_cdb_file_ends_the_search(database: Path, tmp_path: Path) -> None:
    raw = database.read_bytes()
    full = bytearray(raw)
    table, slots = struct.unpack_from("<II", raw, 8 * 133)
    for number in range(slots):  # no empty slot, so that nothing says stop
        struct.pack_into("<II", full, table + 8 * number, 1, 2048)
    cases = [b"", b"x" * 2047, b"\xff" * 4096, raw[:3000], raw[:-100], bytes(full), bytes(2048)]
    with asked("cdb:") as source:
        for number, case in enumerate(cases):
            path = tmp_path / str(number)
            path.write_bytes(case)
            for key in ("example.com", "key1", "key2", "x"):
                try:
                    source.rows(f"{path}?{key}")
                except DatasourceError as error:
                    assert "is no CDB file" in str(error) or "can't be read" in str(error)


# --- I/O wrapper ------------------------------------------------------------------------------------------------------


def test_iowrapper_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"line\ncaf\xe9\0")
    with asked("iowrapper:") as source:
        for query in (f"{tmp_path}/text", f"file://{tmp_path}/text"):
            assert source.rows(query) == [{1: "line\ncaf\udce9\0"}]
        assert source.rows(f"{tmp_path}/$name", name="text") == [{1: "line\ncaf\udce9\0"}]
        with pytest.raises(DatasourceError, match="--live"):
            source.rows("http://example.com/x")


@pytest.mark.parametrize(
    ("uri", "opened"),
    [
        ("http://a.example/$name", "http://a.example/x%20%40y"),
        ("persist://https://a.example/$name", "persist://https://a.example/x%20%40y"),
        ("persist:///lists/$name", "persist:///lists/x @y"),
        ("persist://persist://FILE:///lists/$name", "persist://persist://FILE:///lists/x%20%40y"),
        ("FILE:///lists/$name", "FILE:///lists/x%20%40y"),
    ],
)
def test_a_parameter_leads_out_of_no_directory(uri: str, opened: str) -> None:
    asked_for = []

    def opener(uri: str, deadline: float, most: int) -> bytes:
        asked_for.append(uri)
        return b""

    datasources = Datasources([Settings(NAME, ("iowrapper:",))], opener=opener)
    source = Asked(datasources)
    source.rows(uri, name="x @y")
    assert asked_for == [opened]
    if "http" not in uri:
        for name in ("../secret", "..", "a/b"):
            with pytest.raises(DatasourceError, match="has a slash in it"):
                source.rows(uri, name=name)
    datasources.close()


def test_iowrapper_uris() -> None:
    asked_for = []

    def opener(uri: str, deadline: float, most: int) -> bytes:
        asked_for.append(uri)
        if "missing" in uri:
            raise LumilterError("404 Not Found")
        return b"body"

    datasources = Datasources([Settings(NAME, ("iowrapper:",))], opener=opener)
    source = Asked(datasources)
    assert source.rows("https://example.com/$user?x=1", user="a/b&c caf\udce9") == [{1: "body"}]
    assert asked_for == ["https://example.com/a%2Fb%26c%20caf%E9?x=1"]
    with pytest.raises(DatasourceError, match="ds: 404 Not Found"):
        source.rows("https://example.com/missing")
    datasources.close()
