"""The registry against Momentum's own table, and what is derived from it: nothing that is declared says anything else.

The law: where a declaration must differ, EXCEPTIONS says why; an entry that is no longer needed fails.
"""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

import lumilter.api  # noqa: F401  (fills the registry)
from lumilter import registry
from lumilter.cli import main
from lumilter.momentum import TABLE, Row, packages
from lumilter.registry import FUNCTIONS, Function, api

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("msg:body", "params"): "the page has one optional value",
    ("msys.expurgate.scan", "params"): "the page's example leaves all of them out",
    ("msg:routing_domain", "params"): "the page has one optional value",
    ("msys.config", "params"): "the page's examples have several",
    ("msys.runInPool", "params"): "the page has two optional values",
    ("msg:text", "params"): "two rows, one function",
    ("msgpart:header", "params"): "three rows, one function",
    ("msgpart:text", "params"): "two rows, one function",
}
"""(name, column) -> why a declaration differs from the table in it."""

COLUMNS = ("package", "params", "version", "phases")
DECLARED = [row for row in TABLE if row.name in FUNCTIONS]


def declared(function: Function) -> dict[str, str]:
    """A declaration in the table's words."""
    return {
        "package": function.package,
        "params": ", ".join(str(param) for param in function.params),
        "version": function.since,
        "phases": ", ".join(function.phases),
    }


def differences() -> dict[tuple[str, str], tuple[str, str]]:
    """(name, column) -> the table's text and ours."""
    found = {}
    for row in DECLARED:
        ours = declared(FUNCTIONS[row.name])
        for column in COLUMNS:
            if getattr(row, column) != ours[column]:
                found[row.name, column] = getattr(row, column), ours[column]
    return found


def test_the_table_is_whole() -> None:
    assert len(TABLE) == 191
    assert len({row.name for row in TABLE}) == 187


@pytest.mark.parametrize("row", DECLARED, ids=lambda row: row.name)
def test_declared_as_in_the_table(row: Row) -> None:
    assert not {key: texts for key, texts in differences().items() if key[0] == row.name and key not in EXCEPTIONS}


def test_no_exception_is_stale() -> None:
    assert not set(EXCEPTIONS) - set(differences())
    assert all(EXCEPTIONS.values())


def test_what_is_not_in_the_table_is_marked_as_an_extension() -> None:
    named = {row.name for row in TABLE}
    assert {name for name, f in FUNCTIONS.items() if f.extension} == set(FUNCTIONS) - named


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_declaration_can_be_read(function: Function) -> None:
    assert function.doc, "it has no docstring"
    assert function.package in packages()
    known = {*registry.PHASES, *registry.FOLLOWS, "any"}
    assert {*function.phases, *function.also} <= known
    assert len(set(function.also) & set(function.phases)) == 0, "also names a phase that the table has"
    assert function.kind == "function" or function.owner in registry.CLASSES


def test_the_optional_parameters_are_the_last() -> None:
    for function in FUNCTIONS.values():
        kinds = [param.optional or param.rest for param in function.params]
        assert kinds == sorted(kinds), function.name


def test_writers_belong_to_fields_or_methods() -> None:
    assert set(registry.WRITERS) <= {name.replace(":", ".") for name in FUNCTIONS}


def test_a_second_declaration_of_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="msg:header is declared twice"):
        api("msg:header", package="msys.extended.message")(lambda msg: None)


@pytest.mark.parametrize(
    ("phases", "also", "allowed"),
    [
        (("any",), (), None),
        ((), (), None),
        (("rcptto",), (), {"rcptto", "rcptto_list"}),
        (("data",), ("connect",), {"data", "connect"}),
        (("data_spool_each_rcpt",), (), {"data_spool_each_rcpt", "final_validation"}),
    ],
)
def test_phases_that_are_enforced(phases: tuple[str, ...], also: tuple[str, ...], allowed: set[str] | None) -> None:
    function = Function(
        "x", "msys", phases, also, "4.0", print, (), "function", "msys", "x", False, False, "", ""
    )  # fmt: skip
    assert function.enforced == allowed


# --- `lumilter functions` ---------------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["functions", *options]) == 0
    return capsys.readouterr().out


def test_functions_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "--format", "json"))
    keys = ["name", "package", "params", "version", "phases", "status", "note"]
    assert all(list(line) == keys for line in found)
    assert [(e["name"], e["package"], e["params"], e["version"], e["phases"]) for e in found[:191]] == [
        (row.name, row.package, row.params, row.version, row.phases) for row in TABLE
    ]
    for line in found[:191]:
        function = FUNCTIONS.get(line["name"])
        wanted = "absent" if function is None else "partial" if function.partial else "works"
        assert line["status"] == wanted, line["name"]
        assert bool(line["note"]) == (wanted == "partial")
    beside = {f.name for f in FUNCTIONS.values() if f.extension and f.kind != "field"}
    assert {line["name"] for line in found[191:]} == beside
    assert {line["note"] for line in found[191:]} == {"not in the table"}


def test_functions_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "--format", "csv"))))
    assert rows == json.loads(printed(capsys, "--format", "json"))


def test_functions_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys).splitlines()
    found = json.loads(printed(capsys, "--format", "json"))
    assert len(lines) == len(found) + 1
    for line, entry in zip(lines, found, strict=False):
        assert line.startswith(entry["status"])
        assert re.search(rf"\s{re.escape(entry['name'])}\s+\({re.escape(entry['params'])}\)", line)
    counts = {status: sum(entry["status"] == status for entry in found) for status in ("works", "partial", "absent")}
    assert lines[-1] == ", ".join(f"{number} {status}" for status, number in counts.items())
