"""`lumilter ctl`: what it sends and prints, against a server that follows a script."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lumilter.cli import ctl
from lumilter.cli.ctl_status import duration
from support.command import Lumilter
from support.patience import until

ROOT = Path(__file__).parents[2]


class Scripted:
    """A control socket that reads one line and says what it was told to; asked: the requests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.says: list[Any] = [{"end": 0}]
        self.hold = threading.Event()
        self.hold.set()
        self.asked: list[Any] = []
        self.closed = threading.Event()
        """The last client has closed its end."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(BrokenPipeError), connection, connection.makefile("rwb") as lines:
                self.closed.clear()
                self.asked.append(json.loads(lines.readline()))
                for each in self.says:
                    lines.write(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n")
                lines.flush()
                if not self.hold.is_set():
                    lines.read()  # until the client closes
                    self.closed.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def daemon() -> Iterator[Scripted]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        scripted = Scripted(Path(directory) / "control")
        yield scripted
        scripted.close()


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["status"], {"verb": "status", "args": {}}),
        (["reload"], {"verb": "reload", "args": {}}),
        (["health"], {"verb": "health", "args": {}}),
        (["metrics"], {"verb": "metrics", "args": {}}),
        (["workers", "restart"], {"verb": "restart", "args": {}}),
        (["trace"], {"verb": "trace", "args": {}}),
        (["trace", "--client", "192.0.2.1", "--json"], {"verb": "trace", "args": {"client": "192.0.2.1/32"}}),
        (["trace", "--client=2001:db8::1/32"], {"verb": "trace", "args": {"client": "2001:db8::/32"}}),
        (["record", "on"], {"verb": "record", "args": {"on": True}}),
        (["record", "--client", "10.0.0.1", "off"], {"verb": "record", "args": {"client": "10.0.0.1/32", "on": False}}),
        (["greylist"], {"verb": "greylist", "args": {"words": []}}),
        (["mine", "drop", "--all", "-x", "a b"], {"verb": "mine", "args": {"words": ["drop", "--all", "-x", "a b"]}}),
        (["caf\udce9", "\n"], {"verb": "caf\udce9", "args": {"words": ["\n"]}}),
    ],
)  # fmt: skip
def test_requests(lumilter: Lumilter, daemon: Scripted, words: list[str], asked: Any) -> None:
    assert lumilter("ctl", "--socket", daemon.path, *words).status == 0
    assert daemon.asked == [asked]


@pytest.mark.parametrize(
    "words",
    [("trace", "--client", "nonsense"), ("record",), ("record", "maybe"), ("workers", "dance"), ("status", "x")],
)
def test_usage_errors(lumilter: Lumilter, daemon: Scripted, words: tuple[str, ...]) -> None:
    ran = lumilter("ctl", "--socket", daemon.path, *words)
    assert (ran.status, daemon.asked) == (2, [])
    assert "usage: lumilter ctl" in ran.err


def test_help_names_the_verbs(lumilter: Lumilter) -> None:
    ran = lumilter("ctl", "--help")
    assert all(f"  {verb}" in ran.out for verb in ctl.VERBS)


# --- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "unix:"])
def test_spellings_of_the_socket(lumilter: Lumilter, daemon: Scripted, prefix: str) -> None:
    assert lumilter("ctl", "-c", "/nonexistent", "--socket", f"{prefix}{daemon.path}", "status").status == 0


@pytest.mark.parametrize("config", ["[control]\nsocket = 'unix:{}'\n", "[milter]\nsocket = 'unix:{}'\n"])
def test_the_socket_of_the_configuration(lumilter: Lumilter, daemon: Scripted, tmp_path: Path, config: str) -> None:
    file = tmp_path / "lumilter.toml"
    if "milter" in config:
        daemon.path.rename(daemon.path.with_name("m.control"))
        file.write_text(config.format(daemon.path.with_name("m")))
    else:
        file.write_text(config.format(daemon.path))
    assert lumilter("ctl", "-c", file, "reload").status == 0
    assert daemon.asked


def test_no_control_socket(lumilter: Lumilter, tmp_path: Path) -> None:
    file = tmp_path / "lumilter.toml"
    file.write_text("[milter]\nsocket = 'inet:8890@127.0.0.1'\n")
    ran = lumilter("ctl", "-c", file, "status")
    assert ran.status == 69
    assert "[control] socket" in ran.err


def test_a_configuration_that_can_t_be_read(lumilter: Lumilter, tmp_path: Path) -> None:
    ran = lumilter("ctl", "-c", tmp_path / "none.toml", "status")
    assert ran.status == 78
    assert "none.toml" in ran.err
    assert "--socket" in ran.err


def test_no_daemon(lumilter: Lumilter, tmp_path: Path) -> None:
    ran = lumilter("ctl", "--socket", tmp_path / "nobody", "health")
    assert ran.status == 69
    assert "nobody does not exist" in ran.err
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "dead"))
    ran = lumilter("ctl", "--socket", tmp_path / "dead", "health")
    assert ran.status == 69
    assert "refused" in ran.err
    ran = lumilter("ctl", "--socket", "/tmp/" + 200 * "x", "health")
    assert ran.status == 69
    assert "too long" in ran.err


# --- what is answered -------------------------------------------------------------------------------------------------


def test_texts_data_and_errors(lumilter: Lumilter, daemon: Scripted) -> None:
    daemon.says = [
        {"text": "one\ntwo"}, {"text": "three\n"}, {"error": "bad\x1b[31m\nthing"}, {"data": {"a": ["é"]}},
        {"text": "caf\udce9"}, {"end": 3}, {"text": "never"},
    ]  # fmt: skip
    ran = lumilter("ctl", "--socket", daemon.path, "anything")
    assert ran.status == 3
    assert ran.out == 'one\ntwo\nthree\n{"a": ["\\u00e9"]}\ncaf\\udce9\n'
    assert ran.err == "lumilter ctl: bad\\x1b[31m\\nthing\n"


@pytest.mark.parametrize(
    ("says", "status", "out", "err"),
    [
        ([{"end": 0}], 0, "ok\n", ""),
        ([{"text": "2 workers"}, {"end": 0}], 0, "2 workers\n", ""),
        ([{"error": "no worker answers"}, {"end": 1}], 1, "", "lumilter ctl: no worker answers\n"),
    ],
)
def test_health(lumilter: Lumilter, daemon: Scripted, says: list[Any], status: int, out: str, err: str) -> None:
    daemon.says = says
    ran = lumilter("ctl", "--socket", daemon.path, "health")
    assert (ran.status, ran.out, ran.err) == (status, out, err)


@pytest.mark.parametrize("says", [[], [{"text": "one"}], [{"data": {"workers": []}}]])
def test_a_connection_that_is_lost(lumilter: Lumilter, daemon: Scripted, says: list[Any]) -> None:
    daemon.says = says
    ran = lumilter("ctl", "--socket", daemon.path, "status")
    assert ran.status == 69
    assert "closed the connection" in ran.err


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b'"text"\n', b"\xff\n", b"[" * 100_000 + b"\n", b'{"end": "0"}\n',
             b'{"end": 256}\n', b'{"end": true}\n', b'{"end": 1.5}\n']
)  # fmt: skip
def test_an_answer_that_makes_no_sense(lumilter: Lumilter, daemon: Scripted, line: bytes) -> None:
    daemon.says = [line]
    ran = lumilter("ctl", "--socket", daemon.path, "status")
    assert ran.status == 76
    assert "expected" in ran.err


def test_a_daemon_that_hangs(lumilter: Lumilter, daemon: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctl, "_PATIENCE", 0.2)
    daemon.hold.clear()
    daemon.says = []
    ran = lumilter("ctl", "--socket", daemon.path, "health")
    assert ran.status == 69
    assert "no answer" in ran.err


# --- status -----------------------------------------------------------------------------------------------------------

STATUS: dict[str, Any] = {
    "version": "0.1", "pid": 100, "socket": "unix:/run/m", "started": 1_780_000_000.5, "generation": 3,
    "loaded": 1_780_007_335.5, "stopping": False, "restarts": {"stuck": 1},
    "last_reload": {"time": 1_780_007_335.5, "problem": "policy.lua:3: oops", "generation": 3},
    "workers": [
        {"index": 0, "pid": 101, "state": "serving", "generation": 3, "age": 65.2, "rss": 54 << 20, "sessions": 2,
         "messages": 1234, "lua_memory": 1536},
        {"index": 0, "pid": 99, "state": "draining", "generation": 2, "age": 7400},
    ],
    "totals": {"sessions": 2000, "sessions_open": 2, "messages": 1234.0, "log_lines_lost": 0,
               "verdicts": {"accept": 1200, "reject": 34}, "limits_hit": {"deadline": 2}, "script_errors": {}},
}  # fmt: skip


def test_status_as_text(lumilter: Lumilter, daemon: Scripted) -> None:
    ago = time.time() - 1_780_007_400.5
    moved = {**STATUS, "last_reload": {**STATUS["last_reload"], "time": STATUS["last_reload"]["time"] + ago}}
    moved |= {name: STATUS[name] + ago for name in ("started", "loaded")}
    daemon.says = [{"data": moved}, {"end": 0}]
    ran = lumilter("ctl", "--socket", daemon.path, "status")
    lines = ran.out.splitlines()
    assert lines[0] == "lumilter 0.1, pid 100"
    assert "socket      unix:/run/m" in lines
    assert any(line.startswith("started ") and "(2h03m ago)" in line for line in lines)
    assert any(
        line.startswith("generation  3, serves since ") and re.search(r"\(1m\d\ds ago\)$", line) for line in lines
    )
    assert any(line.startswith("last reload ") and line.endswith("failed: policy.lua:3: oops") for line in lines)
    table = [line.split() for line in lines[lines.index("") + 1 :][:3]]
    assert table == [
        ["worker", "pid", "state", "generation", "sessions", "messages", "rss", "lua", "age"],
        ["0", "101", "serving", "3", "2", "1234", "54M", "2K", "1m05s"],
        ["0", "99", "draining", "2", "-", "-", "-", "-", "2h03m"],
    ]
    assert "totals      2000 sessions, 2 sessions open, 1234 messages, 0 log lines lost" in lines
    assert "verdicts    accept 1200, reject 34" in lines
    assert "limits hit  deadline 2" in lines
    assert "restarts    stuck 1" in lines
    assert "script errors" not in ran.out


def test_status_as_json(lumilter: Lumilter, daemon: Scripted) -> None:
    daemon.says = [{"data": STATUS}, {"end": 0}]
    assert lumilter("ctl", "--socket", daemon.path, "status", "--json").json == STATUS


def test_a_status_that_says_little(lumilter: Lumilter, daemon: Scripted) -> None:
    daemon.says = [{"data": {}}, {"end": 0}]
    assert lumilter("ctl", "--socket", daemon.path, "status").status == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (18120, "5h02m"), (1_047_600, "12d03h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- trace ------------------------------------------------------------------------------------------------------------

RECORD: dict[str, Any] = {
    "time": 1_780_000_000.25, "client": "192.0.2.1", "conn_id": "C", "queue_id": "Q", "msg_id": "M", "event": "rcpt",
    "argument": "<bob@example.com>", "hooks": [], "errors": [], "verdict": "reject", "decided": ["rcptto", "policy"],
    "reply": {"code": 550, "xcode": "5.1.1", "lines": ["no"]}, "edits": [],
    "context": {"conn": 1, "mess": 2}, "worker": 0,
}  # fmt: skip


def test_trace_as_json(lumilter: Lumilter, daemon: Scripted) -> None:
    daemon.says = [{"data": RECORD}, {"data": RECORD}, {"end": 0}]
    ran = lumilter("ctl", "--socket", daemon.path, "trace", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()] == [RECORD, RECORD]


@pytest.mark.parametrize(("words", "status"), [(["trace", "--client", "192.0.2.1"], 0), (["status"], 130)])
def test_an_interrupt_closes_the_connection(daemon: Scripted, tmp_path: Path, words: list[str], status: int) -> None:
    daemon.hold.clear()
    daemon.says = [{"data": RECORD}]
    command = [sys.executable, "-m", "lumilter", "ctl", "--socket", str(daemon.path), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "milter")}
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    shown = b"192.0.2.1 Q rcpt <bob@example.com>\n    reject by policy in rcptto: 550 5.1.1 no;"
    until(lambda: shown in out.read_bytes() if words[0] == "trace" else out.read_bytes().endswith(b"\n"), 30)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == status
    assert daemon.closed.wait(20)
    assert b"Traceback" not in out.read_bytes()


def test_a_reader_that_goes_away(daemon: Scripted) -> None:
    daemon.says = [{"data": RECORD}] * 5000
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "milter")}
    command = f"{sys.executable} -m lumilter ctl --socket {daemon.path} trace; echo $? >&2"
    ran = subprocess.run(
        ["bash", "-c", f"({command}) | head -1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stderr == "0\n"
    assert ran.stdout.count("\n") == 1


HEAVY = (
    *("lupa", "Milter", "sqlalchemy", "dns", "cryptography", "httpx", "lxml", "redis", "lmdb", "prometheus_client"),
    *("lumilter.host", "lumilter.session", "lumilter.wire", "lumilter.api", "lumilter.adapters"),
)


@pytest.mark.parametrize("place", [("--socket", "missing"), ("-c", "lumilter.toml")])
def test_it_starts_without_what_runs_scripts(tmp_path: Path, place: tuple[str, str]) -> None:
    """Monitoring calls it often: it costs as much as what it imports."""
    (tmp_path / "lumilter.toml").write_text(f'[milter]\nsocket = "unix:{tmp_path}/m.sock"\n')
    code = "import sys; from lumilter.cli import main; main(sys.argv[1:]); print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code, "ctl", *place, "status"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "milter")}
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "does not exist: the daemon is not running" in ran.stderr
    assert {name for name in ran.stdout.splitlines() if name.startswith(HEAVY)} == set()
