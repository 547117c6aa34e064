"""The daemon's life behind a real Postfix: its start, its end under load, its death, and an MTA that is too old."""

from __future__ import annotations

import itertools
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.milter_client import Gone, MilterClient
from support.site import Serve, Site, until
from support.smtp_client import MESSAGE, SmtpClient

MARK = """
    function mod:validate_rcptto(msg, str, ac, vctx) msys.sleep(0.005) end
    function mod:validate_data(msg) msys.sleep(0.02) msg:header("X-Mark", "{}") end
"""
DOWN = "451 4.7.1 Service unavailable - try again later"


def test_sigterm_under_load_loses_nothing(site: Site, tmp_path: Path) -> None:
    """Three daemons one after the other while six clients send; whoever is told 4xx comes back, as mail servers do."""
    todo = itertools.count()
    accepted: list[int] = []
    odd: list[str] = []
    done = threading.Event()

    def client() -> None:
        while (number := next(todo)) < 150:
            while True:
                with SmtpClient(site.port) as smtp:
                    heard = smtp.deliver(f"to{number}@example.com")
                if heard.startswith("250 "):
                    accepted.append(number)
                    break
                if heard != DOWN:
                    odd.append(heard)
                assert not done.is_set()

    def start(name: str) -> Daemon:
        directory = tmp_path / name
        config = write(directory, site.socket, [MARK.format(name)])
        return Daemon(config, directory / "log").__enter__()

    daemons = [start("one")]
    try:
        with ThreadPoolExecutor(6) as pool:
            clients = [pool.submit(client) for _ in range(6)]
            try:
                for count, name in ((30, "two"), (80, "three")):
                    until(lambda count=count: len(accepted) >= count)
                    daemons[-1].terminate()
                    until(lambda: not site.socket.exists())
                    daemons.append(start(name))
                for each in clients:
                    each.result(120)
            finally:
                done.set()
    finally:
        statuses = [daemon.stop() for daemon in daemons]
    assert statuses == [0, 0, 0], [daemon.log[-2000:] for daemon in daemons]
    assert odd == []
    assert site.recipients() == sorted(f"to{number}@example.com" for number in range(150))
    marks = [message.values(b"X-Mark") for message in site.sink.messages]
    assert {len(mark) for mark in marks} == {1}
    assert {mark[0] for mark in marks} == {b"one", b"two", b"three"}
    assert [daemon.errors for daemon in daemons] == [[], [], []]


def test_open_sessions_go_on_after_sigterm(site: Site, serve: Serve) -> None:
    daemon = serve(MARK.format("old"))
    with ExitStack() as stack:
        clients = [stack.enter_context(SmtpClient(site.port)) for _ in range(4)]
        waiting = ("EHLO client.example", "MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.com>", "DATA")
        for number, client in enumerate(clients, 1):
            for line in waiting[:number]:
                assert client.ask(line)[:1] in "23"
        daemon.terminate()
        daemon.wait_log("no new connections are taken")
        until(lambda: not site.socket.exists())
        with SmtpClient(site.port) as late:
            assert late.deliver("late@example.com") == DOWN
        for number, client in enumerate(clients, 1):
            for line in waiting[number:]:
                assert client.ask(line)[:1] in "23"
            client.send(MESSAGE + b".", "QUIT")
            assert client.answer().startswith("250 ")
            assert client.answer().startswith("221 ")
    assert daemon.wait() == 0
    assert [message.values(b"X-Mark") for message in site.arrived()] == [[b"old"]] * 4


def test_a_killed_daemon_means_come_back_later(site: Site, serve: Serve) -> None:
    policy = MARK.format("1")
    directory = site.socket.parent / "killed"
    killed = Daemon(write(directory, site.socket, [policy]), directory / "log").__enter__()
    with SmtpClient(site.port) as client:
        for line in ("EHLO client.example", "MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.com>"):
            assert client.ask(line).startswith("250")
        killed._process.kill()
        assert killed.wait() == -signal.SIGKILL
        heard = client.ask("DATA")
        if heard.startswith("354"):
            client.send(MESSAGE + b".")
            heard = client.answer()
        assert heard.startswith("4"), heard
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com") == DOWN
    serve(policy)  # over the dead one's socket file
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com").startswith("250 ")
    assert [message.values(b"X-Mark") for message in site.arrived()] == [[b"1"]]


def test_an_mta_that_can_not_what_the_policy_needs_is_told_so(site: Site, serve: Serve) -> None:
    daemon = serve('function mod:validate_rcptto_list(list, vctx) vctx:set_code(550, "5.7.1 no") end')
    site.mta.reload(milter_protocol="2")
    try:
        until(lambda: _refused(site))
    finally:
        site.mta.reload(milter_protocol="6")
    line = "a connection of the MTA is refused: the scripts need to see the DATA command; the MTA does not offer it"
    assert line in daemon.log
    assert site.arrived() == []


@pytest.mark.parametrize(
    ("missing", "what"),
    [(0x01, "add headers"), (0x04, "add recipients"), (0x40, "change the sender"), (0x20, "quarantine")],
)
def test_an_mta_that_does_not_offer_an_action_is_told_which(missing: int, what: str, site: Site, serve: Serve) -> None:
    daemon = serve('function mod:validate_data(msg) msg:header("X-Mark", "1") end')
    with MilterClient(str(site.socket), actions=0x1FF & ~missing) as client, pytest.raises(Gone):
        client.negotiate()
    assert f"the scripts need to {what}; the MTA does not offer it" in daemon.log


@pytest.mark.parametrize(
    ("policy", "config", "wanted"),
    [
        ("function mod:validate_data(msg)\n  if x = 1 then end\nend", "", "policy.lua:3: "),
        ("function mod:validate_data(msg)\n  return\n", "", "policy.lua:"),
        ('\n\nerror("boom")', "", "policy.lua:4: boom"),
        ('require("no.such.module")', "", "policy.lua:2: "),
        ("local function f() return nosuch.field end\n\nf()", "", "policy.lua:2: "),
        ('function mod:init() error("not today") end', "", "policy.lua:2: not today"),
        ("function mod:init() return false end", "", "init of module policy did not return true"),
        ("while true do end", "[lua]\ninstructions = 100000", "policy.lua:2: "),
        ("function mod:validate_data() end", "[polic]\nx = 1", "lumilter.toml:"),
        ("function mod:validate_data() end", '[policy]\non_error = "ignore"', "lumilter.toml:"),
    ],
)
def test_what_can_not_work_does_not_start(policy: str, config: str, wanted: str, tmp_path: Path) -> None:
    file = write(tmp_path / "etc", tmp_path / "m.sock", [policy], config)
    ran = subprocess.run([*COMMAND, str(file)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 78, ran
    assert wanted in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "m.sock").exists()


def test_a_second_daemon_on_the_same_socket_does_not_start(site: Site, serve: Serve, tmp_path: Path) -> None:
    serve(MARK.format("first"))
    file = write(tmp_path / "second", site.socket, [MARK.format("second")])
    ran = subprocess.run([*COMMAND, str(file)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 78, ran
    assert "another process listens there" in ran.stderr
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com").startswith("250 ")
    assert [message.values(b"X-Mark") for message in site.arrived()] == [[b"first"]]


def _refused(site: Site) -> bool:
    """Whether the MTA puts mail off; a process of its own that has not seen the reload yet is left to itself."""
    with SmtpClient(site.port) as client:
        return client.ask("EHLO client.example").startswith("250") and client.ask("MAIL FROM:<a@b.example>") == DOWN
