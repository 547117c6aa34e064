"""Scripts that loop, hoard or wait, and full disks, while other mail comes in: nobody else gets a wrong answer."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.dns_server import DnsServer
from support.load import Load
from support.milter_client import Gone, MilterClient
from support.patience import until

POLICY = """
function mod:validate_mailfrom(str, ac, vctx)
  if tostring(str) == "fault@x.test" then FAULT end
end
function mod:validate_data(msg) msg:header('X-Seen', '1') end
"""
FAULTS = {
    "plain": "while true do end",
    "pcall": "while true do pcall(function() while true do end end) end",
    "coroutine": "coroutine.wrap(function() while true do pcall(error) end end)()",
    "sort": "table.sort({1, 2, 3}, function(a, b) while true do end end)",
    "long sorts": "local t = {} for i = 1, 50000 do t[i] = i end while true do table.sort(t) end",
    "pattern": "local x = ('a'):rep(50000):find('.-.-.-.-x')",
    "message handler": "xpcall(function() while true do end end, function() while true do end end)",
    "memory": "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end",
    "one large string": "local s = ('x'):rep(2e9)",
}

Serving = Callable[..., Daemon]
Loading = Callable[..., Load]


def fault(tmp_path: Path) -> str:
    """What the session at fault is told."""
    with MilterClient(str(tmp_path / "m.sock"), timeout=60) as client:
        client.negotiate()
        client.connect()
        client.helo()
        answer = client.mail("<fault@x.test>")
        client.quit()
        return answer.text or answer.kind


@pytest.mark.parametrize("body", FAULTS.values(), ids=FAULTS)
def test_a_script_that_runs_away(serving: Serving, load: Loading, tmp_path: Path, body: str) -> None:
    with serving(POLICY.replace("FAULT", body), '[lua]\nmax_memory = "40M"\n') as daemon:
        before = daemon.workers
        with load("-c", 4, "-d", 3) as running:
            time.sleep(0.5)
            assert fault(tmp_path).startswith("451 ")
        running.all_right()
        assert daemon.workers == before
        assert "policy.lua:" in next(line for line in daemon.errors if "451" not in line)


def test_a_loop_that_nothing_stops_costs_its_worker_only(serving: Serving, load: Loading, tmp_path: Path) -> None:
    """LuaJIT's compiled loops see no limit; the supervisor does. The worker's other sessions end without an answer."""
    loop = "local forever, n = tostring(str) ~= '', 0 while forever do n = n + 1 end"
    config = "workers = 2\n[lua]\njit = true\n[workers]\nstuck = 3\n"
    with serving(POLICY.replace("FAULT", loop), config) as daemon:
        before = set(daemon.workers)
        with load("-c", 4, "-d", 3600) as running:
            time.sleep(0.5)
            with pytest.raises(Gone):
                fault(tmp_path)
            until(lambda: len(daemon.workers) == 2 and before != set(daemon.workers))
            running.end()
        running.all_right(lost=4)
        assert len(before & set(daemon.workers)) == 1
        assert "a script is stuck where it can't be stopped" in daemon.log


def test_a_name_server_that_never_answers(serving: Serving, load: Loading, tmp_path: Path) -> None:
    policy = POLICY.replace("FAULT", "vctx:set_code(450, tostring(select(2, msys.dnsLookup('x.test', 'a'))))")
    with (
        DnsServer(lambda query, transport: None) as server,
        serving(policy, f'[dns]\nservers = ["{server.address}"]\ntimeout = 6\n'),
        load("-c", 4, "-d", 3) as running,
    ):
        clients = [MilterClient(str(tmp_path / "m.sock")) for _ in range(100)]
        for client in clients:
            client.negotiate()
            client.connect()
            client.helo()
            client.send("M", b"<fault@x.test>\0")
        assert {client.answer().text for client in clients} == {"450 TIMEOUT"}
        for client in clients:
            client.quit()
    running.all_right()
    assert running.counts["latency_us"]["max"] < 5_900_000  # nobody waited for the name server


def test_a_full_disk_for_the_log(load: Loading, tmp_path: Path) -> None:
    policy = POLICY.replace("FAULT", "print('x')")
    config = write(tmp_path / "etc", tmp_path / "m.sock", [policy], '[log]\ntarget = "/dev/full"\n')
    command = [*COMMAND[:3], "ctl", "-c", str(config)]
    with subprocess.Popen([*COMMAND, str(config)], env=ENVIRONMENT, stderr=subprocess.PIPE) as daemon:
        while subprocess.run([*command, "health"], env=ENVIRONMENT, capture_output=True).returncode:
            assert daemon.poll() is None
        with load("-c", 4, "-d", 2) as running:
            pass
        status = subprocess.run([*command, "status", "--json"], env=ENVIRONMENT, capture_output=True, check=True)
        daemon.terminate()
        assert daemon.communicate(timeout=60)[1] == b""
    assert daemon.returncode == 0
    running.all_right()
    assert json.loads(status.stdout)["totals"]["log_lines_lost"] >= running.messages


def test_a_full_disk_for_bodies(serving: Serving, load: Loading, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", spool], check=True)
    try:
        config = f'[limits]\nmemory_body = "20K"\nspool = "{spool}"\n'
        with serving(POLICY.replace("FAULT", ""), config) as daemon, load("-c", 4, "-d", 3) as running:
            time.sleep(0.5)
            for size, kind in ((60_000, "continue"), (500_000, "replycode"), (60_000, "continue")):
                with MilterClient(str(tmp_path / "m.sock")) as client:
                    client.negotiate()
                    client.connect()
                    client.helo()
                    answer = client.message(body=b"x" * size)
                    assert answer.kind == kind
                    assert answer.text[:1] in ("", "4")
                    client.quit()
        running.all_right()
        assert "its body can't be spooled" in daemon.log
    finally:
        subprocess.run(["umount", spool], check=True)
