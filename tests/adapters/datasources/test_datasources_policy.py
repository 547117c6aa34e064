"""Policies that ask real servers by msys.db: the examples of Momentum's pages, and sessions that disturb no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lumilter.adapters.datasources.contract import Options
from lumilter.adapters.datasources.datasource import Behaviour
from lumilter.adapters.datasources.service import Datasources, Settings
from lumilter.adapters.dns import FixtureResolver
from lumilter.host.tasks import Limits
from lumilter.services import Services
from support.mariadb import Mariadb
from support.openldap import PEOPLE, OpenLdap
from support.policy import Policy, policy
from support.postgres import Postgres

SLOW = "with recursive c(n) as (select 1 union all select n + 1 from c) select max(n) from c"


@contextmanager
def running(directory: Path, text: str, *settings: Settings, **options: Any) -> Iterator[Policy]:
    """A policy with these datasources."""
    datasources = Datasources(settings)
    services = Services(FixtureResolver({}), hostname="mx.example.com", datasources=datasources)
    with policy(directory, text, services=services, **options) as made:
        yield made
    datasources.close()


def run(directory: Path, text: str, *settings: Settings, **options: Any) -> Policy:
    """The same, after one message."""
    with running(directory, text, *settings, **options) as made:
        made.send()
    return made


def test_the_examples_with_postgres(postgres_server: Postgres, tmp_path: Path) -> None:
    """The pages break lines within quotes to be read; Momentum's Lua takes no such string."""
    with postgres_server.connect() as connection:
        connection.execute("drop schema if exists smpp cascade; create schema smpp; drop table if exists names")
        connection.execute("create table smpp.sms_address_mapping (from_address text, to_address text)")
        connection.execute("insert into smpp.sms_address_mapping values ('bob@example.com', '5551212@sms.example.com')")
        connection.execute("create table names (firstname text, lastname text, age int)")
        connection.execute("insert into names values ('Ann', 'Lee', 20), ('Old', 'Man', 90)")
    made = run(
        tmp_path,
        """
        require('msys.db');
        require('msys.datasource');
        function mod:validate_data_spool_each_rcpt(msg, accept, context)
          local rowset, row, err;
          rowset, err = msys.db.query('mycache', 'select firstname, lastname from names where age < ?', {30});

          if rowset == nil then
            print("ERROR: " .. err);
            return;
          end

          for row in rowset do
            print(row.firstname, row.lastname);
          end

          local orig_dst = msg:rcptto();
          local ritr, dberr = msys.db.query("ecdb",
            "SELECT to_address FROM smpp.sms_address_mapping WHERE from_address = ?", {orig_dst});

          if ritr == nil then
            print("unable to issue query: ", dberr);
          else
            for row in ritr do
              print(row.to_address);
              break;
            end
          end
        end
        """,
        Settings("mycache", (postgres_server.uri,)),
        Settings("ecdb", (postgres_server.uri,)),
    )
    assert made.errors == []
    assert made.printed == ["Ann\tLee", "5551212@sms.example.com"]


def test_a_table_of_recipients_as_momentums_own_tests_have_it(mariadb_server: Mariadb, tmp_path: Path) -> None:
    with mariadb_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("create or replace table mail.accounts (name varchar(200))")
        cursor.execute("insert into mail.accounts values ('bob')")
    text = """
        require("msys.core"); require("msys.db"); require("msys.datasource")
        function mod:validate_rcptto(msg, str, ac, vctx)
          local rowA, errA, query, params;
          local rcptto = string.match(msg:rcptto(), '(.*)@');
          query = "select 1 from accounts where name = ?";
          rowA, errA = msys.db.fetch_row("mysql", query, {rcptto}, {raise_error = false});
          if (errA != nil) then
            print ("mysql query error: " .. tostring(errA));
          end
          if (rowA == nil or rowA["1"] != "1") then
            vctx:set_code(550, "testing1");
          end
          return msys.core.VALIDATE_CONT;
        end
        """
    with running(tmp_path, text, Settings("mysql", (mariadb_server.uri,))) as made:
        replies = [made.send(recipients=[f"{name}@example.com"])[2].reply for name in ("bob", "eve", "' or 1 -- ")]
    assert made.errors == []
    assert made.printed == []
    assert [reply and reply.code for reply in replies] == [None, 550, 550]


def test_a_directory(ldap_server: OpenLdap, tmp_path: Path) -> None:
    made = run(
        tmp_path,
        f"""
        function mod:validate_rcptto(msg, str, ac, vctx)
          local row = msys.db.fetch_row("mydirectory",
            "ldap:///{PEOPLE}?cn,mail?one?(mail=$rcpt)", {{ rcpt = "ann@example.com" }})
          print(row.cn, type(row.mail), row.mail[1], row.mail[2], #row.mail)
          for entry in msys.db.query("mydirectory", "ldap:///{PEOPLE}?cn?one?(mail=bob*)") do print(entry.cn) end
        end
        """,
        Settings("mydirectory", (ldap_server.uri,)),
    )
    assert made.errors == []
    assert made.printed == ["ann\ttable\tann@example.com\tann.lee@example.com\t2", "bob (the * one)"]


def test_a_slow_query_holds_no_other_session_up(tmp_path: Path) -> None:
    text = f"""
        function mod:validate_mailfrom(str, ac, vctx)
          if tostring(str):find("slow") then
            local row, err = msys.db.fetch_row("db", "{SLOW}", nil, {{ raise_error = false }})
            print("slow", row, err)
          else
            print("fast", msys.db.fetch_row("db", "select 1 as n").n)
          end
        end
        """
    settings = Settings("db", (f"sqlite:{tmp_path}/x.db",), Behaviour(timeout=5), Options(timeout=5))
    with running(tmp_path, text, settings) as made:
        slow = threading.Thread(target=made.send, args=("slow@example.org",))
        slow.start()
        until = time.monotonic() + 30
        while not made.services.datasources.stats()["db"]["busy"]:
            assert time.monotonic() < until
            time.sleep(0.01)
        for _ in range(3):
            made.send()
        slow.join(60)
    assert made.printed == [*["fast\t1"] * 3, "slow\tnil\tdb: the query took too long"]


def test_a_hook_with_a_short_deadline_gets_the_error_first(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        f'function mod:validate_connect() print(select(2, pcall(msys.db.query, "db", "{SLOW}"))) end',
        Settings("db", (f"sqlite:{tmp_path}/x.db",)),
        limits=Limits(20_000_000, 6.0),
    )
    assert made.errors == []
    assert made.printed == ["msys.db.query: db: the query took too long"]


def test_a_query_that_fails_stops_the_hook_at_its_line(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        '\n\nfunction mod:validate_connect()\n  msys.db.query("db", "select * from nowhere")\nend',
        Settings("db", (f"sqlite:{tmp_path}/x.db",)),
    )
    assert [str(error) for error in made.errors] == ["policy.lua:4: msys.db.query: db: no such table: nowhere"]


def test_values_that_the_lua_state_has_no_room_for(tmp_path: Path) -> None:
    """An error to the script: a string that lupa has no memory for would end the process."""
    made = run(
        tmp_path,
        """
        function mod:validate_connect()
          local ok, why = pcall(msys.db.fetch_row, "db", "select hex(zeroblob(15000000)) as x")
          print(ok, type(why))
        end
        """,
        Settings("db", (f"sqlite:{tmp_path}/x.db",)),
        max_memory=10 << 20,
    )
    assert made.printed == ["false\tstring"]


def test_every_phase(tmp_path: Path) -> None:
    hooks = ["init", "validate_connect", "validate_ehlo", "validate_mailfrom", "validate_data_spool", "deinit"]
    text = "\n".join(
        f'function mod:{hook}() print("{hook}", msys.db.fetch_row("db", "select 1 as n").n) return true end'
        for hook in hooks
    )
    made = run(
        tmp_path,
        f'print("load", msys.db.fetch_row("db", "select 1 as n").n)\n{text}',
        Settings("db", (f"sqlite:{tmp_path}/x.db",)),
    )
    assert made.errors == []
    assert made.printed == [f"{hook}\t1" for hook in ("load", *hooks)]
