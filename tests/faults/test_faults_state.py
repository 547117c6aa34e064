"""Shared state under load: workers are killed, and the Redis server is killed, hangs and comes back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.daemon import COMMAND, ENVIRONMENT, Daemon
from support.load import Load
from support.milter_client import Gone, MilterClient
from support.patience import until
from support.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

Serving = Callable[..., Daemon]
Loading = Callable[..., Load]

POLICY = """
function mod:init()
  msys.audit_series.define("messages", "string", 86400, 2)
  msys.audit_series.define("shared", "string", 86400, 2, { replicate = "cluster" })
  return true
end

function mod:validate_data(msg)
  msg:header("X-Seen", "1")
  msys.audit_series.add("messages", "all")
  msys.audit_series.add("shared", "all")
  msys.audit_series.count("shared", "all")
end

function mod:validate_ehlo(str, ac, vctx)
  if tostring(str) == "ask" then
    vctx:set_code(450, string.format("%d %d %d", msys.audit.inbound_session_count("0.0.0.0/0", "SMTP"),
      msys.audit_series.count("messages", { key = "all", endv = 1 }),
      msys.audit_series.count("shared", { key = "all", endv = 1 })))
  end
end
"""


def asked(tmp_path: Path) -> list[int]:
    """Open sessions (ours included), and what both series hold."""
    with MilterClient(str(tmp_path / "m.sock")) as client:
        client.negotiate()
        client.connect()
        return [int(word) for word in client.helo("ask").text.split()[-3:]]


def figure(daemon: Daemon, name: str) -> float:
    """The sum of a figure of `lumilter ctl metrics`."""
    command = [*COMMAND[:3], "ctl", "-c", str(daemon.config), "metrics"]
    text = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True).stdout
    return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def test_killed_workers_leave_neither_sessions_nor_wrong_counts(
    serving: Serving, load: Loading, tmp_path: Path
) -> None:
    with serving(POLICY, "workers = 2\n") as daemon:
        with load("-c", 8, "-d", 3) as running:
            for _ in range(2):
                time.sleep(1)
                os.kill(daemon.workers[0], signal.SIGKILL)
        running.all_right(lost=16)
        until(lambda: asked(tmp_path)[0] == 1)
        counted = asked(tmp_path)[1]
        assert running.messages <= counted <= running.messages + 16


def test_a_worker_that_is_killed_takes_its_open_sessions_along(serving: Serving, tmp_path: Path) -> None:
    with serving(POLICY, "workers = 2\n") as daemon:
        clients = [MilterClient(str(tmp_path / "m.sock")) for _ in range(8)]
        for client in clients:
            client.negotiate()
            client.connect()
        until(lambda: asked(tmp_path)[0] == 9)
        os.kill(daemon.workers[0], signal.SIGKILL)
        alive = []
        for client in clients:
            try:
                client.helo()
                alive.append(client)
            except (Gone, OSError):
                client.close()
        until(lambda: asked(tmp_path)[0] == len(alive) + 1)
        for client in alive:
            client.close()
        until(lambda: asked(tmp_path)[0] == 1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_no_session_hangs_while_redis_is_away(
    serving: Serving, load: Loading, tmp_path: Path, redis_server: RedisServer, how: int
) -> None:
    with redis_server.client() as client:
        client.flushall()
    config = f'workers = 2\n[redis]\nserver = "inet:{redis_server.port}@127.0.0.1"\ntimeout = 0.3\n'
    with serving(POLICY, config) as daemon:
        with load("-c", 8, "-d", 3600) as running:
            time.sleep(1)
            if how == signal.SIGKILL:
                redis_server.kill()
                time.sleep(1.5)
                redis_server.start()
            else:
                redis_server.signal(signal.SIGSTOP)
                time.sleep(1.5)
                redis_server.signal(signal.SIGCONT)
            # Each of two workers; one without sessions would not try.
            until(lambda: daemon.log.count("works again") >= max(2, daemon.log.count("nothing more is said until")))
            running.end()
        running.all_right()
        assert daemon.log.count("nothing more is said until that is over") < 12
        assert figure(daemon, "lumilter_redis_failures_total") > 0
        assert figure(daemon, "lumilter_state_failures_total") == 0
        assert figure(daemon, "lumilter_state_bytes") > 0
        _, here, shared = asked(tmp_path)
        assert here == running.messages
        assert 0 < shared < here
