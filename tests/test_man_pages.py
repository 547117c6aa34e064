"""The manual pages: lumilter.toml(5) is what the schema generates, lumilter(8) has what the command's parsers have."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lumilter import cli
from lumilter.cli.ctl import VERBS
from lumilter.config import Config
from lumilter.config.declare import declared
from lumilter.config.manpage import COMMAND, manpage

PAGES = Path(__file__).parents[1] / "docs/man"
COMMAND_PAGE = PAGES / "lumilter.8"


def plain(roff: str) -> str:
    """Without macros and escapes that change no text."""
    roff = re.sub(r"\\f.", "", roff).replace("\\-", "-").replace("\\&", "").replace('"', "")
    roff = re.sub(r"^\.[A-Z]{1,2} ?", "", roff, flags=re.MULTILINE)
    return re.sub(r" +", " ", re.sub(r" *([,|]) *", lambda found: f"{found[1]} ", roff))


def section(text: str, macro: str, name: str) -> str:
    """What stands below a heading, up to the next one."""
    found = re.search(rf"^\.{macro} {re.escape(name)}\n(.*?)(?=^\.S[HS] |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no section"
    return found[1]


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of every verb that has a file in lumilter.cli."""
    verbs = argparse.ArgumentParser().add_subparsers()
    for module in pkgutil.iter_modules(cli.__path__):
        add = getattr(importlib.import_module(f"lumilter.cli.{module.name}"), "add", None)
        if add:
            add(verbs)
    return dict(verbs.choices)


PARSERS = parsers()


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]


def test_the_configurations_page_is_not_stale() -> None:
    assert (PAGES / "lumilter.toml.5").read_text() == manpage(), f"run: {COMMAND}"
    assert COMMAND in manpage().splitlines()[0]


def test_every_key_is_in_it() -> None:
    text = manpage()
    for _, table in declared(Config).values():
        name = f"[[{table.name}]]" if table.many else f"[{table.name}]"
        keys = re.findall(r"^\.TP\n\\fB(\w+)\\fR$", section(text, "SS", f'"{name}"'), re.MULTILINE)
        assert keys == list(declared(table.of))


def test_the_commands_page_has_the_verbs_of_the_command() -> None:
    assert PARSERS
    documented = re.findall(r"^\.SS ([\w-]+)$", COMMAND_PAGE.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(PARSERS)
    synopsis = plain(section(COMMAND_PAGE.read_text(), "SH", "SYNOPSIS"))
    for verb in PARSERS:
        assert f"lumilter {verb}" in synopsis


@pytest.mark.parametrize("verb", sorted(PARSERS))
def test_every_option_of_a_verb_is_described(verb: str) -> None:
    text = section(COMMAND_PAGE.read_text(), "SS", verb)
    items = [plain(item).strip() for item in re.findall(r"^\.TP\n(.*)$", text, re.MULTILINE)]
    for action in actions(PARSERS[verb]):
        if verb == "ctl" and not action.option_strings:
            continue  # its verbs, below
        metavar = action.metavar or action.dest.upper()
        value = [] if action.nargs == 0 else [str(metavar)]
        expected = " ".join([", ".join(action.option_strings), *value]).strip()
        assert plain(expected) in items
        for choice in action.choices or ():
            assert str(choice) in plain(text)


@pytest.mark.parametrize("verb", sorted(PARSERS))
def test_no_option_is_described_that_is_not_there(verb: str) -> None:
    described = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", plain(section(COMMAND_PAGE.read_text(), "SS", verb))))
    known = {name for action in actions(PARSERS[verb]) for name in action.option_strings}
    if verb == "ctl":
        for ours in VERBS.values():
            parser = argparse.ArgumentParser()
            ours.declare(parser)
            known |= {name for action in actions(parser) for name in action.option_strings} | {"--json"}
    others = {"-s", "-c"} & described if verb in ("test", "eval") else set()
    assert described <= known | others


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_of_ctl_is_described(name: str) -> None:
    items = re.findall(r"^\.TP\n(.*)$", section(COMMAND_PAGE.read_text(), "SS", "ctl"), re.MULTILINE)
    (item,) = (plain(item) for item in items if plain(item).split()[0] == name)
    parser = argparse.ArgumentParser()
    VERBS[name].declare(parser)
    for action in actions(parser):
        for word in (*action.option_strings, *(action.choices or ())):
            assert str(word) in item


@pytest.mark.parametrize("page", sorted(PAGES.iterdir()), ids=lambda page: page.name)
@pytest.mark.parametrize(
    "command",
    [("groff", "-ww", "-b", "-z", "-man", "-Tutf8", "-Kutf8"), ("mandoc", "-Tlint", "-Wwarning")],
    ids=lambda command: command[0],
)
def test_a_page_has_no_warnings(page: Path, command: tuple[str, ...]) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([*command, page], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
