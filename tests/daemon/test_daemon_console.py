"""The console of a running daemon: commands of scripts and Momentum's own, one by one and typed in.

The law: a real daemon with two workers, asked by the real `lumilter ctl`, or as that asks where it is about the daemon.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.patience import until

POLICY = """
    count = 0
    msys.registerControl("count", function(cc)
      count = count + 1
      msys.sleep(0.01)
      print(cc.argv[0], cc.argc, count)
    end)
    msys.registerControl("fail", function(cc)
      print("before")
      error("as asked") end)
    msys.registerControl("wait", function() print("waiting") msys.sleep(60) end)
    msys.registerControl("flood", function() for i = 1, 100000 do print(string.rep("x", 100)) end end)
    msys.registerControl("patience", function() print(msys.config("set", "lua", "deadline", "7")) end)
    function mod:validate_ehlo() msys.sleep(8) end
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Daemon]]:
    directory = tmp_path_factory.mktemp("console")
    with serving(directory) as daemon:
        yield directory, daemon


@contextmanager
def serving(directory: Path, config: str = "") -> Iterator[Daemon]:
    file = write(directory / "etc", directory / "m.sock", [POLICY], f"workers = 2\n[[pool]]\nname = 'IO'\n{config}")
    with Daemon(file, directory / "log") as daemon:
        yield daemon


def ctl(directory: Path, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND[:3], "ctl", "-c", str(directory / "etc/lumilter.toml"), *words]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, input=given)


def ask(directory: Path, *words: str, worker: int | None = None) -> tuple[int, str]:
    """The status and the text of a command."""
    args = {"words": words[1:]} if worker is None else {"words": words[1:], "worker": worker}
    text = ""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(60)
        asking.connect(str(directory / "m.sock.control"))
        asking.sendall(json.dumps({"verb": words[0], "args": args}).encode() + b"\n")
        with asking.makefile("rb") as lines:
            for line in lines:
                said = json.loads(line)
                text += said.get("text", "") + "\n" * ("text" in said)
                if "end" in said:
                    return said["end"], text
    raise AssertionError(f"no end after {text!r}")


def test_a_script_s_command_prints_to_who_gave_it(where: tuple[Path, Daemon]) -> None:
    directory, daemon = where
    first = ctl(directory, "count", "a b", "--flag")
    assert (first.returncode, first.stdout, first.stderr) == (0, "count\t3\t1\n", "")
    assert ctl(directory, "count").stdout == "count\t1\t2\n"  # the same worker
    assert ctl(directory, "--worker", "1", "count").stdout == "count\t1\t1\n"
    assert ask(directory, "count", worker=0) == (0, "count\t1\t3\n")
    assert "count" not in daemon.log
    ran = ctl(directory, "--worker", "7", "count")
    assert (ran.returncode, ran.stderr) == (69, "lumilter ctl: no such worker serves\n")


def test_an_error_is_told_and_logged(where: tuple[Path, Daemon]) -> None:
    directory, daemon = where
    ran = ctl(directory, "fail")
    assert (ran.returncode, ran.stdout) == (70, "before\n")
    assert "policy.lua:11: as asked" in ran.stderr
    assert "command fail: policy.lua:11: as asked" in daemon.log
    ran = ctl(directory, "scriptlet", "eval", "nil + 1")
    assert ran.returncode == 70
    assert "attempt to perform arithmetic on a nil value" in ran.stderr
    ran = ctl(directory, "nothing")
    assert (ran.returncode, ran.stderr) == (64, 'lumilter ctl: there is no command "nothing"; "help" lists them\n')


def test_momentum_s_commands(where: tuple[Path, Daemon]) -> None:
    directory, _ = where
    said = {
        words: ask(directory, *words.split())
        for words in (
            "version", "sysinfo", "summary", "threads stats", "threads io queue", "dns_cache stats", "dns_cache flush",
            "ds_core stats", "ds_core flush", "cidrdb list", "help", "help config", "config show pool",
            "config get dns timeout",
        )
    }  # fmt: skip
    assert {status for status, _ in said.values()} == {0}
    assert ctl(directory, "version").stdout == said["version"][1]
    assert said["version"][1].startswith("lumilter ")
    assert os.uname().release in said["sysinfo"][1]
    assert "Inbound Concurrency: 0" in said["summary"][1]
    for words in ("threads stats", "dns_cache stats", "ds_core stats"):
        assert "worker 0:" in said[words][1]
        assert "worker 1:" in said[words][1]
    assert "IO thread pool: concurrency 5\n" in said["threads stats"][1]
    assert "0 running, 0 queued" in said["threads io queue"][1]
    assert "Hit Rate" in said["dns_cache stats"][1]
    assert "no datasource is configured" in said["ds_core stats"][1]
    assert "no list is defined" in said["cidrdb list"][1]
    assert "count" in said["help"][1]
    assert {line.split()[0] for line in said["help config"][1].splitlines()} == {"config"}
    assert "pool io concurrency = 5\n" in said["config show pool"][1]
    assert said["config get dns timeout"][1] == "timeout = 5\n"


def test_scriptlet_eval(where: tuple[Path, Daemon]) -> None:
    directory, _ = where
    assert ctl(directory, "scriptlet", "eval", "typed = 41").returncode == 0
    assert ctl(directory, "scriptlet", "eval", "typed + 1, 'x'").stdout == '42\n"x"\n'
    assert ctl(directory, "scriptlet", "eval", "print('said') return msys.sleep(0.01)").stdout.startswith("said\n")
    assert ctl(directory, "scriptlet", "eval").returncode == 64


def test_a_flood_is_cut_and_hurts_nobody(where: tuple[Path, Daemon]) -> None:
    directory, daemon = where
    before = daemon.workers
    ran = ctl(directory, "flood")
    assert ran.returncode == 0
    assert 1_000_000 < len(ran.stdout) < 1_100_000
    assert ran.stdout.endswith("(the rest, beyond 1048576 characters, is not shown)\n")
    assert daemon.workers == before


def test_who_asks_and_goes_and_what_dies_meanwhile(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        command = [*COMMAND[:3], "ctl", "-c", str(tmp_path / "etc/lumilter.toml"), "wait"]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as gone:
            assert gone.stdout.readline() == b"waiting\n"
            gone.kill()
        assert ctl(tmp_path, "count").stdout == "count\t1\t1\n"
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as left:
            assert left.stdout.readline() == b"waiting\n"
            for worker in daemon.workers:
                os.kill(worker, signal.SIGKILL)
            assert b"has ended" in left.communicate(timeout=30)[1]
            assert left.returncode == 69


def test_config_set_holds_everywhere_until_a_reload(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:

        def seen() -> set[str]:
            lua = "msys.config('get', 'lua', 'deadline')"
            return {ask(tmp_path, "scriptlet", "eval", lua, worker=index)[1].split("\n")[0] for index in (0, 1)}

        assert seen() == {"60"}
        assert ctl(tmp_path, "config", "set", "lua", "deadline", "=", "1.5").stdout == "deadline = 1.5\n"
        until(lambda: seen() == {"1.5"}, 30)
        ran = ctl(tmp_path, "wait")
        assert ran.returncode == 70
        assert "passed its deadline (1.5 s)" in ran.stderr
        os.kill(daemon.workers[0], signal.SIGKILL)  # a new worker knows it too
        until(lambda: seen() == {"1.5"}, 30)
        assert ask(tmp_path, "patience") == (0, "7\tdeadline = 7\n")
        until(lambda: seen() == {"7"}, 30)
        assert ask(tmp_path, "config", "get", "lua", "deadline") == (0, "deadline = 7\n")
        assert ask(tmp_path, "config", "set", "pool", "io", "concurrency", "2")[0] == 0
        until(lambda: ask(tmp_path, "threads", "stats")[1].count("IO thread pool: concurrency 2\n") == 2, 30)
        refused = ctl(tmp_path, "config", "set", "lua", "jit", "true")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "edit the file, then reload" in refused.stderr
        assert ask(tmp_path, "config", "reload")[0] == 0
        assert seen() == {"60"}
        assert ask(tmp_path, "config", "get", "lua", "deadline") == (0, "deadline = 60\n")


def test_commands_from_a_pipe(where: tuple[Path, Daemon]) -> None:
    directory, _ = where
    ran = ctl(
        directory,
        given="version\n\nconfig get 'lua' deadline\nnothing\n'\nstatus --nonsense\nscriptlet eval 'a' .. \"b c\"\n",
    )
    assert ran.returncode == 2  # of the last one that failed
    assert ran.stdout.splitlines()[1:] == ["deadline = 60", '"ab c"']
    assert 'there is no command "nothing"' in ran.stderr
    assert "No closing quotation" in ran.stderr
    assert ctl(directory, given="version\nquit\nnothing\n").returncode == 0


def test_a_console_with_history_and_completion(where: tuple[Path, Daemon], tmp_path: Path) -> None:
    directory, _ = where
    command = [*COMMAND[:3], "ctl", "-c", str(directory / "etc/lumilter.toml")]
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "HOME": str(tmp_path), "TERM": "dumb"}
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as console:
        os.close(theirs)
        seen = b""

        def wait_for(text: bytes, timeout: float = 30) -> None:
            nonlocal seen
            end = time.monotonic() + timeout
            while text not in seen:
                assert select.select([ours], [], [], max(0.0, end - time.monotonic()))[0], seen
                seen += os.read(ours, 4096)
            seen = seen.split(text, 1)[1]

        wait_for(b"> ")
        os.write(ours, b"threads io que\t\n")
        wait_for(b"Jobs in the IO pool")
        wait_for(b"> ")
        os.write(ours, b"conf\tget lua dead\x15count\n")  # ^U
        wait_for(b"count\t")
        wait_for(b"> ")
        os.write(ours, b"\x04")
        assert console.wait(30) == 0
    os.close(ours)
    history = tmp_path / ".lumilter_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert history.read_text().splitlines()[-2:] == ["threads io queue ", "count"]


def test_inbound_audit_and_counter(tmp_path: Path) -> None:
    config = '[inbound_audit]\nmonitors = ["300,2"]\n'
    with serving(tmp_path, config):
        assert ctl(tmp_path, "inbound_audit", "add", "connections", "300,2", "192.0.2.1", "5").returncode == 0
        shown = ctl(tmp_path, "inbound_audit:inbound_audit1", "show", "ip", "192.0.2.0/24").stdout.splitlines()
        assert shown[0] == "Connections 300/0: 5"
        assert len(shown) == 9
        assert ctl(tmp_path, "counter", "add", "/site/x", "41").stdout == "41\n"
        assert ctl(tmp_path, "counter", "increment", "/site/x").stdout == "42\n"  # in whichever worker
        wrong = ctl(tmp_path, "inbound_audit", "show")
        assert wrong.returncode == 64
        assert "no such command" in wrong.stderr
