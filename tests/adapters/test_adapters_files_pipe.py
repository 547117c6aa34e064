"""adapters.files.pipe: programs that take lines, end, hang, or are forgotten."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from lumilter.adapters.files import FileError, Files, Settings, pipe
from lumilter.adapters.http import NoWeb
from support.patience import until

WEB = NoWeb("nothing")
WRITE = os.O_WRONLY


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(pipe, "PATIENCE", 60.0)  # a program may be slow to end under load
    return Files(Settings(programs=True))


def shell(script: str, *more: str) -> str:
    """A URI whose program is a shell that runs a script with some arguments."""
    arguments = ["-c", script, "sh", *more]
    return "pipe:///bin/sh?" + "&".join(f"arg{n}={quote(each)}" for n, each in enumerate(arguments, 1))


def test_a_program_gets_what_is_written(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "a b+c&d"
    stream = files.open(shell('cat >"$1"', str(out)), WRITE, None, WEB, soon())
    assert stream.write(b"one\n", soon()) == 4
    assert stream.write(b"x" * 1_000_000, soon()) == 1_000_000
    stream.close()
    assert out.read_bytes() == b"one\n" + b"x" * 1_000_000  # close waits for it
    stream.close()
    with pytest.raises(FileError, match="closed"):
        stream.write(b"x", soon())


def test_the_environment(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_OURS", "x")
    out = tmp_path / "out"
    for clear, ours in (("", "x"), ("&clear_env=1", "")):
        uri = shell('echo "$A|$OF_OURS" >"$1"', str(out)) + f"&env1=A=b=c{clear}"
        files.open(uri, WRITE, None, WEB, soon()).close()
        assert out.read_text() == f"b=c|{ours}\n"


def test_a_program_that_ends_is_started_once_more(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = 'if [ -e "$1" ]; then cat >>"$1"; else echo started >"$1"; fi'
    stream = files.open(shell(script, str(out)), WRITE, None, WEB, soon())
    until(out.exists)
    until(lambda: _is_refused(stream) or b"line" in out.read_bytes())
    stream.close()
    assert out.read_bytes().startswith(b"started\nline\n")
    gone = files.open(shell("exit 3") + "&reinvoke=0&shutdown_on_failure=0", WRITE, None, WEB, soon())
    until(lambda: _is_refused(gone))
    with pytest.raises(FileError, match="/bin/sh: the program has ended"):
        for _ in range(1000):
            gone.write(b"line\n", soon())
            time.sleep(0.01)


def _is_refused(stream: object) -> bool:
    try:
        stream.write(b"line\n", soon())  # type: ignore[attr-defined]
    except FileError:
        return True
    return False


def test_a_program_that_reads_nothing(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "PATIENCE", 0.1)
    pid = tmp_path / "pid"
    stream = files.open(shell('echo $$ >"$1"; exec sleep 1000', str(pid)), WRITE, None, WEB, soon())
    until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    with pytest.raises(FileError, match="did not take it in time"):
        stream.write(b"x" * 1_000_000, soon(0.2))
    assert not Path("/proc", pid.read_text().strip()).exists()
    pid.unlink()
    stream.write(b"x", soon())  # a new one
    until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    stream.close()
    assert not Path("/proc", pid.read_text().strip()).exists()


def test_a_pipe_that_is_forgotten_ends_its_program(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stream = files.open(shell('cat >"$1"; echo "$$ end" >>"$1"', str(out)), WRITE, None, WEB, soon())
    stream.write(b"line\n", soon())
    del stream
    gc.collect()
    until(lambda: out.exists() and out.read_bytes().endswith(b"end\n"))
    process = Path("/proc", out.read_text().split()[1])

    def is_gone() -> bool:
        files.open(shell("exit 0"), WRITE, None, WEB, soon()).close()  # who starts one lets those that ended go
        return not process.exists()

    until(is_gone)


@pytest.mark.parametrize(
    ("uri", "flags", "why"),
    [
        ("pipe:///no/such/program", WRITE, "/no/such/program: No such file"),
        ("pipe:///bin/cat?argument=x", WRITE, "argument is none of argN"),
        ("pipe:///bin/cat?arg1=a%00b", WRITE, "null"),
        ("pipe:///bin/cat", os.O_RDONLY, "can only be written"),
    ],
)
def test_refusals(uri: str, flags: int, why: str, files: Files) -> None:
    with pytest.raises(FileError, match=why):
        files.open(uri, flags, None, WEB, soon())
    with pytest.raises(FileError, match="can only be written"):
        files.read(uri, WEB, soon())


def test_programs_have_to_be_allowed() -> None:
    with pytest.raises(FileError, match=r'add "io.popen" to lua.allow'):
        Files().open("pipe:///bin/cat", WRITE, None, WEB, soon())
    with pytest.raises(FileError, match="--live"):
        Files(Settings(programs=True), offline=True).open("pipe:///bin/cat", WRITE, None, WEB, soon())


def test_what_can_be_written_only(files: Files) -> None:
    stream = files.open("pipe:///bin/cat", WRITE, None, WEB, soon())
    for use in (
        lambda: stream.read(1, soon()),
        lambda: stream.read_all(soon()),
        lambda: stream.read_line(soon()),
        lambda: stream.seek(0, 0),
    ):
        with pytest.raises(FileError):
            use()
    files.close()
    with pytest.raises(FileError, match="closed"):
        stream.write(b"x", soon())
