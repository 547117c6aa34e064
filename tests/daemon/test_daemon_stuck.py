"""Workers without a sign of life are replaced; those that only seem to be are not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from support.milter_client import Gone
from support.patience import until
from support.served import POLICY, answer, connect, serving

# With the compiler on, no instruction limit and no deadline stops this: it makes no call and runs no hook.
COMPILED = f"""
local forever = true
{POLICY.format("one")}
function mod:validate_ehlo(str) if tostring(str) == "loop.test" then local n = 0 while forever do n = n + 1 end end end
"""


def test_a_stopped_worker_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 2\n[workers]\nstuck = 3\n") as daemon:
        victim = daemon.workers[0]
        os.kill(victim, signal.SIGSTOP)  # no sign of life, whatever the reason
        daemon.wait_log("no sign of life for 3 s")
        until(lambda: victim not in daemon.workers and len(daemon.workers) == 2)
        assert "one" in answer(tmp_path)


def test_a_lua_thread_that_nothing_stops_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, "[lua]\njit = true\n[workers]\nstuck = 3\n", COMPILED) as daemon:
        (victim,) = daemon.workers
        with connect(tmp_path) as client, connect(tmp_path) as other:
            client.send("H", b"loop.test\0")
            with pytest.raises(Gone):
                client.receive()
            with pytest.raises(Gone):  # the MTA's default action decides
                other.receive()
        until(lambda: daemon.workers and victim not in daemon.workers)
        daemon.wait_log("a script is stuck where it can't be stopped")
        assert "one" in answer(tmp_path)


def test_a_hook_that_blocks_on_purpose_is_not_stuck(tmp_path: Path) -> None:
    sorts = "function mod:validate_mailfrom() table.sort({2, 1}, function(a, b) msys.sleep(5) return a < b end) end"
    with serving(tmp_path, "[workers]\nstuck = 3\n", sorts) as daemon:
        before = daemon.workers
        with connect(tmp_path) as client:
            assert client.mail().kind == "continue"
        assert daemon.workers == before


def test_a_hook_that_was_held_up_has_used_nothing(tmp_path: Path) -> None:
    works = "function mod:validate_mailfrom() print('begun') local n = 0 for i = 1, 4e6 do n = n + i % 7 end end"
    with serving(tmp_path, "[lua]\ninstructions = 20000000\n", works) as daemon:
        (worker,) = daemon.workers
        for number in range(1, 4):
            with connect(tmp_path) as client:
                client.send("M", b"<a@x.test>\0")
                while daemon.log.count("begun") < number:
                    pass
                os.kill(worker, signal.SIGSTOP)  # in the middle of it
                time.sleep(1.2)
                os.kill(worker, signal.SIGCONT)
                assert client.answer().kind == "continue"


def test_a_supervisor_that_was_held_up_blames_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, "[workers]\nstuck = 3\n") as daemon, connect(tmp_path) as client:
        before = daemon.workers
        daemon.signal(signal.SIGSTOP)
        time.sleep(4.5)
        daemon.signal(signal.SIGCONT)
        time.sleep(1.5)  # until it has looked
        assert client.mail().text == "550 one"
        assert daemon.workers == before
