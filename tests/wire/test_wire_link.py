"""The Python wire on a loop in this process, with answers that are kept back: lost clients, cuts, progress."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lumilter.loop import Loop
from lumilter.session.events import CONTINUE, Abort, Action, Close, Connect, EndOfMessage, Event, Helo, Outcome
from lumilter.session.needs import Needs
from lumilter.wire import link
from lumilter.wire import server as server_module
from lumilter.wire.server import MilterServer
from support.milter_client import Gone, MilterClient
from support.patience import until


def begun(mta: MilterClient) -> MilterClient:
    mta.connect()
    mta.helo()
    return mta


class Script:
    """A Server with one conversation that keeps the answers back."""

    needs = Needs()

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.answers: list[Callable[[Outcome], None]] = []
        self.late: set[type[Event]] = set()

    def open(self) -> Script:
        return self

    def handle(self, event: Event) -> Outcome:
        raise AssertionError("the Python wire calls start")

    def start(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        self.told.append(event)
        if type(event) in self.late:
            self.answers.append(answer)
        else:
            answer(CONTINUE)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield loop
    loop.stop()
    thread.join()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def served(loop: Loop, script: Script) -> tuple[MilterServer, tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    address: tuple[str, int] = listener.getsockname()[:2]
    server: MilterServer = loop.call(lambda done: done(MilterServer(loop, listener, script, timeout=7210)))
    return server, address


Served = tuple[MilterServer, tuple[str, int]]


def negotiated(address: tuple[str, int]) -> MilterClient:
    mta = MilterClient(address)
    mta.negotiate()
    return begun(mta)


def test_a_client_that_vanishes_is_told_once_after_the_outstanding_answer(
    loop: Loop, script: Script, served: Served
) -> None:
    script.late = {EndOfMessage}
    server, address = served
    with negotiated(address) as mta:
        mta.mail()
        mta.send("E")
        until(lambda: script.answers)
    time.sleep(0.05)
    assert type(script.told[-1]) is EndOfMessage
    assert server.open == 1
    loop.post(lambda: script.answers[0](Outcome(Action.REJECT)))
    until(lambda: server.open == 0)
    assert script.told.count(Close()) == 1
    assert script.told[-1] == Close()


@pytest.mark.parametrize("last", [Connect, Helo])
def test_an_abort_and_a_close_follow_the_outstanding_answer_of_a_lost_client(
    loop: Loop, script: Script, served: Served, last: type[Event]
) -> None:
    script.late = {last}
    server, address = served
    with MilterClient(address) as mta:
        mta.negotiate()
        mta.send("C", b"c\0U")
        mta.send("H", b"h\0")
        mta.send("M", b"<a>\0")
        mta.socket.shutdown(socket.SHUT_WR)  # a close would reset the connection: what is on the way would be lost
        until(lambda: script.answers)
        loop.post(lambda: script.answers[0](CONTINUE))
        until(lambda: server.open == 0)
    assert [type(event).__name__ for event in script.told] == ["Connect", "Helo", "Mail", "Abort", "Close"]


def test_a_second_answer_is_logged_and_changes_nothing(
    loop: Loop, script: Script, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    script.late = {EndOfMessage}
    with negotiated(served[1]) as mta:
        mta.mail()
        mta.send("E")
        until(lambda: script.answers)
        for action in (Action.DISCARD, Action.REJECT):
            loop.post(lambda action=action: script.answers[0](Outcome(action)))  # type: ignore[misc]
        assert mta.answer().kind == "discard"
        assert mta.mail().kind == "continue"
    assert "answered twice" in caplog.text


def test_an_mta_that_waits_for_the_end_of_its_message_hears_of_progress(
    loop: Loop, script: Script, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_PROGRESS", 0.05)
    script.late = {EndOfMessage}
    with negotiated(served[1]) as mta:
        mta.mail()
        mta.send("E")
        until(lambda: script.answers)
        time.sleep(0.3)
        loop.post(lambda: script.answers[0](CONTINUE))
        answer = mta.answer()
        assert (answer.kind, answer.progress > 0) == ("continue", True)
        time.sleep(0.2)
        assert mta.mail().progress == 0


def test_a_cut_tells_every_conversation(loop: Loop, script: Script, served: Served) -> None:
    script.late = {EndOfMessage}
    server, address = served
    empty = threading.Event()
    with negotiated(address) as idle, negotiated(address) as waits:
        idle.mail()
        waits.mail()
        waits.send("E")
        until(lambda: script.answers)
        loop.call(lambda done: done(server.drain(empty.set)))
        with pytest.raises(ConnectionRefusedError):
            MilterClient(address)
        assert loop.call(lambda done: done(server.cut())) == 2
        with pytest.raises(Gone):
            idle.receive()
        until(lambda: script.told.count(Close()) == 1)
        assert not empty.is_set()
        loop.post(lambda: script.answers[0](CONTINUE))
        assert empty.wait(10)
    assert script.told.count(Close()) == 2
    assert script.told.count(Abort()) == 1


def test_an_empty_server_is_drained_at_once(loop: Loop, served: Served) -> None:
    empty = threading.Event()
    loop.call(lambda done: done(served[0].drain(empty.set)))
    assert empty.wait(10)


def test_accepted_sockets_do_not_delay_and_are_kept_alive(loop: Loop, served: Served) -> None:
    server, address = served
    with negotiated(address):
        (one,) = server._links
        assert one._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert one._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_without_descriptors_a_connection_waits_until_there_are_some(
    loop: Loop, served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "_PAUSE", 0.02)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    busy, free = threading.Event(), threading.Event()
    loop.post(lambda: (busy.set(), free.wait()))  # so that nothing is accepted too early
    assert busy.wait(10)
    with MilterClient(served[1]) as mta:
        probe = os.dup(mta.socket.fileno())
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))  # the next descriptor is one too many
        try:
            free.set()
            until(lambda: "no connection is accepted" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        mta.negotiate()
        assert begun(mta).mail().kind == "continue"
