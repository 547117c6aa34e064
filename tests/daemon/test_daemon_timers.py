"""Timers and pools in a real daemon: one worker fires, another takes over, a reload begins anew, closures end first.

The law: a timer writes down who it was and when, in a file that all workers append to; what happened is read from that.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.daemon import Daemon, write
from support.milter_client import MilterClient
from support.patience import until

POLICY = """
    local out = "{file}"
    function note(...)
      local file = io.open(out, "a")
      file:write(table.concat({{...}}, " ") .. "\\n")
      file:close()
    end
    local function pid()
      local file = io.open("/proc/self/stat")
      local number = file:read("*n")
      file:close()
      return number
    end
    rep = msys.timer.every(0.05, function()
      note("begin", pid())
      msys.sleep(0.1)
      note("end", pid())
    end, "rep")
    function mod:validate_mailfrom(str, ac, vctx)
      own = msys.timer.after(0.05, function() note("own", pid()) end)
      msys.runInPool("slow", function()
        msys.sleep(0.5)
        note("closure", pid())
      end, true)
    end
"""


@contextmanager
def serving(tmp_path: Path, config: str = "") -> Iterator[tuple[Daemon, Path]]:
    notes = tmp_path / "notes"
    notes.touch()
    config = f"workers = 2\n[[pool]]\nname = 'slow'\nconcurrency = 1\n{config}"
    file = write(tmp_path / "etc", tmp_path / "m.sock", [POLICY.format(file=notes)], config)
    with Daemon(file, tmp_path / "log") as daemon:
        yield daemon, notes


def lines(notes: Path) -> list[list[str]]:
    return [line.split() for line in notes.read_text().splitlines()]


def firing(notes: Path, since: int = 0) -> set[int]:
    """Who fired the repeating timer."""
    return {int(line[1]) for line in lines(notes)[since:] if line[0] in ("begin", "end")}


def check_never_twice(notes: Path, killed: tuple[int, ...] = ()) -> None:
    """Between a begin and its end there is no other begin, but of who was killed."""
    running = 0
    for what, pid, *_ in lines(notes):
        if what == "begin":
            assert running in (0, *killed), f"{pid} began while {running} ran"
            running = int(pid)
        elif what == "end":
            assert running == int(pid)
            running = 0


def test_one_worker_fires_and_another_takes_over_when_it_dies(tmp_path: Path) -> None:
    with serving(tmp_path) as (daemon, notes):
        until(lambda: len(firing(notes)) == 1, 30)
        (first,) = firing(notes)
        assert first in daemon.workers
        os.kill(first, signal.SIGKILL)
        until(lambda: len(firing(notes)) == 2, 30)
        (second,) = firing(notes) - {first}
        before = len(lines(notes))
        until(lambda: len(lines(notes)) > before + 10, 30)
        assert firing(notes, before) == {second}
        check_never_twice(notes, (first,))


def test_a_reload_hands_over_and_nothing_runs_twice(tmp_path: Path) -> None:
    with serving(tmp_path) as (daemon, notes):
        until(lambda: firing(notes), 30)
        old = firing(notes)
        for generation in (2, 3):
            daemon.signal(signal.SIGHUP)
            daemon.wait_log(f"generation {generation} serves")
        until(lambda: firing(notes) - old and len(daemon.workers) == 2, 30)
        before = len(lines(notes))
        until(lambda: len(lines(notes)) > before + 10, 30)
        assert len(firing(notes, before)) == 1
        assert firing(notes, before) <= set(daemon.workers)
        check_never_twice(notes)


def test_all_workers_fire_if_they_are_told_to(tmp_path: Path) -> None:
    with serving(tmp_path, "[timers]\nworkers = 'all'\n") as (daemon, notes):
        until(lambda: firing(notes) == set(daemon.workers), 30)


@pytest.mark.parametrize("wire", ["python", "libmilter"])
def test_what_a_session_began_ends_before_its_worker(tmp_path: Path, wire: str) -> None:
    with serving(tmp_path) as (daemon, notes):
        config = tmp_path / "etc/lumilter.toml"
        config.write_text(config.read_text().replace("[milter]", f'[milter]\nwire = "{wire}"'))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("generation 2 serves")
        for _ in range(2):
            with MilterClient(str(tmp_path / "m.sock")) as client:
                client.negotiate()
                client.connect()
                client.helo()
                client.mail("<ann@example.org>")
                if _ == 0:
                    until(lambda: any(line[0] == "own" for line in lines(notes)), 30)  # wherever the session is
                client.quit()
        daemon.stop()
        assert sum(line[0] == "closure" for line in lines(notes)) == 2
