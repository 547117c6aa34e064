"""docs/datasources.md: its configuration and its policy, as they stand there, with real servers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import cdblib
import pytest

from support.certificates import Authority
from support.daemon import ENVIRONMENT, Daemon, write
from support.mariadb import mariadb
from support.milter_client import MilterClient
from support.openldap import openldap
from support.pages import placed, sections
from support.ports import free_port
from support.postgres import postgres

PAGE = sections("datasources.md")
TOML = PAGE["What to configure"]["/etc/lumilter/lumilter.toml"]
POLICY = PAGE["Queries"]["policy.lua"]


def ran(config: Path, lua: str, *options: str) -> str:
    """What `lumilter eval` prints."""
    command = [sys.executable, "-m", "lumilter", "eval", "-c", str(config), *options, lua]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's configuration with its servers; the second PostgreSQL is the one that runs."""
    place = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        pg, maria = stack.enter_context(postgres()), stack.enter_context(mariadb())
        ldap = stack.enter_context(openldap(Authority.make(tmp_path_factory.mktemp("authority"))))
        with pg.connect() as connection:
            connection.execute("alter role policy password 'secret'")
            connection.execute("create table customers (name text, since int); grant select on customers to policy")
            connection.execute("insert into customers values ('Ann', 1999)")
        with maria.connect() as root, root.cursor() as cursor:
            cursor.execute("alter user policy@'127.0.0.1' identified by 'secret'")
            cursor.execute("create table mail.bills (number int)")
            cursor.execute("insert into mail.bills values (7)")
        for name, statements in {
            "policy": "create table refused (address text, reason text); create table seen (address text, client text);"
            "insert into refused values ('bad@example.com', 'closed')",
            "warehouse": "create table stock (item text); insert into stock values ('box')",
        }.items():
            with closing(sqlite3.connect(place / f"{name}.db")) as database:
                database.executescript(statements)
        with (place / "blocked.cdb").open("wb") as file, cdblib.Writer(file) as writer:
            writer.put(b"spam.example", b"yes")
        (place / "nets.csv").write_text("10.0.0.0/8,private\n")
        toml = placed(
            TOML,
            {
                "/var/lib/lumilter": str(place), "5432": str(free_port()), "5433": str(pg.port),
                "3306": str(maria.port), "389": str(ldap.port),
            },
        )  # fmt: skip
        (place / "lumilter.toml").write_text(toml)
        yield place / "lumilter.toml"


ASKED = [
    ('msys.db.fetch_row("local", "select reason from refused").reason', '"closed"'),
    ('msys.db.fetch_row("customers", "select since from customers where name = $n", {n = "Ann"}).since', '"1999"'),
    ('msys.db.fetch_row("billing", "select number from bills").number', "7"),
    ('msys.db.fetch_row("warehouse", "select item from stock where item <> ?", {"x"}).item', '"box"'),
    ('msys.db.fetch_row("people", "ldap:///???(cn=$who)", {who = "bob (the * one)"}).mail', '"bob@example.com"'),
    ('#msys.db.fetch_row("people", "ldap:///???(cn=ann)").mail', "2"),
    ('msys.db.fetch_row("csv", "{place}/nets.csv")[2]', '"private"'),
    ('msys.db.fetch_row("blocked", "$domain", {domain = "spam.example"})[1]', '"yes"'),
    ('msys.db.fetch_row("blocked", "$domain", {domain = "ham.example"})', "nil"),
    ('msys.db.fetch_row("io", "{place}/nets.csv")[1]:sub(1, 18)', '"10.0.0.0/8,private"'),
]


def test_every_datasource_of_the_page(config: Path) -> None:
    lua = ", ".join(f"({expression})" for expression, _ in ASKED).replace("{place}", str(config.parent))
    assert ran(config, lua, "--live").split("\n") == [printed for _, printed in ASKED]


def test_offline(config: Path) -> None:
    insert = 'msys.db.execute("local", "insert into seen values (1, 2)")'
    assert ran(config, f'{insert}, msys.db.fetch_row("local", "select count(*) as n from seen").n') == "true\n1"
    assert ran(config, 'msys.db.fetch_row("local", "select count(*) as n from seen").n') == "0"
    for name in ("customers", "people"):
        assert "--live" in ran(config, f'select(2, msys.db.query("{name}", "x", nil, {{raise_error = false}}))')


def test_the_policy_in_a_daemon_with_two_workers(config: Path, tmp_path: Path) -> None:
    socket = tmp_path / "m.sock"
    text = POLICY.replace("local mod = {}", "").replace('msys.registerModule("policy", mod)', "")
    file = write(tmp_path / "etc", socket, [text], config.read_text())
    file.write_text(file.read_text().replace("[milter]\n", "[milter]\nworkers = 2\n"))
    with Daemon(file, tmp_path / "log"):
        for number in range(12):
            with MilterClient(str(socket)) as client:
                client.negotiate()
                client.connect()
                client.helo()
                client.mail("<ann@example.org>")
                answer = client.rcpt("<bad@example.com>" if number % 2 else "<bob@example.com>")
                assert answer.text == ("550 5.7.1 closed" if number % 2 else "")
                client.quit()
    with closing(sqlite3.connect(config.parent / "policy.db")) as database:
        assert database.execute("select count(*) from seen").fetchone() == (12,)
