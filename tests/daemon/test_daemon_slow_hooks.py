"""daemon.slow: hooks that take too long are logged with their place and what they waited for; a real engine and Lua."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from lumilter.host.tasks import Limits
from lumilter.session.events import Close
from lumilter.session.verdict import Options
from support.watched import ENVELOPE, MESSAGE, watched

BUSY = "local until_ = os.clock() + 0.1 while os.clock() < until_ do end"


def slow(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record for record in caplog.records if record.getMessage().startswith("slow hook: ")]
    assert all((record.name, record.levelno) == ("lumilter.script", logging.WARNING) for record in lines)
    return [record.getMessage().removeprefix("slow hook: ") for record in lines]


def test_a_hook_that_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = """
      local function one() end
      function mod:validate_ehlo() one() end
      function mod:validate_rcptto(msg, str, ac, vctx)
        msys.sleep(0.06)
        msys.sleep(0.06)
      end"""
    with watched(tmp_path, text, slow_hook=0.1) as seen:
        seen.session(*ENVELOPE)
        (line,) = slow(caplog)
        assert re.fullmatch(r"policy\.lua:4 validate_rcptto took 0\.\d{3} s \(waited 0\.\d{3} s for sleep\)", line)
        (record,) = (r for r in caplog.records if "slow hook" in r.getMessage())
        fields = record.__dict__["fields"]
        assert (fields["module"], fields["client"], fields["queue_id"]) == ("policy", "192.0.2.1", "")
        assert fields["conn_id"]
        assert seen.figure("slow_hooks") == {("policy",): 1}


def test_the_queue_id_is_there_when_the_mta_has_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with watched(tmp_path, "function mod:validate_data(msg) msys.sleep(0.06) end", slow_hook=0.05) as seen:
        seen.session(*MESSAGE)
    (record,) = (r for r in caplog.records if "slow hook" in r.getMessage())
    assert record.__dict__["fields"]["queue_id"] == "QUEUE"


def test_a_hook_that_computes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with watched(tmp_path, f"function mod:validate_ehlo() {BUSY} end", slow_hook=0.05) as seen:
        seen.session(*ENVELOPE)
    (line,) = slow(caplog)
    assert re.fullmatch(r"policy\.lua:1 validate_ehlo took 0\.\d{3} s", line)


def test_a_hook_that_looks_something_up_in_a_comparator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where it can't yield it waits all the same."""
    text = """function mod:validate_ehlo()
        table.sort({2, 1}, function(a, b) msys.sleep(0.06) return a < b end)
      end"""
    with watched(tmp_path, text, slow_hook=0.05) as seen:
        seen.session(*ENVELOPE)
    (line,) = slow(caplog)
    assert "(waited 0." in line


@pytest.mark.parametrize("text", ["msys.sleep(3600)", BUSY + " error('oops')"], ids=["deadline", "error"])
def test_a_hook_that_fails_slowly(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    with watched(
        tmp_path, f"function mod:validate_ehlo() {text} end", slow_hook=0.05, limits=Limits(2**50, 0.2)
    ) as seen:
        seen.tracer.watch(["192.0.2.1"])
        seen.session(*ENVELOPE)
        assert sum(run["ms"] for record in seen.records for run in record["hooks"]) > 50
    assert len(slow(caplog)) == 1


@pytest.mark.parametrize("threshold", [0.0, 5.0])
def test_others_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture, threshold: float) -> None:
    with watched(tmp_path, "function mod:validate_ehlo() msys.sleep(0.06) end", slow_hook=threshold) as seen:
        seen.session(*ENVELOPE)
        assert "slow_hooks" not in seen.snapshot()
    assert slow(caplog) == []


def test_pauses_between_two_calls_are_not_the_hook_s(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = """local calls = 0
      function mod:validate_ehlo()
        calls = calls + 1
        if calls < 3 then return msys.core.VALIDATE_AGAIN end
      end"""
    with watched(tmp_path, text, slow_hook=0.05, options=Options(again_interval=0.06)) as seen:
        seen.session(*ENVELOPE)
        assert seen.figure("hook_seconds") == {("policy", "validate_ehlo"): 3}
    assert slow(caplog) == []


def test_several_modules_and_names_for_one_function(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = "local function wait() msys.sleep(0.06) end\nmod.validate_ehlo = wait\nmod.validate_mailfrom = wait"
    second = "\n\nfunction mod:validate_ehlo() msys.sleep(0.06) end"
    with watched(tmp_path, first, second, slow_hook=0.05) as seen:
        seen.session(*ENVELOPE)
    assert [line.split(" took")[0] for line in slow(caplog)] == [
        "policy.lua:1 validate_ehlo", "policy2.lua:3 validate_ehlo", "policy.lua:1 validate_mailfrom",
    ]  # fmt: skip


def test_a_module_that_is_registered_while_a_hook_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = """
      function mod:validate_connect()
        local late = {}
        function late:validate_ehlo() msys.sleep(0.06) end
        msys.registerModule("late", late)
      end"""
    with watched(tmp_path, text, slow_hook=0.05) as seen:
        seen.session(*ENVELOPE)
    assert [line.split(" took")[0] for line in slow(caplog)] == ["policy.lua:4 validate_ehlo"]


def test_a_hook_at_the_end_of_a_session(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "function mod:validate_ehlo() end function mod:validate_dealloc() msys.sleep(0.06) end"
    with watched(tmp_path, text, slow_hook=0.05) as seen:
        conversation = seen.engine.open()
        for event in (*ENVELOPE[:2], Close()):
            conversation.handle(event)
    assert [line.split(" took")[0] for line in slow(caplog)] == ["policy.lua:1 validate_dealloc"]
