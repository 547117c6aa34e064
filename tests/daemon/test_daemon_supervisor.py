"""daemon.supervisor: workers that die, grow or are asked to go are replaced; a reload changes all or nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.milter_client import MilterClient
from support.patience import until
from support.ports import free_port
from support.served import POLICY, answer, connect, serving


def test_as_many_workers_as_configured_serve(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 3\n") as daemon:
        assert len(daemon.workers) == 3
        assert answer(tmp_path) == "550 one"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_replaced_while_the_others_serve(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, "workers = 2\n") as daemon:
        before = daemon.workers
        os.kill(before[0], number)
        for _ in range(20):
            assert "one" in answer(tmp_path)
        until(lambda: len(daemon.workers) == 2 and before[0] not in daemon.workers)
        daemon.wait_log("a new one is started")
        assert before[1] in daemon.workers


def test_a_worker_that_was_told_to_end_finishes_its_sessions(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        (old,) = daemon.workers
        with connect(tmp_path) as client:
            os.kill(old, signal.SIGTERM)
            until(lambda: len(daemon.workers) == 2)
            assert "one" in answer(tmp_path)
            assert "one" in client.mail().text
        until(lambda: old not in daemon.workers)
        assert "one" in answer(tmp_path)


def test_a_crash_loop_backs_off_and_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        while "ended in a row, the next is started in" not in daemon.log:
            for worker in daemon.workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            time.sleep(0.05)
        assert "one" in answer(tmp_path)  # the MTA's connection waits in the queue meanwhile


def test_a_worker_is_replaced_after_so_many_messages(tmp_path: Path) -> None:
    accept = "function mod:validate_data(msg) end"
    with serving(tmp_path, "[workers]\nmax_messages = 3\n", accept) as daemon:
        before = daemon.workers
        with connect(tmp_path) as client:
            for _ in range(5):
                assert client.message().kind == "continue"
            daemon.wait_log("it has reached [workers] max_messages")
            until(lambda: len(daemon.workers) == 2)
            assert client.message().kind == "continue"  # the old one goes on with what it has
        until(lambda: before[0] not in daemon.workers)


def test_a_worker_is_replaced_when_it_has_grown(tmp_path: Path) -> None:
    eats = "local kept = {}\nfunction mod:validate_mailfrom() kept[#kept + 1] = ('x'):rep(150e6) end"
    with serving(tmp_path, "[lua]\nmax_memory = '512M'\n[workers]\nmax_rss = '150M'\n", eats) as daemon:
        before = daemon.workers
        answer(tmp_path)
        daemon.wait_log("it has reached [workers] max_rss")
        until(lambda: daemon.workers and before[0] not in daemon.workers)


def test_a_worker_is_replaced_when_it_is_old(tmp_path: Path) -> None:
    with serving(tmp_path, "[workers]\nmax_age = 1\n") as daemon:
        before = daemon.workers
        daemon.wait_log("it has reached [workers] max_age")
        until(lambda: daemon.workers and before[0] not in daemon.workers)
        assert "one" in answer(tmp_path)


def test_a_reload_serves_new_sessions_with_the_new_scripts_and_old_ones_with_the_old(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 2\n") as daemon, connect(tmp_path) as old:
        before = daemon.workers
        (tmp_path / "etc/policy.lua").write_text((tmp_path / "etc/policy.lua").read_text().replace("'one'", "'two'"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("generation 2 serves")
        until(lambda: "two" in answer(tmp_path))
        assert "one" in old.mail().text
        old.close()
        until(lambda: not set(before) & set(daemon.workers))
        assert len(daemon.workers) == 2


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("policy.lua", "local x = = 1", "policy.lua:1: "),
        ("policy.lua", "\n\nerror('at load')", "policy.lua:3: at load"),
        ("lumilter.toml", "[milter]\nsokcet = 1", "lumilter.toml:2: unknown key"),
        ("lumilter.toml", "[milter", "lumilter.toml:1: "),
    ],
)
def test_what_does_not_load_changes_nothing(tmp_path: Path, file: str, text: str, says: str) -> None:
    with serving(tmp_path, "workers = 2\n") as daemon:
        before = daemon.workers
        good = (tmp_path / "etc" / file).read_text()
        (tmp_path / "etc" / file).write_text(text)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("the reload changed nothing")
        assert says in daemon.log
        until(lambda: daemon.workers == before)
        assert "one" in answer(tmp_path)
        (tmp_path / "etc" / file).write_text(good)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("generation 2 serves")


def test_a_reload_takes_another_socket_and_another_number_of_workers(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 2\n") as daemon, connect(tmp_path) as old:
        config = tmp_path / "etc/lumilter.toml"
        config.write_text(config.read_text().replace("m.sock", "n.sock").replace("workers = 2", "workers = 1"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("generation 2 serves")
        assert not (tmp_path / "m.sock").exists()
        with MilterClient(str(tmp_path / "n.sock")) as client:
            client.negotiate()
            client.connect()
        assert "one" in old.mail().text
        old.close()
        until(lambda: len(daemon.workers) == 1)


def test_workers_outlive_a_killed_supervisor_until_their_sessions_end(tmp_path: Path) -> None:
    daemon = Daemon(write(tmp_path / "etc", tmp_path / "m.sock", [POLICY.format("one")]), tmp_path / "log")
    daemon.__enter__()
    (worker,) = daemon.workers
    with connect(tmp_path) as client:
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        daemon.wait_log("the supervisor is gone", dead=True)
        assert "one" in client.mail().text
    until(lambda: not Path(f"/proc/{worker}").exists())
    with serving(tmp_path):  # the file that it left is no hindrance
        assert "one" in answer(tmp_path)


def test_an_inherited_socket_is_served(tmp_path: Path) -> None:
    path = tmp_path / "systemd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        config = write(tmp_path / "etc", tmp_path / "m.sock", [POLICY.format("one")])
        with Daemon(config, tmp_path / "log", listen=listener) as daemon, MilterClient(str(path)) as client:
            assert not (tmp_path / "m.sock").exists()
            client.negotiate()
            client.connect()
            client.helo()
            assert "one" in client.mail().text
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("generation 2 serves")
            with MilterClient(str(path)) as another:
                another.negotiate()
        assert path.exists()  # it belongs to whoever bound it


def test_a_supervisor_that_dies_while_a_worker_loads_leaves_nothing_behind(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    slow = f"if io.open('{flag}') then msys.sleep(3) end\n" + POLICY.format("one")
    daemon = Daemon(write(tmp_path / "etc", tmp_path / "m.sock", [slow]), tmp_path / "log")
    daemon.__enter__()
    flag.touch()
    daemon.signal(signal.SIGHUP)
    until(lambda: len(daemon.workers) == 2)
    workers = daemon.workers
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_a_script_s_own_processes_do_not_disturb_a_worker(tmp_path: Path) -> None:
    policy = """function mod:validate_mailfrom(str, ac, vctx)
      local pipe = io.popen("echo out")
      vctx:set_code(550, pipe:read("*l"))
      pipe:close()
    end"""
    with serving(tmp_path, "[lua]\nallow = ['io.popen']\n", policy):
        for _ in range(5):
            assert "out" in answer(tmp_path)


def test_a_log_that_can_not_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    config = write(tmp_path / "etc", tmp_path / "m.sock", [""], f"[log]\ntarget = '{tmp_path}/none/log'\n")
    ran = subprocess.run([*COMMAND, str(config)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 78
    assert "[log] target" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_new_scripts_serve_nobody_before_every_worker_has_loaded_them(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 2\n") as daemon:
        script, first, second = tmp_path / "etc/policy.lua", tmp_path / "first", tmp_path / "second"
        first.touch()
        only_once = f"if not os.rename('{first}', '{second}') then msys.sleep(1) error('the second one') end\n"
        script.write_text(only_once + script.read_text().replace("'one'", "'two'"))
        daemon.signal(signal.SIGHUP)
        while "the reload changed nothing" not in daemon.log:
            assert answer(tmp_path) == "550 one"
        assert second.exists()
        assert "policy.lua:1: the second one" in daemon.log
        until(lambda: len(daemon.workers) == 2)
        assert answer(tmp_path) == "550 one"


def test_a_port_is_given_back_when_it_changes(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    config = write(tmp_path / "etc", tmp_path / "m.sock", [POLICY.format("one")])
    text = config.read_text().replace(f"unix:{tmp_path}/m.sock", "inet:PORT@127.0.0.1")
    config.write_text(text.replace("PORT", str(ports[0])))
    with Daemon(config, tmp_path / "log") as daemon:
        for generation, port in enumerate((ports[1], ports[0], ports[1]), 2):
            config.write_text(text.replace("PORT", str(port)))
            daemon.signal(signal.SIGHUP)
            daemon.wait_log(f"generation {generation} serves")
            with MilterClient(("127.0.0.1", port)) as client:
                client.negotiate()
            until(lambda other=ports[port == ports[0]]: is_refused(other))


def is_refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0
