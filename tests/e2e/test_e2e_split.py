"""Recipients whose messages part ways, through Postfix: everybody gets their own message once, whatever goes wrong.

What the MTA keeps and what lumilter sends both end at the sink, which stands for the injection listener too.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.patience import until
from support.ports import free_port
from support.sink import Sink
from support.site import PostfixSite, Serve
from support.smtp_client import SmtpClient

MARK = """
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local kind = msg:rcptto():match("^(%a+)")
  if kind == "gone" then return msg:discard() end
  if kind == "own" then msg:header("X-For", msg:rcptto()) end
  if kind == "group" then msg:header("X-For", "group") end
end
"""

SLOW = """
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  msg:header("X-For", msg:rcptto())
end
"""


@pytest.fixture
def injector(site: PostfixSite) -> Iterator[Sink]:
    """Takes what lumilter sends."""
    with Sink() as sink:
        yield sink


def config(sink: Sink, tmp_path: Path, more: str = "") -> str:
    return f'[inject]\nserver = "smtp:inet:{sink.port}@127.0.0.1"\noutbox = "{tmp_path}/outbox"\n{more}'


def everything(site: PostfixSite, injector: Sink) -> Counter[tuple[str, bytes]]:
    """Recipients and their X-For, of all that was delivered."""
    messages = [*site.arrived(), *injector.messages]
    return Counter((to, b"".join(message.values(b"X-For"))) for message in messages for to in message.recipients)


@pytest.mark.parametrize(
    "recipients",
    [
        ["same1"],
        ["own1"],
        ["same1", "same2"],
        ["own1", "own2"],
        ["own1", "same1", "gone1"],
        ["gone1", "gone2"],
        [f"same{n}" for n in range(50)],
        [f"own{n}" for n in range(50)],
        [*(f"own{n}" for n in range(10)), *(f"group{n}" for n in range(20)), *(f"same{n}" for n in range(10)), "gone1"],
        [f"same{n}" for n in range(1000)],
        [f"own{n}" for n in range(1000)],
        [f"{('own', 'gone', 'group', 'same')[n % 4]}{n}" for n in range(1000)],
    ],
    ids=lambda names: f"{len(names)} {names[0]} {names[-1]}",
)
def test_everybody_gets_their_own(
    recipients: list[str], site: PostfixSite, injector: Sink, serve: Serve, tmp_path: Path
) -> None:
    daemon = serve(MARK, config(injector, tmp_path))
    addresses = [f"{name}@example.com" for name in recipients]
    with SmtpClient(site.port) as client:
        assert client.deliver(*addresses).startswith("250 ")
    wanted = {
        (to, to.encode() if to.startswith("own") else b"group" if to.startswith("group") else b""): 1
        for to in addresses
        if not to.startswith("gone")
    }
    assert everything(site, injector) == wanted
    assert not daemon.errors
    groups = {mark for _, mark in wanted}
    assert len(injector.messages) == max(0, len(groups) - 1)
    for message in injector.messages:
        assert b"by lumilter" in message.values(b"Received")[0]
        assert message.sender == "ann@example.org"
    assert not any((tmp_path / "outbox" / "sent").glob("*/*")), "a message that was accepted is still remembered"


def test_the_server_is_down_then_up(site: PostfixSite, serve: Serve, tmp_path: Path) -> None:
    port = free_port()
    injector = Sink(port)
    daemon = serve(MARK, config(injector, tmp_path))
    with SmtpClient(site.port) as client:
        assert client.deliver("own1@example.com", "own2@example.com").startswith("451 4.3.5 recipients need different")
        assert not site.arrived()
        with injector:
            assert client.deliver("own1@example.com", "own2@example.com").startswith("250 ")
            assert everything(site, injector).total() == 2
    assert len(daemon.errors) == 1


def test_one_is_refused_and_the_second_try_sends_only_what_is_missing(
    site: PostfixSite, injector: Sink, serve: Serve, tmp_path: Path
) -> None:
    addresses = [f"own{n}@example.com" for n in range(6)]
    injector.replies["own4@example.com"] = "450 4.2.1 not now"
    serve(MARK, config(injector, tmp_path))
    with SmtpClient(site.port) as client:
        assert client.deliver(*addresses).startswith("451 ")
        assert [message.recipients for message in injector.messages] == [(f"own{n}@example.com",) for n in (1, 2, 3)]
        injector.replies.clear()
        assert client.deliver(*addresses).startswith("250 ")
    assert everything(site, injector) == {(to, to.encode()): 1 for to in addresses}


def test_the_server_dies_half_way(site: PostfixSite, serve: Serve, tmp_path: Path) -> None:
    """In the middle of a message, whose recipient it has not answered for; the next try is for those who are left."""
    addresses = [f"own{n}@example.com" for n in range(30)]
    with Sink(last=11) as injector:
        daemon = serve(MARK, config(injector, tmp_path))
        with SmtpClient(site.port) as client:
            assert client.deliver(*addresses).startswith("451 4.3.5 recipients need different")
            assert not site.arrived()
            assert client.deliver(*addresses).startswith("451 ")
            assert len(injector.messages) == 11
            injector.last = 0
            assert client.deliver(*addresses).startswith("250 ")
        assert everything(site, injector) == {(to, to.encode()): 1 for to in addresses}
    assert len(daemon.errors) == 2


def test_a_slow_server_is_waited_for_and_holds_up_nobody_else(site: PostfixSite, serve: Serve, tmp_path: Path) -> None:
    addresses = [f"own{n}@example.com" for n in range(8)]
    with Sink(pause=0.4) as injector:
        serve(MARK, config(injector, tmp_path))
        heard: list[str] = []

        def deliver() -> None:
            with SmtpClient(site.port) as slow:
                heard.append(slow.deliver(*addresses))

        thread = threading.Thread(target=deliver)
        thread.start()
        injector.wait(1)
        with SmtpClient(site.port) as other:
            assert other.deliver("same@example.com").startswith("250 ")
        assert not heard
        thread.join()
        assert heard[0].startswith("250 ")
        got = everything(site, injector)
    assert got == {(to, to.encode()): 1 for to in addresses} | {("same@example.com", b""): 1}


def test_mail_that_comes_back_ends(site: PostfixSite, serve: Serve, tmp_path: Path) -> None:
    """A listener that asks the milter again, against all advice, copies every copy: up to the hop limit."""
    policy = """
require("msys.extended.message")
function mod:validate_data(msg, ac, vctx)
  local copy = msg:copy()
  copy:inject(msg:mailfrom(), "archive@example.com")
end
"""
    inject = f'[inject]\nserver = "smtp:inet:{site.port}@127.0.0.1"\noutbox = "{tmp_path}/outbox"\nhops = 3\n'
    daemon = serve(policy, inject + "retry = 3600\n")
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com").startswith("250 ")
    until(lambda: any("it is in a loop" in error for error in daemon.errors))
    waiting = tmp_path / "outbox" / "waiting"
    until(lambda: len(list(waiting.iterdir())) == 1)
    assert site.recipients() == ["archive@example.com", "archive@example.com", "bob@example.com"]
    hops = sorted(b"".join(message.values(b"X-Lumilter-Hops")) for message in site.sink.messages)
    assert hops == [b"", b"1", b"2"]


def test_the_worker_is_killed_half_way(site: PostfixSite, serve: Serve, tmp_path: Path) -> None:
    """The client hears a 4xx and tries again; who had their message does not get it twice."""
    addresses = [f"own{n}@example.com" for n in range(400)]  # so many that the kill comes in time
    with Sink() as injector:
        daemon = serve(SLOW, config(injector, tmp_path))
        (worker,) = daemon.workers

        def kill() -> None:
            injector.wait(15)
            os.kill(worker, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with SmtpClient(site.port) as client:
            assert client.deliver(*addresses).startswith("4")
        killer.join()
        assert 15 <= len(injector.messages) < 399
        until(lambda: daemon.workers not in ([], [worker]))
        time.sleep(1)
        with SmtpClient(site.port) as client:
            assert client.deliver(*addresses).startswith("250 ")
        got = everything(site, injector)
    assert set(got) == {(to, to.encode()) for to in addresses}
    # One whose message was taken, but not remembered yet when the process died, may get it twice.
    assert got.total() <= len(addresses) + 1


def test_a_server_that_hangs_costs_a_4xx_in_time_and_nobody_else(
    site: PostfixSite, serve: Serve, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = f'[inject]\nserver = "smtp:inet:{silent.getsockname()[1]}@127.0.0.1"\n'
        serve(MARK, settings + f'outbox = "{tmp_path}/outbox"\ntimeout = 3\ndeadline = 4\n')
        with SmtpClient(site.port) as stuck, SmtpClient(site.port) as other:
            heard: list[str] = []
            thread = threading.Thread(
                target=lambda: heard.append(stuck.deliver("own1@example.com", "own2@example.com"))
            )
            thread.start()
            while thread.is_alive():
                assert other.deliver("same@example.com").startswith("250 ")
            thread.join()
        assert heard[0].startswith("451 4.3.5 ")
    assert "own1@example.com" not in site.recipients()


def test_a_sender_for_each_recipient(site: PostfixSite, injector: Sink, serve: Serve, tmp_path: Path) -> None:
    """VERP, as mailing policies do it."""
    policy = """
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  msg:mailfrom("bounce+" .. msg:rcptto():gsub("@", "=") .. "@example.org")
end
"""
    serve(policy, config(injector, tmp_path))
    with SmtpClient(site.port) as client:
        assert client.deliver("a@example.com", "b@example.com", "c@example.com").startswith("250 ")
    messages = [*site.arrived(), *injector.messages]
    assert sorted((message.sender, message.recipients) for message in messages) == [
        (f"bounce+{name}=example.com@example.org", (f"{name}@example.com",)) for name in "abc"
    ]


def test_new_mail_is_promised_and_arrives(site: PostfixSite, serve: Serve, tmp_path: Path) -> None:
    """What a script injects waits on disk while the server is away, and outlives the daemon."""
    policy = """
require("msys.extended.message")
function mod:validate_data(msg, ac, vctx)
  local copy = msg:copy()
  copy:header("X-Copy", "1")
  copy:inject(msg:mailfrom(), "archive@example.com")
  msg:forward("postmaster@example.com", "abuse@example.com", "see below")
end
"""
    port = free_port()
    injector = Sink(port)
    daemon = serve(policy, config(injector, tmp_path, "retry = 1\n"))
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com").startswith("250 ")
    assert site.recipients() == ["bob@example.com"]
    daemon.kill()
    daemon.status = -signal.SIGKILL
    with injector, site.serving(tmp_path / "second", policy, config(injector, tmp_path, "retry = 1\n")):
        messages = injector.wait(2, 60)
        until(lambda: not list((tmp_path / "outbox").glob("waiting/*")))
    by_recipient = {message.recipients[0]: message for message in messages}
    archived = by_recipient["archive@example.com"]
    assert archived.sender == "ann@example.org"
    assert archived.values(b"X-Copy") == [b"1"]
    assert archived.values(b"X-Lumilter-Hops") == [b"1"]
    forwarded = by_recipient["abuse@example.com"]
    assert forwarded.sender == "postmaster@example.com"
    assert b"message/rfc822" in forwarded.body
    assert b"see below" in forwarded.body
    assert len(injector.messages) == 2
