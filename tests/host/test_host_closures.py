"""host.closures, host.pools, host.timers: what is kept, what is bounded, and what an error comes to."""

from __future__ import annotations

import gc
import logging
import threading
from pathlib import Path

import pytest

from lumilter.daemon.metrics import resident
from lumilter.host.pools import PoolSettings
from lumilter.host.tasks import Limits
from lumilter.session.events import Action, Helo
from support.patience import until
from support.policy import policy

WATCH = """
watched = setmetatable({}, {__mode = "k"})
local function watch(f) watched[f] = true return f end
local function left()
  for _ = 1, 3 do collectgarbage("collect") msys.sleep(0.001) end
  local count = 0
  for _ in pairs(watched) do count = count + 1 end
  return count
end
"""


def test_functions_are_forgotten_when_they_have_run_or_their_timer_is_gone(tmp_path: Path) -> None:
    text = f"""{WATCH}
function mod:validate_ehlo()
  for i = 1, 500 do
    msys.runInPool("IO", watch(function() return {{}} end))
    msys.runInPool("IO", watch(function() end), watch(function() end))
    msys.runInPool("IO", watch(function() error("expected") end), true)
    local timer
    timer = msys.timer.after(3600, watch(function() timer:stop() end))
    pcall(msys.timer.after, "x", watch(function() end))
    pcall(msys.runInPool, "nope", watch(function() end))
    if i % 100 == 0 then msys.sleep(0.05) end
  end
  print(left())
end"""
    logging.getLogger("lumilter.script").disabled = True
    try:
        with policy(tmp_path, text) as running, running.conversation() as conversation:
            conversation.handle(Helo("client.example"))
            assert running.printed == ["0"]
            assert not running.errors
    finally:
        logging.getLogger("lumilter.script").disabled = False


def test_an_error_that_nobody_waits_for_is_logged_with_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = """function mod:validate_ehlo()
  msys.runInPool("IO", function()
    local x = nil; x.y = 1 end, function() print("never completed") end)
  t = msys.timer.after(0.001, function()
    error("in a timer") end, "cleanup")
  msys.sleep(0.1)
end"""
    with policy(tmp_path, text) as running:
        running.send()
        assert not running.errors
        assert running.printed == []
    said = [record.getMessage() for record in caplog.records if record.name == "lumilter.script"]
    assert "closure in pool IO: policy.lua:3: attempt to index local 'x' (a nil value)" in said
    assert "timer cleanup: policy.lua:5: in a timer" in said


def test_limits_are_those_of_pool_and_timer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = """function mod:validate_ehlo()
  print(msys.runInPool("short", function() msys.sleep(30) end))
  print(msys.runInPool("short", function() while true do end end))
  t = msys.timer.after(0.001, function()
    msys.sleep(30) end, "cleanup")
  msys.sleep(0.4)
end"""
    pools = (PoolSettings("short", 1, 1, 0.1),)
    with policy(tmp_path, text, pools=pools, timer_limits=Limits(20_000_000, 0.1)) as running:
        running.send()
    assert running.printed[0].endswith("the hook passed its deadline (0.1 s) while it waited")
    assert running.printed[1].startswith("false\t")
    assert "timer cleanup: policy.lua:5: the hook passed its deadline (0.1 s) while it waited" in caplog.text


def test_a_full_queue_makes_the_script_wait(tmp_path: Path) -> None:
    text = """function mod:validate_ehlo()
  local begun, waited = 0, false
  for i = 1, 6 do
    msys.runInPool("narrow", function() begun = begun + 1 msys.sleep(0.02) end, true)
    local stat = msys.threadpool.stat("narrow")
    assert(stat.job_num_running <= 1 and stat.job_num_queued <= 2)
    waited = waited or begun > 0
  end
  print(waited)
  msys.sleep(0.3)
  print(begun)
end"""
    with policy(tmp_path, text, pools=(PoolSettings("narrow", 1, 2),)) as running:
        running.send()
    assert not running.errors
    assert running.printed == ["true", "6"]


def test_who_waits_for_a_closure_or_a_lock_is_given_up_at_its_own_deadline(tmp_path: Path) -> None:
    text = """
local lock = thread.mutex()
function mod:validate_ehlo(what)
  if tostring(what) == "pool" then
    msys.runInPool("IO", function() msys.sleep(30) end)
  else
    msys.runInPool("IO", function() lock:lock() msys.sleep(0.5) lock:unlock() end, true)
    msys.sleep(0.01)
    lock:lock()
  end
end
function mod:validate_connect()
  print(lock:trylock() == true and lock:unlock()) -- who was given up does not have it
end"""
    with policy(tmp_path, text, limits=Limits(20_000_000, 0.3)) as running:
        for helo in ("pool", "lock"):
            assert running.send(helo=helo)[0].action is Action.TEMPFAIL
        assert [(error.limit, error.line) for error in running.errors] == [("deadline", 5), ("deadline", 9)]

        def is_free() -> bool:
            with running.conversation():
                return running.printed[-1] == "true"

        assert running.printed[-1] == "true"
        until(is_free, 10)


def test_ten_thousand_leave_nothing(tmp_path: Path) -> None:
    text = """
local lock = thread.mutex()
function mod:validate_ehlo()
  for i = 1, 1000 do
    msys.runInPool("IO", function() lock:lock() local text = string.rep("x", 1000) lock:unlock() return text end)
    msys.runInPool("IO", function() error("expected") end)
    local timer = msys.timer.after(3600, function() return lock end)
    timer:stop()
    if i % 5 == 0 then msys.runInPool("CPU", function() lock:lock() lock:unlock() end, function() end) end
  end
  collectgarbage("collect")
end"""
    with policy(tmp_path, text, limits=Limits(1_000_000_000, 60.0)) as running, running.conversation() as conversation:

        def held() -> tuple[int, int, int]:
            conversation.handle(Helo("client.example"))
            host = running.engine.host
            running.engine.call(lambda answer: answer(gc.collect()))
            return host.state.memory_used, len(host.bridge.handles), resident()

        for _ in range(2):
            before = held()
        for _ in range(10):
            after = held()
        assert not running.errors
        assert after[0] < before[0] + 500_000
        assert after[1] <= before[1] + 10
        assert after[2] < before[2] + 8_000_000


def test_a_message_can_be_read_as_long_as_a_closure_runs(tmp_path: Path) -> None:
    text = """
function mod:validate_data(msg)
  msys.runInPool("IO", function()
    msys.sleep(0.2)
    print(msg:header("Subject")[1], #msg:body())
  end, function() msys.sleep(0.1) print(msg:header("Subject")[1]) end)
end"""
    with policy(tmp_path, text) as running:
        running.send()
        assert running.printed == []
        until(lambda: len(running.printed) == 2, 10)
        assert running.printed == ["Hello\t6", "Hello"]


def test_a_closure_or_timer_that_waits_holds_up_no_session(tmp_path: Path) -> None:
    text = """
local lock = thread.mutex()
function mod:validate_ehlo(what)
  if tostring(what) == "slow" then
    t = msys.timer.after(0, function() lock:lock() msys.sleep(3) lock:unlock() end)
    print(msys.runInPool("IO", function() msys.sleep(3) return "slept" end))
  end
end"""
    with policy(tmp_path, text) as running, running.conversation() as slow:
        waiting = threading.Thread(target=slow.handle, args=(Helo("slow"),))
        waiting.start()
        until(lambda: running.engine.host.pools.busy, 10)
        for _ in range(20):
            assert running.send(helo="fast")[-1].action is Action.CONTINUE
        assert waiting.is_alive()
        waiting.join()
        assert running.printed == ["true\tslept"]


def test_who_is_given_up_takes_no_place_in_the_queue(tmp_path: Path) -> None:
    text = """
function mod:validate_ehlo(what)
  what = tostring(what)
  if what == "fill" then
    msys.runInPool("narrow", function() msys.sleep(60) end, true)
    msys.sleep(0.01) -- it has begun
  elseif what == "wait" then
    msys.runInPool("narrow", function() end)
  else
    msys.runInPool("narrow", function() end, true) -- it has room in the queue: this waits for nothing
    print(msys.threadpool.stat("narrow").job_num_queued)
  end
end"""
    pools = (PoolSettings("narrow", 1, 1, 3.0),)
    with policy(tmp_path, text, limits=Limits(20_000_000, 0.3), pools=pools) as running:
        for helo in ("fill", "wait", "again"):
            running.send(helo=helo)
        assert [(error.limit, error.line) for error in running.errors] == [("deadline", 8)]
        assert running.printed == ["1"]
