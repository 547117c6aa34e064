"""The unit files: valid, tight, and in step with the configuration's defaults; what they allow is enough to run.

tests/packaging runs them under a systemd of their own, where a container can be started.
"""

from __future__ import annotations

import configparser
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lumilter.config import Config
from lumilter.daemon import supervisor, workforce
from support.daemon import ENVIRONMENT
from support.milter_client import MilterClient

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "systemd"
MOST = 2.0
"""The exposure that `systemd-analyze security` may find."""

MDWE = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0  # PR_SET_MDWE
os.execv(sys.argv[1], sys.argv[1:])
"""
POLICY = """
require("msys.pcre")
local mod = {}
function mod:validate_mailfrom(str, ac, vctx)
  local found = msys.pcre.match("a1", "(?<digit>[0-9])")
  local sum = 0
  for i = 1, 100000 do sum = sum + i % 7 end
  print("digit " .. found.digit .. " sum " .. sum)
end
msys.registerModule("p", mod)
"""


def unit(name: str) -> configparser.RawConfigParser:
    """A unit file; of a key that stands there several times, the last value."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(UNITS / name)
    return parser


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if not found:
        pytest.skip("the package systemd is not installed")
    return found


def test_the_units_are_valid(analyze: str, tmp_path: Path) -> None:
    # In a root of their own, because the command and the manual pages that they name have to exist.
    for name in ("lumilter.service", "lumilter.socket"):
        target = tmp_path / "lumilter" / name
        target.parent.mkdir(exist_ok=True)
        text = (UNITS / name).read_text().replace("=lumilter ", f"={sys.executable} ")
        target.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    command = [analyze, "verify", *map(str, sorted(target.parent.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_sandbox_is_tight(analyze: str) -> None:
    command = [analyze, "security", "--offline=true", "--no-pager", str(UNITS / "lumilter.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for lumilter\.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) < MOST, done.stdout


def test_every_system_call_filter_is_known(analyze: str) -> None:
    filters = re.findall(r"^SystemCallFilter=(.*)$", (UNITS / "lumilter.service").read_text(), re.MULTILINE)
    known = subprocess.run([analyze, "syscall-filter"], capture_output=True, text=True, check=False).stdout
    names = {name.lstrip("~") for line in filters for name in line.split()}
    assert names
    assert names <= set(re.findall(r"^@\S+", known, re.MULTILINE))


def test_times_are_longer_than_what_they_wait_for() -> None:
    service = unit("lumilter.service")["Service"]
    assert int(service["TimeoutStopSec"]) > Config().workers.stop + workforce.GRACE
    assert int(service["TimeoutStartSec"]) > supervisor._LOAD


def test_service_and_socket_agree_with_the_defaults() -> None:
    service, sock = unit("lumilter.service")["Service"], unit("lumilter.socket")["Socket"]
    path = Config().milter.socket.path
    assert sock["ListenStream"] == path
    assert int(sock["SocketMode"], 8) == Config().milter.socket_mode
    assert sock["FileDescriptorName"] == "milter"
    assert sock["SocketUser"] == service["User"]
    assert str(Path(path).parent) in service["ReadWritePaths"].split()
    assert int(service["LimitNOFILE"]) > 4 * Config().limits.sessions


def test_the_users_and_directories_as_they_are_made(analyze: str, tmp_path: Path) -> None:
    """In a root of their own. Whom /run/lumilter lets in is tried in tests/packaging."""
    (tmp_path / "etc").mkdir()
    for name, kind in (("sysusers", "sysusers.d"), ("tmpfiles", "tmpfiles.d")):
        target = tmp_path / "usr/lib" / kind / "lumilter.conf"
        target.parent.mkdir(parents=True)
        # The last line, for a chrooted smtpd, is there for those who want it.
        target.write_text((UNITS / f"lumilter.{name}.conf").read_text().replace("\n#d /", "\nd /"))
    for command in (["systemd-sysusers", f"--root={tmp_path}"], ["systemd-tmpfiles", f"--root={tmp_path}", "--create"]):
        done = subprocess.run([*command, "lumilter.conf"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    user = re.search(r"^lumilter:[^:]*:(\d+):(\d+):", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    group = re.search(r"^postfix:[^:]*:(\d+):(.*)$", (tmp_path / "etc/group").read_text(), re.MULTILINE)
    assert user and group
    assert group[2] == "", "lumilter is in no group of the MTA's"
    for directory in ("run/lumilter", "var/spool/postfix/lumilter"):
        status = (tmp_path / directory).stat()
        assert (oct(status.st_mode & 0o7777), status.st_uid, status.st_gid) == ("0o2710", int(user[1]), int(group[1]))


def run_without_w_and_x(directory: Path, jit: bool) -> subprocess.CompletedProcess[str]:
    (directory / "p.lua").write_text(POLICY)
    (directory / "message").write_text("Subject: x\n\nx\n")
    (directory / "lumilter.toml").write_text(
        f'[lua]\njit = {str(jit).lower()}\n[[script]]\nname = "p"\nsource = "{directory}/p.lua"\n'
    )
    session = ["-m", "lumilter", "test", "-c", directory / "lumilter.toml", "-r", "a@b.example", directory / "message"]
    command = [sys.executable, "-c", MDWE, sys.executable, *map(str, session)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


@pytest.fixture
def mdwe() -> None:
    if subprocess.run([sys.executable, "-c", MDWE, sys.executable, "-c", ""], capture_output=True).returncode:
        pytest.skip("PR_SET_MDWE takes Linux 6.3")


@pytest.mark.usefixtures("mdwe")
def test_scripts_run_where_no_memory_is_writable_and_executable(tmp_path: Path) -> None:
    done = run_without_w_and_x(tmp_path, jit=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digit 1 sum 300000" in done.stdout.replace("\t", " ")


@pytest.mark.usefixtures("mdwe")
def test_luajits_compiler_does_not(tmp_path: Path) -> None:
    done = run_without_w_and_x(tmp_path, jit=True)
    assert done.returncode != 0
    assert "runtime code generation failed" in done.stderr
    assert '("runtime code generation failed")' in (UNITS / "lumilter.service").read_text()


def test_socket_activation(tmp_path: Path) -> None:
    """systemd's own tool opens the socket; the first connection starts the daemon and is answered by it."""
    tool = shutil.which("systemd-socket-activate")
    if not tool:
        pytest.skip("the package systemd is not installed")
    (tmp_path / "p.lua").write_text(POLICY)
    path = str(tmp_path / "s")
    (tmp_path / "lumilter.toml").write_text(
        f'[milter]\nsocket = "unix:{path}"\n[[script]]\nname = "p"\nsource = "{tmp_path}/p.lua"\n'
    )
    name = unit("lumilter.socket")["Socket"]["FileDescriptorName"]
    serve = [sys.executable, "-m", "lumilter", "serve", "-c", str(tmp_path / "lumilter.toml")]
    command = [tool, "--listen", path, f"--fdname={name}", "--setenv=PYTHONPATH", *serve]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stderr
            assert "Listening on" in process.stderr.readline()
            with MilterClient(path) as mta:
                mta.negotiate()
                mta.connect()
                assert mta.message().kind in ("accept", "continue")
        finally:
            process.terminate()
            assert process.wait(60) == 0
    assert Path(path).is_socket(), "the socket is systemd's"
    with socket.socket(socket.AF_UNIX) as left, pytest.raises(ConnectionRefusedError):
        left.connect(path)
