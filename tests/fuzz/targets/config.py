"""config: files that an operator, an editor or a disk made; Momentum's own configuration; socket addresses."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import TEXT, damaged, soup
from lumilter import config
from lumilter.config.address import SocketAddress
from lumilter.config.lines import key_lines
from lumilter.config.momentum import Scriptlets
from lumilter.config.stanza import Include, Item, Option, Stanza, parse
from lumilter.errors import ConfigError

REFERENCE = (Path(__file__).parents[3] / "conf/lumilter.toml").read_bytes()
FULL = re.sub(rb"(?m)^#(?=\[|[a-z_]+ = )", b"", REFERENCE)
"""Every key of the reference, switched on."""
VALUES = [
    b'"%s"' % (b"x" * 300),
    b"''",
    b'"\\u0000"',
    b"-1",
    b"0",
    b"1e400",
    b"nan",
    b"-inf",
    b"9" * 30,
    b"0x7fffffffffffffffff",
    b"true",
    b"[]",
    b"[[]]",
    b"{}",
    b"1979-05-27T07:32:00Z",
    b"07:32:00",
    b'"""\n"""',
    b"'''\n'''",
    b"\\",
    b'"unix:/\xc3\xa9"',
    b"[[script]]\n",
    b"[a.b]\n",
    b"a.b.c = 1\n",
    b'"a b" = 1\n',
    b"\xef\xbb\xbf",
    b"\r",
    b"\0",
    b"#",
    b",",
    b"=",
    b'"\\U0010FFFF"',
    b'"\\ud800"',
]


@contextmanager
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
        yield Path(made)


@target(damaged([REFERENCE, FULL], VALUES), using=directory, examples=250)
def toml(where: Path, raw: bytes) -> None:
    """A damaged configuration file is a Config, or a ConfigError that names a file and one of its lines."""
    file = where / "lumilter.toml"
    file.write_bytes(raw)
    try:
        config.load(file)
    except ConfigError as error:
        assert error.file
        assert 0 <= error.line <= raw.count(b"\n") + raw.count(b"\r") + 1
        assert str(error).startswith(error.file)


def paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from paths(inner, (*path, key))


TOML = [
    "a = 1\n",
    "a.b = 2\n",
    '"a.b".c = 3\n',
    "'' = 4\n",
    "[t]\n",
    "[t.u]\n",
    "[[l]]\n",
    "[[l.m]]\n",
    "[ t . 'v' ]\n",
    "x = [1, 2]\n",
    "y = [\n [1],\n # c ]\n {k = 'v]'},\n]\n",
    "z = {a = 1, b.c = [{}, {d = '}'}]}\n",
    's = """\n"x" \\\n  y"""""\n',
    "r = '''\n''x'''\n",
    "# comment\n",
    "d = 1979-05-27 07:32:00\n",
    'u = "\\u0041\\" ]"\n',
    "n = 1_000 # = [\n",
    "\r\n",
    "  \t\n",
    "k\t=\t'#'\n",
    "w = []\n",
    "v = [ ]\n",
    "a-b_1 = inf\n",
]


@target(soup(TOML, 12) | st.lists(st.sampled_from(TOML), max_size=8).map("".join), examples=300)
def lines(text: str) -> None:
    """Where tomllib reads a text, every table, key and element of it has a line that is one of the text's."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, UnicodeError):
        return
    found = key_lines(text)
    assert set(paths(data)) <= set(found), (text, data, found)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


# --- Momentum's -------------------------------------------------------------------------------------------------------

STANZAS = [
    "scriptlet",
    "script",
    "source",
    "include",
    "readonly_include",
    "enabled",
    '"policy"',
    "'x'",
    '"a\\"b\\\\"',
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "=",
    ",",
    ";",
    " ",
    " ",
    "\n",
    "# c\n",
    "/*",
    "*/",
    "/* } */",
    "//",
    "a/*b*/c",
    '"',
    "'",
    "10.0.0.0/8",
    "Listen",
    "/",
    "*",
]


@target(soup(STANZAS, 40), examples=400)
def stanza(text: str) -> None:
    """Any text is stanzas or a ConfigError with a line of it."""
    try:
        parse(text, "fuzz")
    except ConfigError as error:
        assert error.file == "fuzz"
        assert 1 <= error.line <= text.count("\n") + 1


WORD = st.text("abcXYZ019_-./:*@", min_size=1, max_size=8).filter(
    lambda word: "/*" not in word and word.lower() not in ("include", "readonly_include")
)
QUOTED = st.text(max_size=8).filter(lambda text: max(text, default="") < "\ud800")
Written = tuple[str, Item]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


OPTION = st.one_of(
    st.tuples(WORD, WORD).map(lambda t: (f"{t[0]} = {t[1]}", Option(t[0], t[1], 0))),
    st.tuples(WORD, QUOTED).map(lambda t: (f"{t[0]}={quoted(t[1])}", Option(t[0], t[1], 0))),
    st.tuples(WORD, st.sampled_from(["( a, 'b)' )", "[ a = ( 1 ) b = { } ]"])).map(
        lambda t: (f"{t[0]} = {t[1]};", Option(t[0], None, 0))
    ),
    st.tuples(st.sampled_from(["include", "Readonly_Include"]), QUOTED).map(
        lambda t: (f"{t[0]} {quoted(t[1])}", Include(t[1], 0))
    ),
)


def enclosed(inner: st.SearchStrategy[list[Written]]) -> st.SearchStrategy[Written]:
    def made(parts: tuple[str, list[str], list[Written], str]) -> Written:
        kind, names, body, gap = parts
        text = f"{kind} {' '.join(map(quoted, names))}{gap}{{{gap}{gap.join(each for each, _ in body)}{gap}}}"
        return text, Stanza(kind, tuple(names), tuple(item for _, item in body), 0)

    gaps = st.sampled_from([" ", "\n", " # }\n", " /* \n{ */ "])
    return st.tuples(WORD, st.lists(QUOTED, max_size=2), inner, gaps).map(made)


DOCUMENT = st.recursive(OPTION, lambda inner: enclosed(st.lists(inner, max_size=4)), max_leaves=10)


def without_lines(item: Item) -> Any:
    match item:
        case Option(name, value, _):
            return "option", name, value
        case Include(path, _):
            return "include", path
        case Stanza(kind, names, body, _):
            return "stanza", kind, names, tuple(map(without_lines, body))


@target(st.lists(DOCUMENT, max_size=5), examples=200)
def stanza_round_trip(document: list[Written]) -> None:
    """Stanzas that were written are read as they were meant, comments and braces in strings and all."""
    text = "\n".join(each for each, _ in document)
    read = parse(text, "fuzz")
    assert [without_lines(item) for item in read] == [without_lines(item) for _, item in document], text


FILES = st.dictionaries(
    st.sampled_from(["ecelerity.conf", "b.conf", "c.conf", "d/e.conf"]),
    soup(
        [
            *STANZAS,
            'include "b.conf"\n',
            'include "c.conf"\n',
            'include "d"\n',
            'include "ecelerity.conf"\n',
            'include "/etc/no"\n',
            'include "http://x/"\n',
            'scriptlet "s" {\n',
            'script "p" { source = "m" }\n',
            "}\n",
        ],
        12,
    ),
    max_size=4,
)


@target(FILES, using=directory, examples=150)
def momentum(where: Path, files: dict[str, str]) -> None:
    """Files that include each other are scripts and notes, or a ConfigError that names one of them."""
    (where / "d").mkdir(exist_ok=True)
    for name in ("ecelerity.conf", "b.conf", "c.conf", "d/e.conf"):
        (where / name).write_text(files.get(name, ""), "utf-8", "surrogatepass")
    try:
        found = Scriptlets.read(where / "ecelerity.conf")
    except ConfigError as error:
        assert str(where) in error.file
        return
    assert all(script.name is not None and script.source and script.line for script in found.scripts)


# --- addresses --------------------------------------------------------------------------------------------------------

ADDRESS = [
    "unix:",
    "local:",
    "inet:",
    "inet6:",
    "/",
    "/run/x.sock",
    "[",
    "]",
    "::1",
    "127.0.0.1",
    "@",
    ":",
    "8890",
    "0",
    "65536",
    "x.example",
    "%eth0",
    ".",
    "..",
    "-",
    "2001:db8::1",
    "::ffff:1.2.3.4",
    "99999999999999999999",
]


@target(soup(ADDRESS, 6) | TEXT, examples=400)
def address(text: str) -> None:
    """Any text is no address, with a reason, or one that reads the same in libmilter's and in Postfix's spelling."""
    try:
        found = SocketAddress.parse(text)
    except ValueError as error:
        assert str(error).startswith("expected")
        return
    assert SocketAddress.parse(str(found)) == found
    again = found.for_postfix()
    assert SocketAddress.parse(again.replace("inet:", "inet6:", found.family == "inet6")) == found
