"""Scripts over a real Redis: what is shared is the same for two daemons, and what they get while it is away."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lumilter.adapters.dns import FixtureResolver
from lumilter.services import Services
from lumilter.session.events import Connect, Helo, Mail, Rcpt
from lumilter.state import outage
from lumilter.state.contract import Series
from lumilter.state.places import COUNTERS, ERROR, GAUGES, LOCKS, MONITORS, SERIES, SESSIONS, Rules, SeriesRule
from lumilter.state.shared import SharedStore
from lumilter.state.state import State
from support.policy import Policy, policy
from support.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

POLICY = """
local given, values = nil, {}
function mod:init()
  msys.audit_series.define("words", "string", 3600, 3, { replicate = "cluster" })
  msys.audit_series.define("clients", "cidr", 3600, 3, { replicate = "cluster" })
  msys.audit_series.define("strict", "string", 3600, 3, { replicate = "cluster" })
  msys.audit_series.define("own", "string", 3600, 3)
  msys.audit_series.define("reported", "string", 3600, 3, { replicate = "manager" })
  msys.gauge_cache.define("gauge", 10, 3600, true)
  return true
end
function mod:validate_ehlo(str)
  local chunk = assert(loadstring("return " .. tostring(str)))
  print(chunk())
end
"""


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    with redis_server.client() as client:
        client.flushall()
    return redis_server


def rules(*shared: str, on_failure: str = "open") -> Rules:
    return Rules(
        on_failure=on_failure,
        shared=frozenset(shared),
        series={"strict": SeriesRule(on_failure=ERROR)},
        monitors={"60,2": (60, 2)},
    )


Make = Callable[..., Policy]


@pytest.fixture
def start(tmp_path: Path, redis: RedisServer) -> Iterator[Callable[..., tuple[Policy, Callable[[str], str]]]]:
    """start(rules): a policy, and a function that runs Lua in a hook of it and gives what it printed."""
    closing: list[Callable[[], object]] = []

    def make(wanted: Rules = rules(), timeout: float = 10) -> tuple[Policy, Callable[[str], str]]:  # noqa: B008
        place = tmp_path / str(len(closing))
        place.mkdir()
        state = State(rules=wanted, shared=SharedStore(redis.server(timeout=timeout)))
        services = Services(FixtureResolver({}), hostname="mx.example.com", state=state)
        opened = policy(place, POLICY, services=services)
        running = opened.__enter__()
        session = running.conversation()
        conversation = session.__enter__()
        closing.append(lambda: (session.__exit__(None, None, None), opened.__exit__(None, None, None), state.close()))

        def ask(text: str) -> str:
            before = len(running.printed)
            conversation.handle(Helo(text))
            return "\n".join(running.printed[before:]) or f"error: {running.errors.pop().message}"

        return running, ask

    yield make
    for each in reversed(closing):
        each()


def test_two_daemons_agree(start: Callable[..., tuple[Policy, Callable[[str], str]]]) -> None:
    every = rules(SESSIONS, MONITORS, SERIES, GAUGES, COUNTERS, LOCKS)
    (_, one), (_, two) = start(every), start(every)
    both = "msys.audit_series.add('words', 'a'), msys.audit_series.count('words', 'a')"
    assert [ask(both) for ask in (one, two, one)] == ["nil\t1", "nil\t2", "nil\t3"]
    assert two("msys.audit_series.count('words', {key = 'a', startv = 0, endv = 2})") == "3"
    assert one("msys.audit_series.add('clients'), msys.audit_series.count('clients', '/24')") == "nil\t1"
    assert two("msys.audit_series.add('clients', '192.0.2.9'), msys.audit_series.count('clients', '/25')") == "nil\t2"
    assert two("msys.audit_series.remove_item('clients')") == "nil"
    assert one("msys.audit_series.count('clients', '/0')") == "1"
    assert one("msys.gauge_cache.inc('gauge', 'a'), msys.gauge_cache.inc('gauge', 'a')") == "1\t2"
    assert two("msys.gauge_cache.dec('gauge', 'a'), msys.gauge_cache.get('gauge', 'a')") == "1\t1"
    assert two("msys.gauge_cache.remove_item('gauge', 'a'), msys.gauge_cache.get('gauge', 'a')") == "nil\t0"
    assert one("tostring(msys.counter.open('/x')), msys.counter.inc('/x'), msys.counter.add('/x', 4)") == "/x\tnil\tnil"
    assert two("msys.counter.read('/x'), msys.counter.reset('/x'), msys.counter.read('/x')") == "5\tnil\t0"
    assert two("msys.counter.unlink('/x')") == "nil"
    assert one("msys.audit.inbound_session_count('/32', 'SMTP')") == "2"
    assert two("msys.audit.inbound_session_count('/0', 'inbound_cidr')") == "2"
    assert one("msys.audit.connections('60,2', {endv = 1})") == "2"
    assert one("msys.lock('l'), msys.unlock('l'), msys.lock('l'), msys.unlock('l')") == "nil\tnil\tnil\tnil"
    assert one("msys.lock('l')") == "nil"
    assert two("msys.unlock('l')").startswith('error: "l" is not locked by this session')


def test_what_nobody_asks_to_share_is_not(
    start: Callable[..., tuple[Policy, Callable[[str], str]]], caplog: pytest.LogCaptureFixture
) -> None:
    (_, one), (_, two) = start(), start()
    assert one("msys.audit_series.add('own', 'a'), msys.audit_series.count('own', 'a')") == "nil\t1"
    assert two("msys.audit_series.count('own', 'a')") == "0"
    assert two("msys.audit.inbound_session_count('/32', 'SMTP')") == "1"
    assert two("msys.audit.inbound_session_count('/32', 'inbound_cidr')") == "2"
    assert two("msys.audit.connections('60,2', {endv = 1})") == "1"
    assert two("msys.audit.connections('60,2', {endv = 1, cluster = true})") == "2"
    assert one("msys.audit_series.add('reported', 'a'), msys.audit_series.count('reported', 'a')") == "nil\t1"
    assert two("msys.audit_series.count('reported', 'a')") == "0"
    assert 'the series "reported" is of this machine alone: no manager' in caplog.text
    assert one("msys.counter.inc('/y')") == "nil"
    assert two("msys.counter.read('/y')") == "0"


def test_while_the_server_is_away(
    start: Callable[..., tuple[Policy, Callable[[str], str]]],
    redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage, "QUIET", 0.2)
    _, ask = start(rules(SESSIONS, MONITORS), 0.5)
    count = "msys.audit_series.count('words', 'a')"
    assert ask(f"msys.audit_series.add('words', 'a'), {count}") == "nil\t1"
    assert ask("msys.audit_series.add('strict', 'a'), msys.audit_series.count('strict', 'a')") == "nil\t1"
    assert ask(count) == "1"
    redis.kill()
    begun = time.monotonic()
    for _ in range(50):
        assert ask(count) == "1"  # the last value
        assert ask("msys.audit_series.add('words', 'a')") == "nil"
        assert ask("msys.audit_series.count('words', 'b')") == "0"
        assert ask("msys.gauge_cache.inc('gauge', 'a')") == "0"
        assert ask("msys.audit.inbound_session_count('/32', 'SMTP')") == "1"  # this machine's
        assert ask("msys.audit.connections('60,2', {endv = 1})") == "1"
        assert ask("msys.audit_series.add('strict', 'a')").startswith("error: ")
        assert "Redis at 127.0.0.1" in ask("msys.audit_series.count('strict', 'a')")
    assert time.monotonic() - begun < 60
    assert len([r for r in caplog.records if r.name == "lumilter.state" and "nothing more is said" in r.message]) == 1
    redis.start()
    until = time.monotonic() + 30
    while ask("msys.audit_series.add('strict', 'a')") != "nil":
        assert time.monotonic() < until
        time.sleep(0.05)
    while not [r for r in caplog.records if "works again" in r.message]:
        ask("msys.audit_series.count('strict', 'a')")
        assert time.monotonic() < until
        time.sleep(0.05)
    assert ask("msys.audit.inbound_session_count('/32', 'SMTP')") == "1"


def test_a_server_that_hangs_delays_one_hook_by_its_timeout(
    start: Callable[..., tuple[Policy, Callable[[str], str]]], redis: RedisServer
) -> None:
    running, ask = start(rules(), 0.5)
    assert ask("msys.audit_series.count('words', 'a')") == "0"
    redis.signal(signal.SIGSTOP)
    begun = time.monotonic()
    for _ in range(100):
        assert ask("msys.audit_series.count('words', 'a')") == "0"
    assert time.monotonic() - begun < 30
    redis.signal(signal.SIGCONT)
    assert not running.errors


def test_a_lock_that_can_t_be_had_for_sure_is_an_error(
    start: Callable[..., tuple[Policy, Callable[[str], str]]], redis: RedisServer
) -> None:
    _, ask = start(rules(LOCKS), 0.5)
    redis.kill()
    assert "Redis at 127.0.0.1" in ask("msys.lock('x')")
    redis.start()


def test_sessions_are_open_until_they_are_closed(
    start: Callable[..., tuple[Policy, Callable[[str], str]]], tmp_path: Path
) -> None:
    running, ask = start(rules(SESSIONS))
    with running.conversation(Connect("c.example", "inet", "192.0.2.1", 4000)) as other:
        other.handle(Mail("<a@example.org>"))
        other.handle(Rcpt("<b@example.com>"))
        assert ask("msys.audit.inbound_session_count('/32', 'SMTP')") == "2"
    assert ask("msys.audit.inbound_session_count('/32', 'SMTP')") == "1"


def test_what_is_defined_as_shared_without_a_server_is_the_machine_s(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with policy(tmp_path, POLICY) as running, running.conversation() as session:
        session.handle(Helo("msys.audit_series.add('words', 'a'), msys.audit_series.count('words', 'a')"))
        assert running.printed == ["nil\t1"]
    assert 'the series "words" is of this machine alone' in caplog.text
    assert running.engine.setup.services.state.windows.defined["words"].series == Series("words", "string", 3600, 3)
