"""The listener, the signals and the end: sockets, modes, stale files, inherited descriptors, a drain under load."""

from __future__ import annotations

import grp
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lumilter.errors import ConfigError
from lumilter.session.events import Close, EndOfMessage
from lumilter.wire.listener import bind
from support.milter_client import Gone, MilterClient
from support.wire_server import Address, Plan, WireServer

Start = Callable[..., WireServer]
Client = Callable[..., MilterClient]


# --- the listener ----------------------------------------------------------------------------------------------------


def test_a_unix_socket_has_its_mode_and_group_and_is_removed(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    listener = bind(Address("unix", path=str(tmp_path / "s")), 0o620, group)
    status = (tmp_path / "s").stat()
    assert stat.S_IMODE(status.st_mode) == 0o620
    assert status.st_gid == os.getgid()
    assert not listener.socket.getblocking()
    listener.remove()
    assert not (tmp_path / "s").exists()
    listener.remove()
    listener.socket.close()


def test_a_stale_file_is_replaced_a_live_one_and_another_kind_are_not(tmp_path: Path) -> None:
    address = Address("unix", path=str(tmp_path / "s"))
    stale = bind(address)
    stale.socket.close()
    live = bind(address)
    with pytest.raises(ConfigError, match="another process listens there"):
        bind(address)
    stale.remove()  # the file is not its own any more
    assert (tmp_path / "s").exists()
    live.remove()
    live.socket.close()
    (tmp_path / "s").write_text("a file")
    with pytest.raises(ConfigError, match="in use"):
        bind(address)
    assert (tmp_path / "s").read_text() == "a file"


def test_what_can_not_be_bound_is_a_configuration_error(tmp_path: Path) -> None:
    for address, group in (
        (Address("unix", path=str(tmp_path / "absent" / "s")), ""),
        (Address("unix", path=str(tmp_path / ("x" * 200))), ""),
        (Address("unix", path=str(tmp_path / "s")), "no such group"),
        (Address("inet", host="192.0.2.1", port=1), ""),
        (Address("inet", host="no.such.host.invalid", port=1), ""),
    ):
        with pytest.raises(ConfigError, match="can't listen on"):
            bind(address, group=group)


def test_an_inet_socket_does_not_delay_and_can_be_taken_again(tmp_path: Path) -> None:
    listener = bind(Address("inet")).socket
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    address = Address("inet", port=listener.getsockname()[1])
    with socket.create_connection(address.target):  # type: ignore[arg-type]
        accepted, _ = listener.accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        accepted.close()
        listener.close()
    bind(address).socket.close()


# --- the ways to libmilter -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "by_dup2"),
    [("libmilter", False), ("libmilter", True), ("python", False)],
    ids=["fd:", "dup2", "python"],
)
@pytest.mark.parametrize("family", ["unix", "inet", "inet6"])
def test_our_socket_is_handed_over(tmp_path: Path, client: Client, family: str, wire: str, by_dup2: bool) -> None:
    if family == "unix":
        address = Address("unix", path=str(tmp_path / "milter.sock"))
    else:
        host = "127.0.0.1" if family == "inet" else "::1"
        try:
            probe = bind(Address(family, host=host)).socket
        except ConfigError as error:
            pytest.skip(f"this machine has no {family}: {error}")
        address = Address(family, host=host, port=probe.getsockname()[1])
        probe.close()
    with WireServer(address, Plan(wire=wire, adopt_by_dup2=by_dup2)) as server:
        for _ in range(20):
            with MilterClient(address.target) as mta:
                mta.negotiate()
                mta.connect()
                mta.helo()
                assert mta.message().kind == "continue"
                mta.quit()
        assert server.stop() == 0
    assert sum(isinstance(event, EndOfMessage) for event in server.told()) == 20
    assert not address.path or not Path(address.path).exists()


def test_an_inherited_listener_outlives_the_worker(tmp_path: Path, wire: str) -> None:
    address = Address("unix", path=str(tmp_path / "milter.sock"))
    listener = bind(address)
    for _ in range(2):
        with WireServer(address, Plan(wire=wire), listener=listener.socket.fileno()) as server:
            with MilterClient(address.path) as mta:
                mta.negotiate()
                mta.connect()
                mta.quit()
            assert server.stop() == 0
        assert Path(address.path).exists()
        assert server.told()[-1] == Close()
    waiting = MilterClient(address.path)  # nobody serves: it waits for the next worker
    with WireServer(address, Plan(wire=wire), listener=listener.socket.fileno()) as server:
        waiting.negotiate()
        waiting.quit()
    listener.socket.close()


# --- signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once_and_its_socket_is_gone(start: Start, number: signal.Signals) -> None:
    server = start()
    server.signal(number)
    assert server.wait() == 0
    assert not Path(server.address.path).exists()


def test_a_supervisor_that_lets_go_ends_it(start: Start) -> None:
    server = start()
    server.let_go()
    assert server.wait() == 0


def test_other_signals_do_not_end_it(start: Start, client: Client) -> None:
    server = start()
    for number in (signal.SIGHUP, signal.SIGUSR1) * 5:
        server.signal(number)
        time.sleep(0.01)
    mta = client(server)
    mta.connect()
    mta.helo()
    assert mta.message().kind == "continue"
    mta.quit()
    assert server.stop() == 0
    assert "SIGUSR1 was handled" in server.log


def test_an_open_connection_may_end_its_message(start: Start, client: Client) -> None:
    server = start(Plan(deadline=30))
    mta = client(server)
    mta.connect()
    mta.helo()
    mta.mail()
    mta.rcpt()
    server.signal(signal.SIGTERM)
    while Path(server.address.path).exists():
        time.sleep(0.01)
    mta.data()
    mta.body(b"") if mta.eoh() else None
    assert mta.eom().kind == "continue"
    assert mta.message().kind == "continue"
    mta.quit()
    assert server.wait() == 0
    assert sum(isinstance(event, EndOfMessage) for event in server.told()) == 2


def test_a_connection_that_does_not_end_is_cut_and_counted(start: Start, client: Client) -> None:
    server = start(Plan(deadline=0.2))
    client(server).connect()
    assert server.stop() == 1
    assert "1 connections are cut" in server.log


def test_a_second_signal_ends_the_wait(start: Start, client: Client) -> None:
    server = start(Plan(deadline=600))
    client(server).connect()
    server.signal(signal.SIGTERM)
    while "no new connections" not in server.log:
        time.sleep(0.01)
    server.signal(signal.SIGTERM)
    assert server.wait() == 1


def test_a_drain_under_load_loses_nothing(tmp_path: Path, wire: str) -> None:
    """Workers on one inherited socket are replaced while 16 connections send: no message is lost or refused."""
    address = Address("unix", path=str(tmp_path / "milter.sock"))
    listener = bind(address)
    plan = Plan(deadline=30, wire=wire)
    stop = threading.Event()

    def sessions() -> int:
        done = 0
        while not stop.is_set():
            with MilterClient(address.path) as mta:
                mta.negotiate()
                mta.connect()
                mta.helo()
                for _ in range(3):
                    assert mta.message().kind == "continue"
                    done += 1
                mta.quit()
        return done

    told = 0
    old = WireServer(address, plan, listener=listener.socket.fileno()).__enter__()
    with ThreadPoolExecutor(16) as pool:
        running = [pool.submit(sessions) for _ in range(16)]
        try:
            for _ in range(5):
                new = WireServer(address, plan, listener=listener.socket.fileno()).__enter__()
                assert old.stop() == 0
                told += sum(isinstance(event, EndOfMessage) for event in old.told())
                old = new
        finally:
            stop.set()
        sent = sum(each.result() for each in running)
    assert old.stop() == 0
    told += sum(isinstance(event, EndOfMessage) for event in old.told())
    assert sent == told > 0
    listener.socket.close()


def test_a_single_server_that_stops_under_load_loses_no_begun_connection(start: Start) -> None:
    """Without a parent that keeps the socket new connections are refused; a connection that was taken is served."""
    server = start(Plan(deadline=30))
    address = server.address.path

    def sessions() -> tuple[int, int]:
        done = cut = 0
        while True:
            try:
                mta = MilterClient(address)
            except OSError:
                return done, cut
            with mta:
                try:
                    mta.negotiate()
                    mta.connect()
                    mta.helo()
                    mta.message()
                    done += 1
                    mta.quit()
                except Gone:
                    cut += 1

    with ThreadPoolExecutor(16) as pool:
        running = [pool.submit(sessions) for _ in range(16)]
        time.sleep(0.3)
        assert server.stop() == 0
        results = [each.result() for each in running]
    assert sum(cut for _, cut in results) == 0
    assert sum(done for done, _ in results) == sum(isinstance(event, EndOfMessage) for event in server.told())
