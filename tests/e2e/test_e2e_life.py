"""The daemon's life behind a real Postfix: its start, its end under load, its death, and an MTA that is too old."""

from __future__ import annotations

import itertools
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from support.daemon import Daemon, write
from support.patience import until
from support.site import PostfixSite, Serve
from support.smtp_client import MESSAGE, SmtpClient

MARK = """
    function mod:validate_rcptto(msg, str, ac, vctx) msys.sleep(0.005) end
    function mod:validate_data(msg) msys.sleep(0.02) msg:header("X-Mark", "{}") end
"""
DOWN = "451 4.7.1 Service unavailable - try again later"


def test_sigterm_under_load_loses_nothing(site: PostfixSite, tmp_path: Path) -> None:
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


def test_open_sessions_go_on_after_sigterm(site: PostfixSite, serve: Serve) -> None:
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


def test_a_killed_daemon_means_come_back_later(site: PostfixSite, serve: Serve) -> None:
    policy = MARK.format("1")
    directory = site.socket.parent / "killed"
    killed = Daemon(write(directory, site.socket, [policy]), directory / "log").__enter__()
    with SmtpClient(site.port) as client:
        for line in ("EHLO client.example", "MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.com>"):
            assert client.ask(line).startswith("250")
        killed.kill()
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


def test_an_mta_that_can_not_what_the_policy_needs_is_told_so(site: PostfixSite, serve: Serve) -> None:
    daemon = serve('function mod:validate_rcptto_list(list, vctx) vctx:set_code(550, "5.7.1 no") end')
    with SmtpClient(site.ports["old"]) as client:
        assert client.deliver("bob@example.com") == DOWN
    daemon.wait_log(
        "a connection of the MTA is refused: the scripts need to see the DATA command; the MTA does not offer it"
    )
    assert site.arrived() == []
