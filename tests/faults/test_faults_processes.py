"""Processes are killed and replaced, configurations loaded over and over, while mail comes in."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from support.daemon import Daemon, write
from support.load import Load
from support.milter_client import MilterClient
from support.patience import until

MARK = "function mod:validate_data(msg) msg:header('X-Seen', '1') end"
RELOADS = int(os.environ.get("LUMILTER_RELOADS", "60"))
"""bench/SOAK.md has longer runs."""
WIRES = pytest.mark.parametrize("wire", ["python", "libmilter"])

Serving = Callable[..., Daemon]
Loading = Callable[..., Load]


class Usage(NamedTuple):
    """Resident memory (bytes) of the supervisor and of the larger worker; the supervisor's open descriptors."""

    supervisor: int
    workers: int
    descriptors: int

    @classmethod
    def of(cls, daemon: Daemon) -> Usage:
        open_ones = list(Path(f"/proc/{daemon.pid}/fd").iterdir())
        return cls(resident(daemon.pid), max(map(resident, daemon.workers)), len(open_ones))


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@WIRES
def test_killed_workers_cost_their_own_connections_only(serving: Serving, load: Loading, wire: str) -> None:
    with serving(MARK, f'workers = 2\nwire = "{wire}"\n') as daemon:
        with load("-c", 8, "-d", 5) as running:
            for _ in range(2):
                time.sleep(1.5)
                os.kill(random.choice(daemon.workers), signal.SIGKILL)
        running.all_right(lost=16)
        assert "was killed by SIGKILL; a new one is started" in daemon.log
        until(lambda: len(daemon.workers) == 2)


@WIRES
def test_workers_that_are_told_to_end_cost_nothing(serving: Serving, load: Loading, wire: str) -> None:
    with serving(MARK, f'workers = 2\nwire = "{wire}"\n') as daemon:
        with load("-c", 8, "-d", 5) as running:
            for _ in range(4):
                time.sleep(1)
                os.kill(daemon.workers[0], signal.SIGTERM)
        running.all_right()


@WIRES
@pytest.mark.parametrize("key", ["max_messages = 100", "max_age = 0.5"])
def test_workers_that_are_replaced_cost_nothing(serving: Serving, load: Loading, wire: str, key: str) -> None:
    with serving(MARK, f'wire = "{wire}"\n[workers]\n{key}\n') as daemon:
        (first,) = daemon.workers
        with load("-c", 8, "-d", 3600) as running:
            until(lambda: daemon.log.count(f"it has reached [workers] {key.partition(' ')[0]}") >= 3)
            running.end()
        running.all_right()
        until(lambda: first not in daemon.workers)


@WIRES
def test_reloads_cost_nothing_and_leave_nothing_behind(
    serving: Serving, load: Loading, wire: str, tmp_path: Path
) -> None:
    script = tmp_path / "etc/policy.lua"
    with serving(MARK, f'workers = 2\nwire = "{wire}"\n[log]\nlevel = "info"\n') as daemon:
        before, begun = Usage.of(daemon), time.monotonic()
        good = script.read_text()
        with load("-c", 8, "-d", 3600) as running:
            for number in range(RELOADS):
                broken = number % 5 == 4
                script.write_text("local x = = 1\n" if broken else good)
                said = daemon.log_size
                daemon.signal(signal.SIGHUP)
                daemon.wait_log("the reload changed nothing" if broken else "serves: 2 workers", since=said)
            running.end()
        running.all_right()
        assert f"generation {RELOADS - RELOADS // 5 + 1} serves" in daemon.log
        until(lambda: len(daemon.workers) == 2)
        now = Usage.of(daemon)
        print(f"{time.monotonic() - begun:.0f} s", running.counts, before, now, sep="\n")  # for bench/SOAK.md
        assert now.descriptors <= before.descriptors + 1
        assert now.supervisor < before.supervisor + 8e6
        assert now.workers < before.workers + 16e6


def test_a_killed_supervisor_costs_no_open_session(load: Loading, tmp_path: Path) -> None:
    config = write(tmp_path / "etc", tmp_path / "m.sock", [MARK], "workers = 2\n")
    daemon = Daemon(config, tmp_path / "log")
    daemon.__enter__()
    workers = daemon.workers
    clients = [MilterClient(str(tmp_path / "m.sock")) for _ in range(10)]
    for client in clients:
        client.negotiate()
        client.connect()
    with load("-c", 8, "-d", 4) as running:
        time.sleep(1)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        time.sleep(0.5)
        with Daemon(config, tmp_path / "log2") as successor:
            for client in clients:
                client.helo()
                assert client.message().edits
                client.quit()
            until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
            time.sleep(2.5)
            assert "Traceback" not in successor.log
    # Refused between the two daemons, and whatever waited in the dead one's queue; nothing was answered wrongly.
    counts = running.counts
    assert counts["wrong"] == counts["errors"] == counts["timeouts"] == 0, (counts, running.said)
    assert counts["verdicts"]["continue"] == counts["messages"] > 0


def test_a_stop_answers_all_that_was_begun(load: Loading, tmp_path: Path) -> None:
    config = write(tmp_path / "etc", tmp_path / "m.sock", [MARK], "workers = 2\n")
    with load("-c", 8, "-d", 3600) as running:
        with Daemon(config, tmp_path / "log"):
            time.sleep(2)
        with Daemon(config, tmp_path / "log2"):
            time.sleep(2)
            running.end()
            time.sleep(0.5)
    counts = running.counts
    assert counts["wrong"] == counts["errors"] == counts["timeouts"] == counts["resets"] == 0, (counts, running.said)
    assert counts["verdicts"]["continue"] == counts["messages"] > 0
