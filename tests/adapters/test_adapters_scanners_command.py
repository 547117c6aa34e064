"""Programs as scanners: what they are given, what counts as their answer, and that nothing of them is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lumilter.adapters.scanners.contract import Sample, ScanError, Verdict
from lumilter.adapters.scanners.kinds import Special
from support.patience import until
from support.scanners import program, python, scanner


def soon() -> float:
    return time.monotonic() + 60


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def failure(text: str, **terms: float) -> ScanError:
    with pytest.raises(ScanError) as caught:
        program(text, **{"retries": 0, **terms}).scan(Sample((b"x" * 200_000,)), soon())
    return caught.value


def test_statuses() -> None:
    assert program("cat >/dev/null").scan(Sample((b"x",)), soon()).verdict is Verdict.CLEAN
    found = program("echo 'stdin: A.Virus FOUND'; exit 1").scan(Sample((b"x",)), soon())
    assert (found.verdict, found.info, found.code) == (Verdict.INFECTED, "A.Virus", "1")
    special = Special(command=("/bin/sh", "-c", "exit 1"))
    assert scanner("command", special=special).scan(Sample((b"x",)), soon()).info == "unnamed"
    assert str(failure("exit 1")) == "program: ended with status 1"
    error = failure("echo no database >&2; exit 2")
    assert (error.word, str(error)) == ("refused", "program: ended with status 2: no database")
    error = failure("kill -SEGV $$")
    assert (error.word, str(error)) == ("nonsense", "program: was ended by signal 11")


def test_all_of_it_on_standard_input() -> None:
    size = 5_000_000
    text = f"import sys; sys.exit(sys.stdin.buffer.read() != b'ab' * {size // 2})"
    assert python(text).scan(Sample((b"ab" * 10, memoryview(b"ab" * (size // 2 - 10)))), soon()).code == "0"


def test_all_of_it_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    special = Special(command=("/bin/grep", "-q", "needle", "{file}"), infected=(0x7F,))
    scan = scanner("command", special=special)
    assert scan.scan(Sample((b"need", b"le")), soon()).verdict is Verdict.CLEAN
    assert not list(tmp_path.iterdir())


def test_no_shell_sees_the_arguments() -> None:
    text = "import sys; sys.exit(sys.argv[1] != '; exit 3 $(id)')"
    special = Special(command=(sys.executable, "-S", "-c", text, "; exit 3 $(id)"))
    assert scanner("command", special=special).scan(Sample((b"x",)), soon()).verdict is Verdict.CLEAN


def test_its_environment_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUMILTER_SECRET", "x")
    text = "import os,sys; sys.exit(2 if set(os.environ) - {'PATH','LC_ALL','LC_CTYPE'} or os.getcwd() != '/' else 0)"
    assert python(text).scan(Sample((b"",)), soon()).verdict is Verdict.CLEAN


def test_one_that_does_not_read() -> None:
    assert program("exec 0<&-; exit 0").scan(Sample((b"x" * 3_000_000,)), soon()).verdict is Verdict.CLEAN


def test_one_that_writes_without_end() -> None:
    error = failure("yes", timeout=0.5)
    assert error.word == "timeout"


def test_one_that_hangs_leaves_nothing_behind(tmp_path: Path) -> None:
    error = failure(f"sleep 1000 & echo $! > {tmp_path}/child; wait", timeout=0.5)
    assert error.word == "timeout"
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:  # a zombie until init has seen it
        if Path(f"/proc/{child}/stat").read_text().split(") ")[1].startswith("Z"):
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()


def test_one_that_eats_memory() -> None:
    text = "x = bytearray(3 << 30)"
    with pytest.raises(ScanError, match="MemoryError"):
        python(text, memory=1 << 30, retries=0).scan(Sample((b"",)), soon())


def test_one_that_is_not_there() -> None:
    with pytest.raises(ScanError, match=r"ended with status 127: .*/nonexistent.*No such file") as caught:
        scanner("command", special=Special(command=("/nonexistent",)), retries=0).scan(Sample((b"x",)), soon())
    assert caught.value.word == "refused"


def test_descriptors_are_closed() -> None:
    scan = program("exit 0", cache=0)
    scan.scan(Sample((b"x",)), soon())
    before = descriptors()
    for _ in range(20):
        scan.scan(Sample((b"x",)), soon())
    assert descriptors() <= before


def test_a_status_that_cannot_be_known_is_not_clean() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert "SIGCHLD" in str(failure("exit 1"))
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_it_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    """A worker whose time is over ends in the middle of a scan."""
    text = f"""
import os, sys, threading, time
sys.path[:0] = {sys.path!r}
from lumilter.adapters.scanners.contract import Sample
from support.scanners import program
scan = program("echo $$ >{tmp_path}/pid; exec sleep 1000")
threading.Thread(target=scan.scan, args=(Sample((b"x",)), time.monotonic() + 600), daemon=True).start()
while not (os.path.exists("{tmp_path}/pid") and open("{tmp_path}/pid").read().strip()):
    time.sleep(0.01)
os._exit(0)
"""
    assert subprocess.run([sys.executable, "-c", text], timeout=60, check=False).returncode == 0
    pid = int((tmp_path / "pid").read_text())

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    until(is_gone, 60)
