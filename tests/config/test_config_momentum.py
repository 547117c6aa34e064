"""Momentum's own configuration: structure, includes, and the scripts that are taken from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.config import Config, load
from lumilter.config.stanza import Include, Option, Stanza, parse
from lumilter.errors import ConfigError

WHOLE = """
# an ecelerity.conf as it is found in the wild
Domain example.com { Max_Outbound_Connections = 20 } /* a comment
with a } in it */
ESMTP_Listener {
  Listen "*:25" {
    Peer "10.0.0.0/8" { context = [ trusted_mx = "yes" other = ( "a" "b" ) ] }
    TLS_Verify_Mode = 'CAfile'   # quotes of the other kind
  }
}
ThreadPool "swap" { concurrency=20 }
relay_hosts = ( "10.0.0.0/8", 'a } b', "say \\"}\\"" )
alias "a" "b" { map [ address = "%{rcptto}" ] }
Esmtp_Listener = { Enable = true }
alerting {}
scriptlet "scriptlet" {
  gc_pause = 100
  script_ttl = 300
  script "boot" { source = "msys.boot" }
  script "first" {
    source = "scripts.first"
  }
}
Scriptlet "scriptlet" { Script "second" { Source = "scripts/second" } shout = 1 }
"""


@pytest.fixture
def load_momentum(tmp_path: Path):
    """Write an ecelerity.conf beside the scripts that it may name, and load it."""
    (tmp_path / "scripts").mkdir()
    for name in ("first", "second", "third"):
        (tmp_path / f"scripts/{name}.lua").touch()

    def load_it(text: str, toml: str = "") -> Config:
        (tmp_path / "ecelerity.conf").write_text(text)
        (tmp_path / "lumilter.toml").write_text(f'[momentum]\nconfig = "ecelerity.conf"\n{toml}')
        return load(tmp_path / "lumilter.toml")

    return load_it


def test_monitors_of_inbound_audit_are_taken(load_momentum) -> None:
    config = load_momentum('inbound_audit { monitors = ( "300,6" "1800, 4" )\n log_dir = "/x" }\n')
    assert config.inbound_audit.monitors == ((300, 6), (1800, 4))
    assert any("log_dir of inbound_audit has no effect here" in note for note in config.notes)
    with pytest.raises(ConfigError, match='expected "seconds,windows"'):
        load_momentum('inbound_audit { monitors = "often" }\n')


def test_pools_are_taken_where_toml_has_none_of_the_name(load_momentum) -> None:
    stanzas = (
        'ThreadPool "DNS" { Concurrency = 3 Backlog = 7 Stack_Size = 65536 }\nThreadPool "io" { concurrency = 9 }\n'
    )
    config = load_momentum(stanzas + 'threadpool "Bare" {}\n', '[[pool]]\nname = "IO"\nconcurrency = 2\n')
    assert [(pool.name, pool.concurrency, pool.backlog) for pool in config.pools] == [
        ("IO", 2, 1000), ("DNS", 3, 7), ("Bare", 5, 0),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"ecelerity.conf:1: expected a number for Concurrency, got 'many'"):
        load_momentum('ThreadPool "x" { Concurrency = many }')


def test_scripts_are_taken_and_the_rest_is_skipped(load_momentum, tmp_path: Path) -> None:
    config = load_momentum(WHOLE, '[[script]]\nname = "own"\nsource = "scripts/third.lua"\n')
    assert [(script.name, script.file) for script in config.scripts] == [
        ("own", f"{tmp_path}/scripts/third.lua"),
        ("first", f"{tmp_path}/scripts/first.lua"),
        ("second", f"{tmp_path}/scripts/second.lua"),
    ]
    assert config.scripts[1].declared_at == f"{tmp_path}/ecelerity.conf:21"
    assert config.lua.path[-1] == f"{tmp_path}/?.lua"
    assert [note.removeprefix(f"{tmp_path}/ecelerity.conf:") for note in config.notes] == [
        "17: gc_pause tunes Momentum's own Lua and has no effect here",
        "18: script_ttl tunes Momentum's own Lua and has no effect here",
        "24: shout is not known in a scriptlet and has no effect here",
        "19: msys.boot is Momentum's own and not needed here",
    ]


def test_includes(load_momentum, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/20-b.conf").write_text('scriptlet "s" { script "b" { source = "scripts.second" } }')
    (tmp_path / "conf.d/10-a.conf").write_text('scriptlet "s" { script "a" { include "../source.inc" } }')
    (tmp_path / "conf.d/.hidden").write_text("}")
    (tmp_path / "source.inc").write_text('source = "scripts.first"')
    (tmp_path / "list.inc").write_text('script "c" { source = "scripts.third" }')
    config = load_momentum(
        'include "conf.d"\nscriptlet "s" { readonly_include "list.inc" }\ninclude "persist://http://example.org/x.conf"\n'
    )
    assert [script.name for script in config.scripts] == ["a", "b", "c"]
    assert "only files are" in config.notes[0]


def test_a_scriptlet_that_is_not_enabled(load_momentum) -> None:
    config = load_momentum('scriptlet "s" { enabled = false script "a" { source = "gone" } }')
    assert config.scripts == ()
    assert "is not enabled" in config.notes[0]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('scriptlet "s" {\n', 1, '"scriptlet" has no closing }'),
        ("\n}", 2, "a } without a {"),
        ("a = (\n b", 1, "this ( is not closed"),
        ("a = ( b\n ]", 2, "expected the end of the ( of line 1, got ]"),
        ("a =", 1, '"a" has no value'),
        ("a = =", 1, 'expected a value for "a", got ='),
        ("a\nb", 1, 'expected = or { after "a"'),
        ("=", 1, "expected an option or a stanza, got ="),
        ('a = "x\n\n', 1, "no closing quote"),
        ("\n/* x", 2, "no */"),
        ('include "none.conf"', 1, 'include "none.conf": there is no'),
        (f'include "{"x" * 300}"', 1, "can't be read: File name too long"),
        ('include "ecelerity.conf"', 1, "includes itself"),
        ('scriptlet "s" {}\nscriptlet "t" {}', 2, 'expected scriptlet "s", as before, got "t"'),
        ('scriptlet "s" {\nscript { source = "a" } }', 2, "expected one name after script"),
        ('scriptlet "s" {\nscript "a" { } }', 2, 'script "a" has no source'),
        ('scriptlet "s" {\nscript "a" {\nsource = "nowhere" } }', 3, '"nowhere" was not found; tried'),
        (
            'scriptlet "s" {\nscript "a" { source = scripts.first }\nscript "a" { source = scripts.second } }',
            3,
            "two scripts",
        ),
    ],
)
def test_errors_have_their_line(load_momentum, tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_momentum(text)
    assert says in caught.value.message
    assert (caught.value.file, caught.value.line) == (f"{tmp_path}/ecelerity.conf", line)


def test_structure() -> None:
    text = 'A "x y" b { c = d include "f" e = 1 g { } }\nbits [ 1 = ( "}" ) ]'
    assert parse(text, "f") == (
        Stanza(
            "A", ("x y", "b"), (Option("c", "d", 1), Include("f", 1), Option("e", "1", 1), Stanza("g", (), (), 1)), 1
        ),
        Option("bits", None, 2),
    )


def test_deep_nesting_is_no_recursion() -> None:
    depth = 20_000
    items = parse("a { " * depth + "} " * depth, "f")
    for _ in range(depth - 1):
        (inner,) = items
        assert isinstance(inner, Stanza)
        items = inner.body
    assert parse("a = " + "(" * depth + ")" * depth, "f") == (Option("a", None, 1),)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet="ab {}[]()=\"'\\#/*\n,"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, "f")
    except ConfigError as raised:
        assert 1 <= raised.line <= text.count("\n") + 1


DATASOURCES = """
Datasource "mssql" {
  uri  = (
           "odbc:DSN=sqlserver;UID=user;PWD=pass"
           "odbc:DSN=sqlserver2;UID=user2;PWD=pass3"
         )
  cache_size = 200
  cache_life = 360
  serialized = true
}
datasource mysql { uri = ("mysql:host=localhost;user=x") no_cache = "true" max_rows = -1 assume_charset = "latin-1" }
Datasource "csv" {
  uri = "csv:"
  max_rows = -1
}
Datasource "csv2" { uri = ( "csv:" ) pool = "db" Unknown { a = 1 } shape = ( 1 ) }
"""


def test_datasources(tmp_path: Path) -> None:
    (tmp_path / "ecelerity.conf").write_text(DATASOURCES)
    own = '[[datasource]]\nname = "csv"\nuri = "csv:/own"\n'
    (tmp_path / "lumilter.toml").write_text(f'[momentum]\nconfig = "ecelerity.conf"\n{own}')
    config = load(tmp_path / "lumilter.toml")
    found = {each.name: each for each in config.datasources}
    assert list(found) == ["csv", "mssql", "mysql", "csv2"]
    assert found["csv"].uri == ("csv:/own",)
    assert found["csv"].order == "failover"
    assert found["mssql"].uri == ("odbc:DSN=sqlserver;UID=user;PWD=pass", "odbc:DSN=sqlserver2;UID=user2;PWD=pass3")
    assert (found["mssql"].cache_size, found["mssql"].cache_life, found["mssql"].order) == (200, 360, "round-robin")
    assert (found["mysql"].no_cache, found["mysql"].max_rows, found["mysql"].assume_charset) == (True, -1, "latin-1")
    assert found["mysql"].uri == ("mysql:host=localhost;user=x",)
    assert found["csv2"].uri == ("csv:",)
    assert "pass" not in repr(config.datasources)
    assert [note.rpartition("/")[2].partition(" ")[0] for note in config.notes] == [
        "ecelerity.conf:9:", "ecelerity.conf:16:", "ecelerity.conf:16:", "ecelerity.conf:16:", "ecelerity.conf:"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('datasource "x" { }', ':1: datasource "x" has no uri'),
        ('datasource "x" {\n cache_size = 1 }', ':2: datasource "x" has no uri'),
        ('datasource { uri = "csv:" }', ":1: expected one name after datasource"),
        ('datasource "x" { uri = "csv:" cache_size = big }', ":1: expected a number for cache_size"),
        ('datasource "x" { uri = "csv:" assume_charset = big }', ":1: expected the name of a charset"),
        ('datasource "x" { uri = "csv:" }\ndatasource "x" { uri = "csv:" }', ':2: there are two datasources "x"'),
    ],
)
def test_datasources_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ecelerity.conf").write_text(text)
    (tmp_path / "lumilter.toml").write_text('[momentum]\nconfig = "ecelerity.conf"\n')
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "lumilter.toml")
    assert f"{tmp_path}/ecelerity.conf{message}" in str(caught.value)
