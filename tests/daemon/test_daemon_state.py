"""The daemon's state directory: who may have it, what is in it after a restart, and after a worker or all have died."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.milter_client import MilterClient
from support.patience import until

POLICY = """
function mod:init()
  msys.audit_series.define("kept", "string", 86400, 2, { persist = true })
  msys.audit_series.define("fleeting", "string", 86400, 2)
  return true
end
function mod:validate_ehlo(str, ac, vctx)
  msys.audit_series.add("kept", "a")
  msys.audit_series.add("fleeting", "a")
  vctx:set_code(450, string.format("%d %d", msys.audit_series.count("kept", { key = "a", endv = 1 }),
    msys.audit_series.count("fleeting", { key = "a", endv = 1 })))
end
"""


def asked(socket: Path) -> list[int]:
    with MilterClient(str(socket)) as client:
        client.negotiate()
        client.connect()
        return [int(word) for word in client.helo().text.split()[-2:]]


def test_what_persists_survives_a_restart_and_everything_a_reload(tmp_path: Path) -> None:
    socket = tmp_path / "m.sock"
    config = write(tmp_path / "etc", socket, [POLICY], 'workers = 2\n[state]\ndirectory = "state"\nsize = "8M"\n')
    with Daemon(config, tmp_path / "log") as daemon:
        assert [asked(socket) for _ in range(3)] == [[1, 1], [2, 2], [3, 3]]
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("generation 2 serves")
        assert asked(socket) == [4, 4]
        until(lambda: len(daemon.workers) == 2)  # those of the first generation are gone
        workers = daemon.workers
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: workers[0] not in daemon.workers and len(daemon.workers) == 2)
        until(lambda: "a new one is started" in daemon.log)
        assert asked(socket) == [5, 5]
    with Daemon(config, tmp_path / "log2") as daemon:
        assert asked(socket) == [6, 1]
        daemon.kill()  # all of it, at once
        daemon.wait()
        daemon.status = -signal.SIGKILL
    with Daemon(config, tmp_path / "log3"):
        assert asked(socket) == [7, 1]
    assert (tmp_path / "etc/state").stat().st_mode & 0o777 == 0o700
    assert all(not file.stat().st_mode & 0o077 for file in (tmp_path / "etc/state").glob("*.mdb*"))


def test_a_directory_has_one_daemon(tmp_path: Path) -> None:
    state = f'[state]\ndirectory = "{tmp_path}/state"\nsize = "8M"\n'
    first = write(tmp_path / "one", tmp_path / "m.sock", [POLICY], state)
    second = write(tmp_path / "two", tmp_path / "m2.sock", [POLICY], state)
    with Daemon(first, tmp_path / "log") as daemon:
        ended = subprocess.run([*COMMAND, str(second)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 78
        assert "is another running daemon's" in ended.stderr
        assert not (tmp_path / "m2.sock").exists()
        first.write_text(first.read_text().replace("/state", "/elsewhere"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("[state] directory changes with a restart only")
        assert asked(tmp_path / "m.sock") == [1, 1]


def test_without_a_directory_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path / "tmp")}
    config = write(tmp_path / "etc", tmp_path / "m.sock", [POLICY], '[state]\nsize = "8M"\n')
    with Daemon(config, tmp_path / "log", environment=environment) as daemon:
        assert asked(tmp_path / "m.sock") == [1, 1]
        assert len(list((tmp_path / "tmp").glob("lumilter-state-*"))) == 1
        assert 'the series "kept" does not survive a restart' in daemon.log
    assert not list((tmp_path / "tmp").iterdir())


def test_a_disk_that_is_full_is_said_at_the_start(tmp_path: Path) -> None:
    config = write(
        tmp_path / "etc", tmp_path / "m.sock", [POLICY], f'[state]\ndirectory = "state"\nsize = "{10**6}G"\n'
    )
    ended = subprocess.run([*COMMAND, str(config)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 78
    assert "[state] directory:" in ended.stderr


def test_a_file_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    config = write(tmp_path / "etc", tmp_path / "m.sock", [POLICY], '[state]\ndirectory = "state"\nsize = "8M"\n')
    with Daemon(config, tmp_path / "log"):
        pass
    file = tmp_path / "etc/state/kept.mdb"
    file.write_bytes(b"something else" * 1000)
    ended = subprocess.run([*COMMAND, str(config)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 78
    assert "[state] directory:" in ended.stderr
    assert "kept.mdb is damaged" in ended.stderr


def test_windows_are_written_to_files(tmp_path: Path) -> None:
    policy = """
function mod:init() msys.audit_series.define("each", "cidr", 1, 3, { serialize = true }) return true end
function mod:validate_ehlo(str, ac) msys.audit_series.add("each", ac) end
"""
    config = write(tmp_path / "etc", tmp_path / "m.sock", [policy], 'workers = 2\n[inbound_audit]\nlog_dir = "audit"\n')
    with Daemon(config, tmp_path / "log"), MilterClient(str(tmp_path / "m.sock")) as client:
        client.negotiate()
        client.connect()

        def written() -> list[str]:
            client.helo()
            return [file.read_text() for file in (tmp_path / "etc/audit").glob("each.*")]

        until(lambda: any(text.startswith("192.0.2.1,") for text in written()))
