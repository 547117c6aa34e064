"""daemon.operations: what a running daemon answers on its control socket, its pages, and to systemd.

The law: a real daemon, asked by the real `lumilter ctl`, by HTTP and through a notify socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.milter_client import MilterClient
from support.patience import until
from support.ports import free_port

POLICY = """
function mod:validate_mailfrom(str, ac, vctx) if tostring(str) == 'bad@x.test' then vctx:set_code(550, 'no') end end
function mod:validate_data(msg) msg:header('X-Seen', '1') end
"""


@contextmanager
def serving(tmp_path: Path, config: str = "", policy: str = POLICY) -> Iterator[Daemon]:
    with Daemon(write(tmp_path / "etc", tmp_path / "m.sock", [policy], config), tmp_path / "log") as daemon:
        yield daemon


def ctl(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND[:3], "ctl", "-c", str(tmp_path / "etc/lumilter.toml"), *words]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def status(tmp_path: Path) -> dict:
    ran = ctl(tmp_path, "status", "--json")
    assert ran.returncode == 0, ran
    return json.loads(ran.stdout)


def session(tmp_path: Path, sender: str = "<good@x.test>", address: str = "192.0.2.1") -> str:
    with MilterClient(str(tmp_path / "m.sock")) as client:
        client.negotiate()
        client.connect(address=address)
        client.helo()
        answer = client.mail(sender)
        if answer.kind == "continue":
            client.rcpt()
            client.data()
            client.header("Subject", " x")
            client.eoh()
            client.body(b"x\r\n")
            answer = client.eom()
        client.quit()
        return answer.kind


def test_status_says_what_runs(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 2\n") as daemon:
        assert session(tmp_path) == "continue"
        assert session(tmp_path, "<bad@x.test>") == "replycode"
        said = status(tmp_path)
        assert said["pid"] == daemon.pid
        assert said["generation"] == 1
        assert [worker["pid"] for worker in said["workers"]] == daemon.workers
        assert {worker["state"] for worker in said["workers"]} == {"serving"}
        assert all(worker["rss"] > 1e6 and worker["lua_memory"] > 1e4 for worker in said["workers"])
        assert said["totals"]["sessions"] == 2
        assert said["totals"]["verdicts"] == {"accept": 1, "reject": 1}
        assert said["last_reload"] is None
        with MilterClient(str(tmp_path / "m.sock")) as client:
            client.negotiate()
            client.connect()
            assert sum(worker["sessions"] for worker in status(tmp_path)["workers"]) == 1


def test_the_control_socket_is_its_owner_s(tmp_path: Path) -> None:
    with serving(tmp_path):
        assert stat.S_IMODE((tmp_path / "m.sock.control").stat().st_mode) == 0o600
    assert not (tmp_path / "m.sock.control").exists()
    with serving(tmp_path, f'[control]\nsocket = "unix:{tmp_path}/c"\nsocket_mode = "0660"\n'):
        assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o660
        assert ctl(tmp_path, "health").returncode == 0


def test_a_reload_is_waited_for_and_its_error_told(tmp_path: Path) -> None:
    with serving(tmp_path):
        ran = ctl(tmp_path, "reload")
        assert (ran.returncode, ran.stdout) == (0, "generation 2 serves\n")
        (tmp_path / "etc/policy.lua").write_text("\nlocal x = = 1\n")
        ran = ctl(tmp_path, "reload")
        assert ran.returncode == 78
        assert "policy.lua:2: " in ran.stderr
        said = status(tmp_path)
        assert said["generation"] == 2
        assert "policy.lua:2: " in said["last_reload"]["problem"]


def test_workers_are_restarted(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 2\n") as daemon:
        before = daemon.workers
        assert ctl(tmp_path, "workers", "restart").returncode == 0
        assert not set(before) & {w["pid"] for w in status(tmp_path)["workers"] if w["state"] == "serving"}
        assert status(tmp_path)["restarts"] == {"asked": 2}


def test_health_is_that_of_the_milter_socket(tmp_path: Path) -> None:
    with serving(tmp_path, "[workers]\nstuck = 60\n") as daemon:
        assert ctl(tmp_path, "health").returncode == 0
        (worker,) = daemon.workers
        os.kill(worker, signal.SIGSTOP)
        try:
            ran = ctl(tmp_path, "health")
        finally:
            os.kill(worker, signal.SIGCONT)
        assert ran.returncode == 1
        assert "no answer within" in ran.stderr
        assert status(tmp_path)["totals"]["sessions"] == 0  # asking is no session


@contextmanager
def tracing(tmp_path: Path, client: str) -> Iterator[Path]:
    """`lumilter ctl trace` until ^C; the file that it writes to."""
    command = [*COMMAND[:3], "ctl", "-c", str(tmp_path / "etc/lumilter.toml"), "trace", "--client", client]
    file = tmp_path / client.replace("/", "-")
    with file.open("wb") as out, subprocess.Popen(command, env=ENVIRONMENT, stdout=out) as process:
        yield file
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_trace_shows_sessions_of_the_client_as_they_happen(tmp_path: Path) -> None:
    with serving(tmp_path, "workers = 2\n"):
        with tracing(tmp_path, "192.0.2.1") as one, tracing(tmp_path, "198.51.100.0/24") as others:

            def both_heard() -> bool:
                for address in ("192.0.2.1", "198.51.100.7"):
                    session(tmp_path, "<bad@x.test>", address)
                return all(" close" in file.read_text() for file in (one, others))

            until(both_heard)
        said = one.read_text()
        assert "policy.validate_mailfrom: " in said
        assert "reject by policy in mailfrom: 550 no" in said
        assert "198.51.100." not in said
        assert "192.0.2." not in others.read_text()


def test_figures_for_prometheus_and_a_page_for_health(tmp_path: Path) -> None:
    with serving(tmp_path, f'[metrics]\nsocket = "unix:{tmp_path}/metrics"\n'):
        session(tmp_path)
        session(tmp_path, "<bad@x.test>")
        head, body = get(tmp_path / "metrics", "/metrics")
        assert head.startswith("HTTP/1.1 200 OK")
        families = {family.name: family for family in text_string_to_metric_families(body)}
        decided = {
            (s.labels["verdict"], s.labels["phase"], s.labels["module"]) for s in families["lumilter_verdicts"].samples
        }
        assert ("reject", "mailfrom", "policy") in decided
        assert families["lumilter_sessions"].samples[0].value == 2
        assert {s.labels["hook"] for s in families["lumilter_hook_seconds"].samples} == {
            "validate_mailfrom", "validate_data",
        }  # fmt: skip
        assert get(tmp_path / "metrics", "/health")[1] == "ok\n"
        assert get(tmp_path / "metrics", "/nothing")[0].startswith("HTTP/1.1 404")
        assert ctl(tmp_path, "metrics").stdout.startswith("# HELP lumilter_sessions_total")


def test_figures_on_a_port(tmp_path: Path) -> None:
    """As Prometheus asks for them; everything that an operator watches is there from the start."""
    port = free_port()
    with serving(tmp_path, f'[metrics]\nsocket = "inet:{port}@127.0.0.1"\n'):
        session(tmp_path, "<bad@x.test>")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            families = {family.name for family in text_string_to_metric_families(answer.read().decode())}
    assert families >= {
        f"lumilter_{name}"
        for name in (
            *("sessions", "sessions_open", "messages", "verdicts", "hook_seconds", "wait_seconds", "script_errors"),
            *("loop_delay_seconds", "pool_queue", "limits_hit", "workers", "worker_restarts", "reloads", "generation"),
            *("lua_memory_bytes", "resident_memory_bytes"),
        )
    }


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"POST /metrics HTTP/1.1\r\n\r\n", b"\0" * 20000, b"GET /metrics"],
)
def test_a_bad_request_hurts_nobody(tmp_path: Path, request_bytes: bytes) -> None:
    with serving(tmp_path, f'[metrics]\nsocket = "unix:{tmp_path}/metrics"\n'):
        for path in ("metrics", "m.sock.control"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / path))
                client.settimeout(30)
                client.sendall(request_bytes)
                client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):  # it had more to read
                    while client.recv(65536):
                        pass
        assert ctl(tmp_path, "health").returncode == 0


@pytest.mark.parametrize(
    "line", [b"[]\n", b"nonsense\n", b'{"verb": 1}\n', b'{"verb": "trace", "args": {"client": "x"}}\n']
)
def test_a_request_that_is_none_is_told_so(tmp_path: Path, line: bytes) -> None:
    with serving(tmp_path):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "m.sock.control"))
            client.settimeout(30)
            client.sendall(line)
            answer = client.makefile().read()
        assert "nonsense" in line.decode() or '"error"' in answer
        assert ctl(tmp_path, "health").returncode == 0


def test_systemd_is_told_and_its_watchdog_fed_while_the_socket_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        config = write(tmp_path / "etc", tmp_path / "m.sock", [POLICY])
        with Daemon(config, tmp_path / "log", environment=environment) as daemon:
            assert systemd.recv(1000) == b"READY=1"
            assert systemd.recv(1000) == b"WATCHDOG=1"
            assert systemd.recv(1000) == b"WATCHDOG=1"
            (worker,) = daemon.workers
            os.kill(worker, signal.SIGSTOP)
            daemon.wait_log("systemd's watchdog is not fed")
            os.kill(worker, signal.SIGCONT)
            daemon.signal(signal.SIGHUP)
            heard = [systemd.recv(1000)]
            while heard[-1] != b"READY=1":
                heard.append(systemd.recv(1000))
            assert any(word.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for word in heard)
        rest = []
        systemd.setblocking(False)
        try:
            while True:
                rest.append(systemd.recv(1000))
        except BlockingIOError:
            pass
        assert b"STOPPING=1" in rest


def get(path: Path, page: str) -> tuple[str, str]:
    """Head and body of an answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(f"GET {page} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = client.makefile(newline="").read().partition("\r\n\r\n")
        return head, body


def test_shadow_mode_changes_nothing_and_says_what_it_would_have_done(tmp_path: Path) -> None:
    with serving(tmp_path, "[shadow]\nnetworks = ['192.0.2.0/24']\n") as daemon:
        assert session(tmp_path, "<bad@x.test>") == "continue"
        with MilterClient(str(tmp_path / "m.sock")) as outside:
            outside.negotiate()
            outside.connect(address="198.51.100.1")
            outside.helo()
            assert outside.mail("<bad@x.test>").text == "550 no"
        lines = [line for line in daemon.log.splitlines() if "verdict=reject" in line]
        assert ["shadow=" in line for line in lines] == [True, True, False]  # MAIL, the end of its message; the other's
        assert status(tmp_path)["totals"]["verdicts"]["reject"] == 3
    with serving(tmp_path, "[shadow]\nenabled = true\n"), MilterClient(str(tmp_path / "m.sock")) as client:
        client.negotiate()
        client.connect()
        client.helo()
        assert client.mail("<bad@x.test>").kind == "none"  # the MTA does not even wait
        assert client.message().edits == ()


def test_sessions_are_saved_on_request(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with serving(tmp_path, "workers = 2\n"):
        assert "[record] directory is not set" in ctl(tmp_path, "record", "on").stderr
    with serving(tmp_path, f"workers = 2\n[record]\ndirectory = '{saved}'\n"):
        session(tmp_path)
        assert not saved.exists()
        assert ctl(tmp_path, "record", "--client", "192.0.2.1", "on").returncode == 0
        session(tmp_path)
        session(tmp_path, "<bad@x.test>")
        assert ctl(tmp_path, "record", "--client", "192.0.2.1", "off").returncode == 0
        session(tmp_path)
        files = sorted(saved.iterdir())
        assert len(files) == 2
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
