"""`lumilter check`, `test` and `eval` with datasources: nothing is changed, nothing secret is shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.command import Lumilter

Write = Callable[..., Path]
POLICY = """
function mod:validate_rcptto(msg, str, ac, vctx)
  msys.db.execute("local", "insert into seen values (?)", { tostring(str) })
  vctx:set_code(550, "seen " .. msys.db.fetch_row("local", "select count(*) as n from seen", nil, {nocache=true}).n)
  print(select(2, msys.db.query("remote", "select 1", nil, { raise_error = false })))
end
"""


@pytest.fixture
def config(tmp_path: Path, script: Write) -> Path:
    with closing(sqlite3.connect(tmp_path / "local.db")) as database:
        database.executescript("create table seen (address text)")
    source = script(POLICY)
    file = tmp_path / "lumilter.toml"
    file.write_text(
        f'''[[script]]
name = "policy"
source = "{source}"
[[datasource]]
name = "local"
uri = "sqlite:{tmp_path}/local.db"
[[datasource]]
name = "remote"
uri = "pgsql:host=127.0.0.1;port=1;password=hush"
'''
    )
    return file


def seen(config: Path) -> int:
    with closing(sqlite3.connect(config.parent / "local.db")) as database:
        return int(database.execute("select count(*) from seen").fetchone()[0])


def test_offline_and_live(lumilter: Lumilter, config: Path, tmp_path: Path) -> None:
    message = tmp_path / "message.eml"
    message.write_bytes(b"Subject: x\n\nx\n")
    for _ in range(2):
        ran = lumilter("test", "-c", config, "-f", "a@b.c", "-r", "d@e.f", message)
        assert ran.status == 77
        assert "seen 1" in ran.out
        assert "remote: a server is not asked here; --live does" in ran.out
    assert seen(config) == 0
    ran = lumilter("test", "-c", config, "--live", "-f", "a@b.c", "-r", "d@e.f", message)
    assert "seen 1" in ran.out
    assert "refused" in ran.out
    assert "hush" not in ran.out + ran.err
    assert seen(config) == 1


def test_eval(lumilter: Lumilter, config: Path) -> None:
    ran = lumilter("eval", "-c", config, 'msys.db.fetch_row("local", "select 1 as n").n')
    assert (ran.status, ran.out) == (0, "1\n")


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("riak:host=hush", "no driver for riak"),
        ("oracle-hush", "begins with"),
        ("mysql:passphrase=hush", 'unknown "passphrase"'),
    ],
)
def test_check_names_the_datasource(lumilter: Lumilter, config: Path, uri: str, says: str) -> None:
    config.write_text(config.read_text().replace("pgsql:host=127.0.0.1;port=1;password=hush", uri))
    ran = lumilter("check", "-c", config)
    assert ran.status == 78
    assert '[[datasource]] "remote" uri:' in ran.err
    assert says in ran.err
    assert "hush" not in ran.err
