"""The command line itself: versions, verbs, and how errors are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lumilter import __version__
from support.command import Lumilter


def test_version(lumilter: Lumilter) -> None:
    ran = lumilter("--version")
    assert (ran.status, ran.out) == (0, f"lumilter {__version__}\n")


def test_help_names_every_verb(lumilter: Lumilter) -> None:
    ran = lumilter("--help")
    assert ran.status == 0
    assert all(verb in ran.out for verb in ("serve", "check", "test", "functions", "eval"))


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("test",), ("eval",), ("functions", "--format", "xml")])
def test_usage_errors_exit_with_2(lumilter: Lumilter, arguments: tuple[str, ...]) -> None:
    ran = lumilter(*arguments)
    assert ran.status == 2
    assert "usage: lumilter" in ran.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "milter")}
    command = f"{sys.executable} -m lumilter functions --format json; echo $? >&2"
    shell = subprocess.run(
        ["bash", "-c", f"({command}) | head -c 10"], env=environment, capture_output=True, text=True, check=True
    )
    assert shell.stderr.splitlines()[-1:] in (["0"], [])
    assert "Traceback" not in shell.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[milter\n", "lumilter.toml:1"),
        ("[milter]\nsocket = 5\n", "lumilter.toml:2"),
        ("[milter]\nsocket = 'unix:/x'\nsocktet = 1\n", "lumilter.toml:3"),
        ("[nonsense]\n", "lumilter.toml:1"),
        ("[[script]]\nname = 'a'\nsource = '/nowhere/a.lua'\n", "a.lua"),
    ],
)
@pytest.mark.parametrize("verb", [("serve",), ("check",), ("eval", "1"), ("test", "/dev/null")])
def test_a_bad_configuration_is_78_with_file_and_line(
    lumilter: Lumilter, tmp_path: Path, verb: tuple[str, ...], text: str, says: str
) -> None:
    file = tmp_path / "lumilter.toml"
    file.write_text(text)
    ran = lumilter(verb[0], "-c", file, *verb[1:])
    assert ran.status == 78
    assert ran.err.startswith("lumilter: ")
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_serve_with_a_bad_socket(lumilter: Lumilter, tmp_path: Path) -> None:
    file = tmp_path / "lumilter.toml"
    file.write_text("[milter]\nsocket = 'inet:8890@127.0.0.1'\n")
    ran = lumilter("serve", "-c", file, "-p", "carrier pigeon")
    assert ran.status == 78
    assert ran.err.startswith("lumilter: -p: ")


def test_serve_with_a_script_that_does_not_load(lumilter: Lumilter, tmp_path: Path) -> None:
    (tmp_path / "policy.lua").write_text("\nx = = 1\n")
    file = tmp_path / "lumilter.toml"
    file.write_text(
        f"[milter]\nsocket = 'unix:{tmp_path}/s'\n[[script]]\nname = 'p'\nsource = '{tmp_path}/policy.lua'\n"
    )
    ran = lumilter("serve", "-c", file)
    assert ran.status == 78
    assert "policy.lua:2: " in ran.err
    assert not (tmp_path / "s").exists()


def test_no_configuration_at_all(lumilter: Lumilter) -> None:
    ran = lumilter("check", "-c", "/nowhere/lumilter.toml")
    assert (ran.status, "/nowhere/lumilter.toml" in ran.err) == (78, True)
