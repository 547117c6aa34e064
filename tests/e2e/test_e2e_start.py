"""`lumilter serve` that can't do its work says so at once: what an administrator reads, and the exit status.

The law: the real command; 78 (EX_CONFIG) for what a person has to change.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.milter_client import ALL_ACTIONS, Gone, MilterClient

PASS = "function mod:validate_data(msg) msg:header('X-Seen', '1') end"


def serve(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, str(config)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def refuses_to_start(config: Path) -> str:
    """What it says."""
    ran = serve(config)
    assert ran.returncode == 78, ran
    assert "Traceback" not in ran.stderr
    assert not (config.parents[1] / "m.sock").exists()
    return ran.stderr


@pytest.mark.parametrize(
    ("policy", "where"),
    [
        ("function mod:validate_data(msg)\n  local x = = 1\nend", "policy.lua:3: "),
        ("function mod:validate_data(msg)\n  return\n", "policy.lua:"),
        ("\n\nerror('at load')", "policy.lua:4: at load"),
        ("local function f() return nosuch.field end\n\nf()", "policy.lua:2: "),
        ("require('no.such.module')", "policy.lua:2: "),
        ("while true do end", "policy.lua:2: "),
        ("function mod:init() error('at init') end", "policy.lua:2: at init"),
    ],
)
def test_a_script_that_does_not_load(tmp_path: Path, policy: str, where: str) -> None:
    config = "[lua]\ninstructions = 2000000"
    assert f"lumilter: {where}" in refuses_to_start(write(tmp_path / "etc", tmp_path / "m.sock", [policy], config))


@pytest.mark.parametrize("hook", ["init", "rsrc_setup"])
@pytest.mark.parametrize("result", ["return false", "return nil", ""])
def test_a_module_that_does_not_set_up(tmp_path: Path, hook: str, result: str) -> None:
    policies = [PASS, f"function mod:{hook}() {result} end"]
    said = refuses_to_start(write(tmp_path / "etc", tmp_path / "m.sock", policies))
    assert f"{hook} of module policy2 did not return true" in said


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("[lua]\ninstruction = 1\n", "instruction"),
        ("[nothing]\n", "nothing"),
        ("[lua]\ninstructions = 'many'\n", "instructions"),
        ("[policy]\non_error = 'shrug'\n", "on_error"),
        ("[lua\n", ""),
    ],
)
def test_a_configuration_that_is_none(tmp_path: Path, config: str, what: str) -> None:
    said = refuses_to_start(write(tmp_path / "etc", tmp_path / "m.sock", [PASS], config))
    line = next(line for line in said.splitlines() if "lumilter.toml:" in line)
    number = line.partition("lumilter.toml:")[2].partition(":")[0]
    assert number in ("5", "6")  # where `config` stands
    assert what in line


def test_files_that_are_not_there(tmp_path: Path) -> None:
    absent = tmp_path / "etc" / "absent.toml"
    assert str(absent) in refuses_to_start(absent)
    config = write(tmp_path / "etc", tmp_path / "m.sock", [PASS])
    (tmp_path / "etc/policy.lua").unlink()
    said = refuses_to_start(config)
    assert "policy.lua" in said
    assert "lumilter.toml:" in said


def test_a_socket_that_another_daemon_listens_on(tmp_path: Path) -> None:
    config = write(tmp_path / "etc", tmp_path / "m.sock", [PASS])
    with Daemon(config, tmp_path / "log"):
        ran = serve(config)
        assert ran.returncode == 78, ran
        assert f"{tmp_path}/m.sock" in ran.stderr
        assert "another process listens there" in ran.stderr
        assert "Traceback" not in ran.stderr
        with MilterClient(f"{tmp_path}/m.sock") as client:
            client.negotiate()  # the first one still serves


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = write(tmp_path / "etc", tmp_path / "m.sock", [PASS])
        command = [*COMMAND, str(config), "-p", f"inet:{port}@127.0.0.1"]
        ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 78, ran
    assert str(port) in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_socket_file_that_a_dead_daemon_left(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "m.sock"))
        dead.listen()
    with (
        Daemon(write(tmp_path / "etc", tmp_path / "m.sock", [PASS]), tmp_path / "log"),
        MilterClient(f"{tmp_path}/m.sock") as client,
    ):
        client.negotiate()


def test_a_file_at_the_socket_s_place_is_not_removed(tmp_path: Path) -> None:
    place = tmp_path / "m.sock"
    place.write_text("somebody's")
    ran = serve(write(tmp_path / "etc", place, [PASS]))
    assert ran.returncode == 78, ran
    assert str(place) in ran.stderr
    assert place.read_text() == "somebody's"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, str]]:
    """A daemon and its socket."""
    directory = tmp_path_factory.mktemp("daemon")
    with Daemon(write(directory / "etc", directory / "m.sock", [PASS]), directory / "log") as running:
        yield running, f"{directory}/m.sock"


@pytest.mark.parametrize(
    ("bit", "what"),
    [
        (0x01, "add headers"),
        (0x02, "replace the body"),
        (0x04, "add recipients"),
        (0x08, "delete recipients"),
        (0x10, "change headers"),
        (0x20, "quarantine"),
        (0x40, "change the sender"),
    ],
)
def test_an_mta_that_does_not_grant_what_is_needed(daemon: tuple[Daemon, str], bit: int, what: str) -> None:
    running, path = daemon
    with MilterClient(path, actions=ALL_ACTIONS & ~bit) as client, pytest.raises(Gone):
        client.negotiate()
    running.wait_log(f"a connection of the MTA is refused: the scripts need to {what}; the MTA does not offer it")
    with MilterClient(path) as client:
        client.negotiate()
