"""Every limit of the configuration: reached in a real daemon, over both wires, with each action, and counted."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.message
import pytest

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write
from support.dns_server import Answer as DnsAnswer
from support.dns_server import DnsServer, reply
from support.milter_client import Answer, Gone, MilterClient
from support.patience import until

ACTIONS = ("tempfail", "accept", "reject")
MARK = "function mod:validate_data(msg) msg:header('X-Size', tostring(msg:get_message_size())) end"


@pytest.fixture(params=["python", "libmilter"])
def wire(request: pytest.FixtureRequest) -> str:
    return f'wire = "{request.param}"\n'


@contextmanager
def serving(tmp_path: Path, config: str, policy: str) -> Iterator[Daemon]:
    with Daemon(write(tmp_path / "etc", tmp_path / "m.sock", [policy], config), tmp_path / "log") as daemon:
        yield daemon


@contextmanager
def connected(tmp_path: Path) -> Iterator[MilterClient]:
    with MilterClient(str(tmp_path / "m.sock")) as client:
        client.negotiate()
        client.connect()
        client.helo()
        yield client


def is_served(tmp_path: Path) -> bool:
    with MilterClient(str(tmp_path / "m.sock")) as client:
        client.negotiate()
        return client.connect().kind in ("none", "off") and bool(client.helo() and client.message().edits)


def hits(tmp_path: Path, limit: str) -> float:
    command = [*COMMAND[:3], "ctl", "-c", str(tmp_path / "etc/lumilter.toml"), "status", "--json"]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    return float(json.loads(ran.stdout)["totals"]["limits_hit"].get(limit, 0))


def is_as(answer: Answer, action: str) -> bool:
    """Whether an answer is what the action says."""
    if action == "accept":
        return answer.kind in ("accept", "continue")
    return answer.kind == action or (
        answer.kind == "replycode" and answer.text[0] == {"tempfail": "4", "reject": "5"}[action]
    )


@pytest.mark.parametrize("action", ["on_error", *ACTIONS])
@pytest.mark.parametrize(
    ("limit", "config", "body"),
    [
        ("instructions", "[lua]\ninstructions = 2000000\n", "while true do end"),
        ("deadline", "[lua]\ndeadline = 0.2\n", "msys.sleep(10)"),
        ("memory", '[lua]\nmax_memory = "20M"\n', "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end"),
    ],
    ids=["instructions", "deadline", "memory"],
)
def test_a_hook_s_limits(tmp_path: Path, limit: str, config: str, body: str, action: str) -> None:
    policy = f"function mod:validate_mailfrom() {body} end\n{MARK}"
    config = f'{config}[limits]\non_{limit} = "{action}"\n[policy]\non_error = "reject"\n'
    with serving(tmp_path, config, policy):
        with connected(tmp_path) as client:
            assert is_as(client.mail(), "reject" if action == "on_error" else action)
        assert hits(tmp_path, limit) == 1


@pytest.mark.parametrize("action", ACTIONS)
def test_connections_at_the_same_time(tmp_path: Path, wire: str, action: str) -> None:
    with serving(tmp_path, f'{wire}[limits]\nsessions = 3\non_sessions = "{action}"\n', MARK), ExitStack() as stack:
        clients = [stack.enter_context(connected(tmp_path)) for _ in range(3)]
        for _ in range(2):
            with MilterClient(str(tmp_path / "m.sock")) as beyond:
                beyond.negotiate()
                assert is_as(beyond.connect(), action)
        for client in clients:
            assert client.message().edits
        assert hits(tmp_path, "sessions") == 2
        clients[0].quit()
        end = time.monotonic() + 30
        while not is_served(tmp_path):  # the daemon hears of the end in its own time
            assert time.monotonic() < end


@pytest.mark.parametrize("action", ACTIONS)
def test_the_size_of_a_message(tmp_path: Path, wire: str, action: str) -> None:
    with serving(tmp_path, f'{wire}[limits]\nmessage_size = "50K"\non_message_size = "{action}"\n', MARK):
        with connected(tmp_path) as client:
            large = client.message(body=b"x" * 60_000)
            assert is_as(large, action)
            assert not large.edits
            assert client.message(body=b"x" * 40_000).edits
            assert is_as(client.message(headers=((b"X-Long", b"y" * 60_000),)), action)
        assert hits(tmp_path, "message_size") == 2


@pytest.mark.parametrize("action", ACTIONS)
def test_the_memory_of_headers(tmp_path: Path, wire: str, action: str) -> None:
    with serving(tmp_path, f'{wire}[limits]\nheaders = "100K"\non_headers = "{action}"\n', MARK):
        with connected(tmp_path) as client:
            many = client.message(headers=((b"X", b" y"),) * 2000)
            assert is_as(many, action)
            assert not many.edits
            assert client.message().edits
        assert hits(tmp_path, "headers") == 1


@pytest.mark.parametrize("action", ACTIONS)
def test_one_packet_of_the_mta(tmp_path: Path, action: str) -> None:
    with serving(tmp_path, f'[limits]\npacket = "128K"\non_packet = "{action}"\n', MARK):
        with connected(tmp_path) as client:
            large = client.message(headers=((b"X-Long", b"y" * 140_000),))
            assert is_as(large, action)
            assert not large.edits
            assert client.message(headers=((b"X-Long", b"y" * 100_000),)).edits
        assert hits(tmp_path, "packet") == 1


def test_libmilter_ends_the_connection_at_a_packet_that_is_too_large(tmp_path: Path) -> None:
    with serving(tmp_path, 'wire = "libmilter"\n[limits]\npacket = "128K"\n', MARK), connected(tmp_path) as client:
        assert client.message(headers=((b"X-Long", b"y" * 100_000),)).edits
        with pytest.raises((Gone, OSError)):
            client.message(headers=((b"X-Long", b"y" * 140_000),))
        assert is_served(tmp_path)


def test_a_hook_that_is_called_again_and_again(tmp_path: Path) -> None:
    again = f"function mod:validate_mailfrom() return msys.core.VALIDATE_AGAIN end\n{MARK}"
    config = '[policy]\nagain_interval = 0.01\nagain_limit = 0.05\non_error = "reject"\n'
    with serving(tmp_path, config, again):
        with connected(tmp_path) as client:
            assert is_as(client.mail(), "reject")
        assert hits(tmp_path, "again") == 1


def test_a_long_body_goes_to_a_file(tmp_path: Path, wire: str) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    config = f'{wire}[limits]\nmemory_body = "10K"\nspool = "{spool}"\n'
    with serving(tmp_path, config, MARK), connected(tmp_path) as client:
        for size in (9_000, 11_000, 3_000_000):
            (edit,) = client.message(body=b"x" * size).edits
            assert edit.value.strip() == str(size + len("Subject: x\r\n\r\n")).encode()
        assert not list(spool.iterdir())  # it has no name


@pytest.mark.parametrize("action", ACTIONS)
def test_no_room_for_a_long_body(tmp_path: Path, wire: str, action: str) -> None:
    config = f'{wire}[limits]\nmemory_body = "10K"\nspool = "{tmp_path}/missing"\non_spool = "{action}"\n'
    with serving(tmp_path, config, MARK) as daemon:
        with connected(tmp_path) as client:
            large = client.message(body=b"x" * 20_000)
            assert is_as(large, action)
            assert not large.edits
            assert client.message().edits
        daemon.wait_log("its body can't be spooled")
        assert hits(tmp_path, "spool") == 1


def test_the_time_of_a_lookup(tmp_path: Path) -> None:
    policy = """function mod:validate_mailfrom(str, ac, vctx)
      local answer, problem = msys.dnsLookup("silent.test", "a")
      vctx:set_code(550, tostring(problem))
    end"""
    with DnsServer(lambda query, transport: None) as server:
        config = f'[dns]\nservers = ["127.0.0.1:{server.port}"]\ntimeout = 0.3\n'
        with serving(tmp_path, config, policy):
            with connected(tmp_path) as client:
                assert client.mail().text == "550 TIMEOUT"
            assert hits(tmp_path, "lookup_timeout") == 1


def test_lookups_at_the_same_time(tmp_path: Path) -> None:
    """With one thread the second lookup waits for the first."""
    policy = """function mod:validate_mailfrom(str, ac, vctx)
      msys.dnsLookup("silent.test", "a")
      vctx:set_code(550, "done")
    end"""
    gate = threading.Event()

    def slow(query: dns.message.Message, transport: str) -> DnsAnswer:
        gate.wait(60)
        return reply(query, "silent.test. 60 IN A 192.0.2.1")

    with DnsServer(slow) as server:
        config = f'[dns]\nservers = ["{server.address}"]\ntimeout = 60\n[limits]\nlookups = 1\n'
        with serving(tmp_path, config, policy), connected(tmp_path) as one, connected(tmp_path) as two:
            for client in (one, two):
                client.send("M", b"<a@b.test>\0")
            until(lambda: queued(tmp_path) == 1)
            gate.set()
            assert [client.answer().text for client in (one, two)] == ["550 done"] * 2


def queued(tmp_path: Path) -> float:
    command = [*COMMAND[:3], "ctl", "-c", str(tmp_path / "etc/lumilter.toml"), "metrics"]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    (line,) = (line for line in ran.stdout.splitlines() if line.startswith("lumilter_pool_queue "))
    return float(line.split()[1])
