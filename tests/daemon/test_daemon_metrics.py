"""daemon.metrics: what a worker counts, with a real engine and real Lua."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lumilter.daemon import observers
from lumilter.host.closures import Purpose
from lumilter.host.tasks import Limits
from lumilter.session.events import CONTINUE, Abort, Close, Event, Helo, Outcome
from lumilter.session.session import Session
from lumilter.session.verdict import Options
from support.drive import Drive
from support.patience import until
from support.watched import ENVELOPE, MESSAGE, watched

REFUSE = 'vctx:set_code(550, "5.7.1 no")'


def test_sessions_and_messages(tmp_path: Path) -> None:
    with watched(tmp_path, "function mod:validate_ehlo() end") as seen:
        seen.session(*MESSAGE)
        seen.session(*MESSAGE, Abort(), *MESSAGE[2:])
        conversation = seen.engine.open()
        conversation.handle(MESSAGE[0])
        assert (seen.figure("sessions"), seen.figure("sessions_open")) == ({(): 3}, {(): 1})
        conversation.handle(Close())
        assert seen.figure("sessions_open") == {(): 0}
        assert seen.figure("messages") == {(): 3}
        assert seen.figure("verdicts") == {("accept", "message", ""): 3}
        assert "replies" not in seen.snapshot()


def test_the_module_that_decided_is_counted(tmp_path: Path) -> None:
    first = f"function mod:validate_mailfrom(str, ac, vctx) if tostring(str):find('^bad') then {REFUSE} end end"
    second = """
        function mod:validate_rcptto(msg, str, ac, vctx) vctx:set_code(451, "later") end
        function mod:validate_ehlo(str, ac, vctx) if tostring(str) == "gone" then vctx:disconnect() end end
    """
    with watched(tmp_path, first, second) as seen:
        seen.session(*ENVELOPE)
        seen.session(*ENVELOPE[:2], type(ENVELOPE[2])("<bad@example.org>"))
        conversation = seen.engine.open()
        for event in (ENVELOPE[0], Helo("gone"), *ENVELOPE[2:], Close()):
            conversation.handle(event)
        assert seen.figure("verdicts") == {
            ("tempfail", "rcptto", "policy2"): 1,
            ("reject", "mailfrom", "policy"): 1,
            ("tempfail", "ehlo", "policy2"): 1,
            ("tempfail", "mailfrom", ""): 1,  # 421, because the connection was ended earlier
            ("tempfail", "rcptto", ""): 1,
        }
        assert seen.figure("replies") == {("4xx",): 4, ("5xx",): 1}


def test_discarded_messages(tmp_path: Path) -> None:
    with watched(tmp_path, "function mod:validate_data(msg) msg:discard('spam') end") as seen:
        seen.session(*MESSAGE)
        assert seen.figure("verdicts") == {("discard", "data", "policy"): 1}


def test_hooks_waits_and_errors(tmp_path: Path) -> None:
    text = """
        function mod:validate_ehlo(str)
          for _, name in ipairs({"here.example", "gone.example", "slow.example", "odd.example"}) do
            msys.dnsLookup(name, "A")
          end
          msys.sleep(0.001)
          error("oops")
        end"""
    names = {"here.example": {"A": ["192.0.2.1"]}, "gone.example": "NXDOMAIN", "slow.example": "TIMEOUT"}
    with watched(tmp_path, text, "function mod:validate_connect() end", names=names) as seen:
        seen.session(*ENVELOPE)
        assert seen.figure("hook_seconds") == {("policy2", "validate_connect"): 1, ("policy", "validate_ehlo"): 1}
        waits = seen.figure("wait_seconds")
        assert waits.pop(("dns", "ok")) == 1
        assert waits.pop(("dns", "timeout")) == 1
        assert waits.pop(("dns", "nxdomain")) >= 1
        assert seen.figure("script_errors") == {("policy",): 1}
        assert seen.figure("limits_hit")["lookup_timeout",] == 1


def test_closures(tmp_path: Path) -> None:
    """Failed ones too; the name of what ran them is in the log's line as well."""
    text = """
        require("msys.timer")
        require("msys.threadpool")
        function mod:validate_ehlo()
          kept = {
            msys.timer.after(0.001, function() msys.sleep(0.002) end, "tidy"),
            msys.timer.after(0.001, function() error("oops") end),
          }
          msys.runInPool("io", function() end)
          msys.runInPool("CPU", function() end, function() end)
        end"""
    expected = {
        ("timer", "tidy", "policy"): 1,
        ("timer", "", "policy"): 1,
        ("pool", "IO", "policy"): 1,
        ("pool", "CPU", "policy"): 1,
        ("completion", "CPU", "policy"): 1,
    }
    with watched(tmp_path, text) as seen:
        seen.session(*ENVELOPE)
        until(lambda: seen.figure("closure_seconds") == expected)
        assert seen.figure("script_errors") == {("policy",): 1}


@pytest.mark.parametrize(
    ("purpose", "text"),
    [
        (Purpose("timer", "tidy"), "timer tidy"),
        (Purpose("timer", ""), "a timer"),
        (Purpose("timer", "{x}"), "timer {x}"),
        (Purpose("pool", "IO"), "closure in pool IO"),
        (Purpose("completion", "IO"), "completion of a closure in pool IO"),
        (Purpose("command", "my own"), "command my own"),
    ],
)
def test_what_the_log_calls_a_closure(purpose: Purpose, text: str) -> None:
    assert str(purpose) == text


LIMITED = {
    "instructions": "function mod:validate_ehlo() while true do end end",
    "deadline": "function mod:validate_ehlo() msys.sleep(3600) end",
    "memory": "function mod:validate_ehlo() local t = {} while true do t[#t + 1] = string.rep('x', 1e5) .. #t end end",
    "again": "function mod:validate_ehlo() return msys.core.VALIDATE_AGAIN end",
}


@pytest.mark.parametrize("limit", LIMITED)
def test_limits_that_stop_scripts(tmp_path: Path, limit: str) -> None:
    options = Options(again_interval=0.01, again_limit=0.02)
    limits = Limits(2**50 if limit != "instructions" else 2_000_000, 0.3 if limit == "deadline" else 60.0)
    with watched(tmp_path, LIMITED[limit], limits=limits, options=options, max_memory=32 << 20) as seen:
        seen.session(*ENVELOPE)
        hit = {name: count for (name,), count in seen.figure("limits_hit").items() if count}
        assert hit == {limit: 1}
        assert seen.figure("script_errors") == {("policy",): 1}
        assert seen.figure("verdicts") == {("tempfail", "ehlo", "policy"): 1}


def test_a_wall_clock_deadline_is_one_too(tmp_path: Path) -> None:
    text = "function mod:validate_ehlo() while true do string.rep('x', 100000):find('y', 1, true) end end"
    with watched(tmp_path, text, limits=Limits(2**50, 0.3)) as seen:
        seen.session(*ENVELOPE)
        assert seen.figure("limits_hit")["deadline",] == 1


def test_limits_of_the_wire(tmp_path: Path) -> None:
    with watched(tmp_path, "function mod:validate_ehlo() end") as seen:
        for limit in ("sessions", "message_size", "spool"):
            seen.meter.limit(limit)
        seen.meter.delay(0.002)
        assert {name for (name,), count in seen.figure("limits_hit").items() if count} == {
            "sessions", "message_size", "spool",
        }  # fmt: skip
        assert seen.figure("loop_delay_seconds") == {(): 1}


def test_gauges_while_lookups_run(tmp_path: Path) -> None:
    gate = threading.Event()

    class Gated:
        def lookup(self, name: str, rtype: str = "A", *, server: str | None = None, deadline: float) -> list[object]:
            gate.wait(20)
            return [(None, "192.0.2.1")]

    text = "function mod:validate_ehlo() msys.dnsLookup('a.example') end"
    with watched(tmp_path, text) as seen:
        object.__setattr__(seen.engine.setup.services, "resolver", Gated())
        threads = [threading.Thread(target=seen.session, args=ENVELOPE) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: seen.figure("tasks_waiting")[()] == 3, 20)
        assert seen.figure("pool_threads_busy")[()] == 3
        assert seen.figure("pool_queue")[()] == 0
        gate.set()
        for thread in threads:
            thread.join(20)
        until(lambda: seen.figure("pool_threads_busy")[()] == 0, 20)
        assert seen.figure("tasks_waiting")[()] == 0
        assert seen.figure("wait_seconds") == {("dns", "ok"): 3}
        for name in ("lua_memory_bytes", "resident_memory_bytes"):
            assert seen.figure(name)[()] > 10_000


def test_a_watcher_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    called = []

    def broken(session: Session, event: Event, outcome: Outcome) -> None:
        raise ValueError("broken")

    drive = Drive()
    drive.session.trace.errors.append(object())  # type: ignore[arg-type]
    observe = observers.in_order(broken, lambda session, event, outcome: called.append(len(session.trace.errors)))
    observe(drive.session, Helo("x"), CONTINUE)
    assert called == [1]  # before the log, which empties the trace
    assert drive.session.trace.errors == []
    assert "could not be observed" in caplog.text
