"""The command line in this process: its output, its exit status, and policies and messages in files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lumilter.cli import main
from support.command import Lumilter, Ran

MESSAGE = b"From: Ann <ann@example.org>\nTo: bob@example.com\nSubject: Hello\n\nHello.\n"


@pytest.fixture
def lumilter(capsys: pytest.CaptureFixture[str]) -> Iterator[Lumilter]:
    """Run `lumilter` with these arguments."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 2
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    yield run
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Write a policy; `mod` is its module, registered under the file's name at the end."""

    def write(text: str, name: str = "policy") -> Path:
        file = tmp_path / f"{name}.lua"
        file.write_text(f'local mod = {{}}; {text}\nmsys.registerModule("{name}", mod)\n')
        return file

    return write


@pytest.fixture
def message(tmp_path: Path) -> Path:
    """An ordinary message."""
    file = tmp_path / "message.eml"
    file.write_bytes(MESSAGE)
    return file
