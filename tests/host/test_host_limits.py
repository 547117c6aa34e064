"""A script that loops, hoards or waits too long is stopped; the session at fault is tempfailed, nobody else notices."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from lumilter.errors import LimitError
from lumilter.host.tasks import Limits
from lumilter.session.events import Action, Helo
from support.policy import policy

LOOPS = {
    "plain": "while true do end",
    "pcall": "while true do pcall(function() while true do end end) end",
    "coroutine": "while true do coroutine.wrap(function() while true do end end)() end",
    "pcall in coroutine": (
        "local co = coroutine.wrap(function() while true do pcall(error) end end) while true do co() end"
    ),
    "recursion": "local function f() return f() end f()",
    "metamethod": "local t = setmetatable({}, {__index = function(t, k) while true do end end}) local x = t.x",
    "pattern that tries everything": "local x = ('a'):rep(50000):find('.-.-.-.-x')",
    "pattern over a long subject": "local x = string.gsub(('a'):rep(1000000), 'a.-b', '')",
    "iterator of a pattern": "for word in ('a'):rep(1000000):gmatch('a-b') do end",
    "choices of a pattern": "local x = ('a'):rep(60):find(('a?'):rep(60) .. ('a'):rep(60) .. 'b')",
    "comparator": "table.sort({1, 2, 3, 4}, function(a, b) while true do end end)",
    "long sorts": "local t = {} for i = 1, 100000 do t[i] = i end while true do table.sort(t) end",
    "callback of gsub": "local x = ('x'):rep(1000):gsub('.', function() while true do end end)",
    "message handler": "xpcall(function() error('x') end, function() while true do end end)",
    "message handler of a loop": "xpcall(function() while true do end end, function() while true do end end)",
    "message handlers that fail": "while true do xpcall(error, function(e) error(e) end) end",
    "tostring": "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    "collector": "while true do collectgarbage() end",
    "long strings": "while true do local s = ('x'):rep(10000000) end",
    "loader": "while true do loadstring('return 1') end",
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_a_loop_is_stopped(tmp_path: Path, loop: str) -> None:
    text = f"""function mod:validate_ehlo(str)
  if tostring(str) == "loop" then {loop} end
end"""
    with policy(tmp_path, text, limits=Limits(2_000_000, 10.0)) as running, running.conversation() as session:
        outcome = session.handle(Helo("loop"))
        assert (outcome.action, outcome.reply.code) == (Action.TEMPFAIL, 451)
        (error,) = running.errors
        assert isinstance(error, LimitError)
        assert (error.script, error.line) == ("policy.lua", 2)
        assert "instruction budget" in error.message
        assert session.handle(Helo("fine")).action is Action.CONTINUE


def test_there_is_no_finalizer_that_could_loop(tmp_path: Path) -> None:
    text = "function mod:validate_ehlo() getmetatable(newproxy(true)).__gc = function() while true do end end end"
    with policy(tmp_path, text) as running, running.conversation() as session:
        assert session.handle(Helo("x")).action is Action.TEMPFAIL
        assert "newproxy is switched off" in running.errors[0].message


def test_wall_clock(tmp_path: Path) -> None:
    text = "function mod:validate_ehlo() while true do string.rep('x', 100000):find('y', 1, true) end end"
    with policy(tmp_path, text, limits=Limits(2**50, 0.3)) as running, running.conversation() as session:
        assert session.handle(Helo("x")).action is Action.TEMPFAIL
        assert "deadline" in running.errors[0].message


def test_a_wait_that_passes_the_deadline(tmp_path: Path) -> None:
    text = "function mod:validate_ehlo()\n  msys.sleep(3600)\nend"
    with policy(tmp_path, text, limits=Limits(10**6, 0.3)) as running, running.conversation() as session:
        assert session.handle(Helo("x")).action is Action.TEMPFAIL
        (error,) = running.errors
        assert isinstance(error, LimitError)
        assert (error.script, error.line) == ("policy.lua", 2)


@pytest.mark.parametrize(
    "hoard",
    [
        "local t = {} while true do t[#t + 1] = string.rep('x', 100000) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local t = {} while true do pcall(function() t[#t + 1] = string.rep('x', 100000) .. #t end) end",
    ],
)
def test_memory(tmp_path: Path, hoard: str) -> None:
    text = f"function mod:validate_ehlo(str) if tostring(str) == 'hoard' then {hoard} end end"
    with policy(tmp_path, text, max_memory=32 << 20) as running, running.conversation() as session:
        for _ in range(3):
            assert session.handle(Helo("hoard")).action is Action.TEMPFAIL
            assert session.handle(Helo("fine")).action is Action.CONTINUE
        assert all(isinstance(error, LimitError) and "memory" in error.message for error in running.errors)


def test_a_body_larger_than_the_memory_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    text = "function mod:validate_data(msg) local s = msys.core.string_new() s.buffer = string.rep('x', 30000000) end"
    with policy(tmp_path, text, max_memory=16 << 20) as running:
        assert running.send()[-1].action is Action.TEMPFAIL
        assert running.send(helo="again")[-1].action is Action.TEMPFAIL


def test_a_slow_session_delays_no_other(tmp_path: Path) -> None:
    text = "function mod:validate_ehlo(str) if tostring(str) == 'slow' then msys.sleep(1) end end"
    with policy(tmp_path, text) as running, running.conversation() as slow, running.conversation() as quick:
        waiting = threading.Thread(target=slow.handle, args=(Helo("slow"),))
        waiting.start()
        begun = time.monotonic()
        for _ in range(20):
            assert quick.handle(Helo("quick")).action is Action.CONTINUE
        still_waiting = waiting.is_alive()
        waiting.join()
        assert still_waiting, f"20 quick commands took {time.monotonic() - begun:.2f} s beside a sleep of 1 s"
