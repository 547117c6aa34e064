"""Scanners in a daemon: every message scanned before the scripts, the figures, and nothing asked offline."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lumilter.config import load
from lumilter.daemon import observers
from lumilter.daemon.engine import Engine
from lumilter.daemon.metrics import Meter
from lumilter.daemon.scanning import scanners_of
from lumilter.daemon.setup import setup_of
from lumilter.session.events import Close, Data, EndOfMessage, Helo, Mail, Outcome, Rcpt
from support.daemon import ENVIRONMENT, Daemon, write
from support.patience import until
from support.policy import CONNECT, HEADERS
from support.served import connect

CONFIG = """
[[scanner]]
name = "av"
kind = "command"
command = ["/bin/sh", "-c", "case $(cat) in *virus*) echo ': A.Virus FOUND'; exit 1;; *broken*) exit 2;; esac"]
threat = ": (.+) FOUND"
retries = 0

[antivirus]
{}

[[script]]
name = "policy"
source = "policy.lua"
"""
POLICY = """
local mod = {}
function mod:validate_data(msg, ac, vctx)
  print("the script", vctx:get(msys.core.VCTX_MESS, "av_status"), vctx.code)
end
msys.registerModule("policy", mod)
"""


class Running:
    """An engine with that [antivirus] table; printed: what the script said."""

    def __init__(self, directory: Path, antivirus: str, offline: bool = False) -> None:
        (directory / "policy.lua").write_text(POLICY)
        (directory / "lumilter.toml").write_text(CONFIG.format(antivirus))
        self.printed: list[str] = []
        self.meter = Meter()
        setup = setup_of(
            load(directory / "lumilter.toml"),
            print_line=lambda here, text: self.printed.append(text),
            observe=self.meter.observe,
            offline=offline,
        )
        self.engine = Engine(setup)
        observers.watch(self.engine, self.engine.loop, self.meter, 0)

    def send(self, body: bytes) -> Outcome:
        """The outcome of a message with that body."""
        conversation = self.engine.open()
        for event in (CONNECT, Helo("client.example"), Mail("<ann@example.org>"), Rcpt("<bob@example.com>"), Data({})):
            assert conversation.handle(event).reply is None
        outcome = conversation.handle(EndOfMessage(HEADERS, body, {"i": "QUEUE"}))
        conversation.handle(Close())
        return outcome

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.stop()


def reply(outcome: Outcome) -> str:
    return "" if outcome.reply is None else f"{outcome.reply.code} {outcome.reply.lines[0]}"


def test_every_message_is_scanned_before_the_scripts(tmp_path: Path) -> None:
    with Running(tmp_path, 'enabled = true\naction = "reject"') as running:
        assert reply(running.send(b"clean\r\n")) == ""
        assert running.printed == ["the script\t\t250"]
        assert reply(running.send(b"a virus\r\n")).startswith("550 ")
        assert "virus found: A.Virus" in reply(running.send(b"a virus\r\n"))
        assert reply(running.send(b"broken\r\n")).startswith("451 ")
        assert running.printed == ["the script\t\t250"]


def test_scripts_decide(tmp_path: Path) -> None:
    with Running(tmp_path, "enabled = true") as running:
        for body, said in ((b"a virus\r\n", "virus"), (b"broken\r\n", "error"), (b"clean\r\n", "")):
            assert reply(running.send(body)) == ""
            assert running.printed[-1] == f"the script\t{said}\t250"


def test_nothing_is_scanned_unless_a_script_says_so(tmp_path: Path) -> None:
    with Running(tmp_path, 'action = "reject"') as running:
        assert reply(running.send(b"a virus\r\n")) == ""
        assert running.engine.setup.services.scanners.stats()["av"]["scans"] == 0


def test_the_code_of_a_failure_is_configured(tmp_path: Path) -> None:
    with Running(tmp_path, 'enabled = true\naction = "reject"\nerror_code = 554') as running:
        assert reply(running.send(b"broken\r\n")).startswith("554 ")


def test_figures(tmp_path: Path) -> None:
    with Running(tmp_path, "enabled = true") as running:
        for body in (b"clean\r\n", b"clean\r\n", b"a virus\r\n", b"broken\r\n"):
            running.send(body)
        taken = running.engine.call(lambda answer: answer(running.meter.snapshot()))
        assert {tuple(labels): count for labels, count in taken["scans"]} == {
            ("av", "clean"): 1, ("av", "cached"): 1, ("av", "infected"): 1, ("av", "refused"): 1,
        }  # fmt: skip
        ((labels, counts),) = taken["scan_seconds"]
        assert (labels, sum(counts[:-1])) == (["av"], 4)
        assert taken["scanner_servers_left_alone"] == [[[], 0]]
        assert {labels[0] for labels, _ in taken["wait_seconds"]} == {"scan"}


@pytest.mark.parametrize("enabled", ["enabled = true", ""])
def test_nothing_is_asked_offline(tmp_path: Path, enabled: str) -> None:
    with Running(tmp_path, f'{enabled}\naction = "reject"', offline=True) as running:
        assert reply(running.send(b"clean\r\n")).startswith("451 " if enabled else "")
        assert "virus" not in running.printed


def test_a_scanner_is_made_without_its_engine_being_there(tmp_path: Path) -> None:
    (tmp_path / "lumilter.toml").write_text('[[scanner]]\nname = "av"\nkind = "clamd"\n')
    made = scanners_of(load(tmp_path / "lumilter.toml"))
    assert made.stats()["av"]["servers"] == 1
    assert made.left_alone() == 0


def test_a_killed_worker_leaves_no_message_in_a_file(tmp_path: Path) -> None:
    config = """
        [[scanner]]
        name = "av"
        kind = "command"
        command = ["/bin/sh", "-c", "sleep 600", "sh", "{file}"]
        [antivirus]
        enabled = true
    """
    files = tmp_path / "tmp"
    files.mkdir()
    file = write(tmp_path / "etc", tmp_path / "m.sock", ["function mod:validate_data() end"], config)
    environment = {**ENVIRONMENT, "TMPDIR": str(files)}
    with Daemon(file, tmp_path / "log", environment=environment) as daemon, connect(tmp_path) as client:
        client.mail()
        client.rcpt()
        client.data()
        client.send("E")
        until(lambda: any(file.stat().st_size for file in files.glob("lumilter-scan-*")))
        os.kill(daemon.workers[0], signal.SIGKILL)
        until(lambda: not list(files.glob("lumilter-scan-*")), 60)
