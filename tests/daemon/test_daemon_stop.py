"""How a daemon ends, and how long sessions are given: [workers] stop and drain."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from support.daemon import Daemon, write
from support.dns_server import DnsServer
from support.milter_client import Gone, MilterClient
from support.patience import until
from support.served import POLICY, connect, serving


def test_sigterm_lets_sessions_end_and_a_second_one_cuts_them(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        with connect(tmp_path) as client:
            daemon.terminate()
            daemon.wait_log("stopping")
            until(lambda: not (tmp_path / "m.sock").exists())
            assert "one" in client.mail().text
        assert daemon.wait() == 0
    with Daemon(tmp_path / "etc/lumilter.toml", tmp_path / "log2", status=1) as daemon:
        client = connect(tmp_path)
        daemon.terminate()
        daemon.wait_log("stopping")
        daemon.terminate()
        with pytest.raises(Gone):
            client.receive()


@pytest.mark.parametrize("wire", ["python", "libmilter"])
def test_sessions_that_do_not_end_in_time_are_cut(tmp_path: Path, wire: str) -> None:
    with serving(tmp_path, f'wire = "{wire}"\n[workers]\nstop = 1\n', status=1) as daemon, connect(tmp_path) as client:
        daemon.terminate()
        with pytest.raises(Gone):
            client.receive()
        assert daemon.wait() == 1
        assert "1 connections are cut: they did not end in time" in daemon.log


HANGS = """
require("curl")
require("msys.core")
function mod:validate_ehlo(name)
  print("it waits")
  if tostring(name) == "pause" then
    return msys.core.VALIDATE_AGAIN
  elseif tostring(name) == "sleep" then
    msys.sleep(600)
  else
    local request = curl.new()
    request:setopt(curl.OPT_URL, "http://127.0.0.1:%d/")
    request:perform()
  end
  print("it has waited")
end
function mod:deinit()
  print("deinit has run")
  return true
end
"""


@pytest.mark.parametrize("name", ["sleep", "request", "pause"])
@pytest.mark.parametrize("wire", ["python", "libmilter"])
def test_a_hook_that_waits_holds_up_no_end(tmp_path: Path, wire: str, name: str) -> None:
    """A server that never answers, and a hook that is given all the time: the worker still ends by itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        policy = HANGS % silent.getsockname()[1]
        config = f'wire = "{wire}"\n[workers]\nstop = 1\n[lua]\ndeadline = 0\n[http]\ntimeout = 600\n'
        config += "[policy]\nagain_interval = 300\nagain_limit = 600\n"
        path = tmp_path / "m.sock"
        with Daemon(write(tmp_path / "d", path, [policy], config), tmp_path / "log", status=1) as daemon:
            with MilterClient(str(path), timeout=60) as client:
                client.negotiate()
                client.connect()
                client.send("H", name.encode() + b"\0")
                daemon.wait_log("it waits")
                daemon.terminate()
                assert daemon.wait() == 1
            assert "deinit has run" in daemon.log
            assert "it has waited" not in daemon.log
            assert "is killed" not in daemon.log


def ended_by_itself(daemon: Daemon) -> None:
    """It is told to stop, and no worker has to be killed for that."""
    daemon.terminate()
    assert daemon.wait() == 1
    assert "is killed" not in daemon.log


def test_a_check_that_waits_holds_up_no_end(tmp_path: Path) -> None:
    """A name server that never answers."""
    config = "[workers]\nstop = 1\n[spf]\nenabled = true\n[dns]\ntimeout = 600\nservers = ["
    with (
        DnsServer(lambda query, transport: None) as names,
        serving(tmp_path, f'{config}"{names.address}"]\n', status=1) as daemon,
        connect(tmp_path) as client,
    ):
        client.send("M", b"<ann@example.com>\0")
        until(lambda: names.queries)
        ended_by_itself(daemon)
        assert "a sender could not be checked: it was given up: the worker's time is over" in daemon.log


PARTS = """
function mod:validate_data_spool_each_rcpt(msg)
  msg:header("X-To", msg:rcptto())
end
"""


@pytest.mark.parametrize("wire", ["python", "libmilter"])
def test_an_injection_that_waits_holds_up_no_end(tmp_path: Path, wire: str) -> None:
    """A mail server that takes connections and never says a word. libmilter's threads end with their process."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        config = f'wire = "{wire}"\n[workers]\nstop = 1\n'
        config += f'[inject]\nserver = "smtp:inet:{silent.getsockname()[1]}@127.0.0.1"\n'
        config += f'timeout = 600\ndeadline = 600\noutbox = "{tmp_path}/outbox"\n'
        with serving(tmp_path, config, PARTS, status=1) as daemon, connect(tmp_path) as client:
            client.mail()
            client.rcpt("<a@mx.test>")
            client.rcpt("<b@mx.test>")
            client.data()
            client.header("Subject", "x")
            client.eoh()
            client.send("E")
            with silent.accept()[0]:
                ended_by_itself(daemon)


def test_a_worker_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path, "[workers]\nstop = 0.5\n", status=1) as daemon:
        os.kill(daemon.workers[0], signal.SIGSTOP)
        daemon.terminate()
        assert daemon.wait() == 1
        assert "is killed: its sessions did not end in time" in daemon.log


@pytest.mark.parametrize("wire", ["python", "libmilter"])
def test_a_replaced_worker_is_given_so_long(tmp_path: Path, wire: str) -> None:
    with serving(tmp_path, f'wire = "{wire}"\n[workers]\ndrain = 1\n') as daemon, connect(tmp_path) as client:
        (old,) = daemon.workers
        daemon.signal(signal.SIGHUP)
        with pytest.raises(Gone):
            client.receive()
        until(lambda: old not in daemon.workers)
        assert "1 connections are cut: they did not end in time" in daemon.log
        with connect(tmp_path) as another:
            assert another.mail().text == "550 one"


def test_sessions_that_wait_in_the_queue_are_served_before_the_end(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        (worker,) = daemon.workers
        os.kill(worker, signal.SIGSTOP)
        client = MilterClient(str(tmp_path / "m.sock"))
        daemon.terminate()
        daemon.wait_log("stopping")
        os.kill(worker, signal.SIGCONT)
        client.negotiate()
        client.connect()
        client.helo()
        assert "one" in client.mail().text
        client.close()
        assert daemon.wait() == 0


def ask(tmp_path: Path, verb: str) -> socket.socket:
    """A request on the control socket."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(f"{tmp_path}/m.sock.control")
    client.sendall(json.dumps({"verb": verb, "args": {}}).encode() + b"\n")
    return client


def test_a_stop_answers_a_reload_that_waits(tmp_path: Path) -> None:
    slow = f"if io.open('{tmp_path}/flag') then msys.sleep(20) end\n" + POLICY.format("one")
    with serving(tmp_path, policy=slow) as daemon:
        (tmp_path / "flag").touch()
        asked = [ask(tmp_path, "reload") for _ in range(2)]
        until(lambda: len(daemon.workers) == 2)
        with ask(tmp_path, "status") as status:  # who is answered came after them
            assert b'"end":0' in status.makefile("rb").read()
        daemon.terminate()
        for each in asked:
            with each:
                answer = each.makefile("rb").read()
            assert b"the daemon is stopping" in answer
            assert b'"end":78' in answer
