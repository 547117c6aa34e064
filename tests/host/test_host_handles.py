"""Objects in Lua are what they are in Python, for any number of sessions, however often Lua collects garbage."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

from lumilter.host.handles import Handles
from support.policy import Policy, policy

POLICY = """
local function look(ac, vctx, msg)
  assert(msys.type(vctx) == "validate_context", msys.type(vctx))
  assert(msys.type(ac) == "accept_construct", msys.type(ac))
  local id = ac.conn_id
  local seen = vctx:get(msys.core.VCTX_CONN, "id")
  assert(seen == "" or seen == id, "another session's context")
  vctx:set(msys.core.VCTX_CONN, "id", id)
  assert(ac == ac and tostring(ac.remote_addr) == "192.0.2.1:40000")
  if msg then
    assert(msys.type(msg) == "ec_message", msys.type(msg))
    assert(msg.conn_id == id, "another session's message")
    assert(msys.core.accept_construct_get_message_construct(ac).message == msg)
  end
  collectgarbage("step", 50)
end
function mod:validate_connect(ac, vctx) look(ac, vctx) end
function mod:validate_ehlo(str, ac, vctx) look(ac, vctx) self.greeting = str end
function mod:validate_mailfrom(str, ac, vctx) look(ac, vctx) assert(tostring(self.greeting) == "client.example") end
function mod:validate_rcptto(msg, str, ac, vctx) look(ac, vctx, msg) assert(#str == 15) end
function mod:validate_data(msg, ac, vctx) look(ac, vctx, msg) msg:header("X-A", tostring(self.greeting)) end
function mod:validate_data_spool_each_rcpt(msg, ac, vctx) look(ac, vctx, msg) end
"""


def send_many(running: Policy, messages: int) -> None:
    for _ in range(messages):
        running.send()


def test_sessions_in_parallel_keep_their_own_objects(tmp_path: Path) -> None:
    with policy(tmp_path, POLICY) as running:
        clients = [threading.Thread(target=send_many, args=(running, 120)) for _ in range(6)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert running.errors == []
        assert len(running.runs) == 6 * 120 * 6


def test_nothing_is_kept_of_sessions_that_ended(tmp_path: Path) -> None:
    with policy(tmp_path, POLICY.replace('collectgarbage("step", 50)', "")) as running:
        send_many(running, 50)
        collect = running.engine.host.state.runtime.eval("function() collectgarbage() collectgarbage() end")
        running.engine.call(lambda answer: answer(collect()))
        send_many(running, 1)
        assert len(running.engine.host.bridge.handles) < 20
        gc.collect()
        before = len(gc.get_objects())
        send_many(running, 200)
        running.engine.call(lambda answer: answer(collect()))
        send_many(running, 1)
        running.runs.clear()
        gc.collect()
        assert len(gc.get_objects()) - before < 500


def test_numbers() -> None:
    handles, first, second = Handles(), object(), object()
    number = handles.number(first)
    assert handles.number(first) == number != handles.number(second)
    assert handles.object(number) is first
    handles.release(number)
    handles.release(number)
    assert handles.object(number) is None
    assert handles.object(None) is None
    assert handles.number(first) != number
    assert len(handles) == 2
