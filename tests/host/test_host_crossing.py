"""host.crossing: tables and functions as arguments, however many, leave nothing in the Lua state."""

from __future__ import annotations

from pathlib import Path

from support.policy import Policy, policy

TEXT = """
function mod:validate_ehlo()
  local value = { 1, { "a", b = { c = true } }, print, json.new(), coroutine.create(print) }
  value[6] = value
  for i = 1, 3000 do
    pcall(json.encode, value)
    pcall(json.encode, print)
    json.encode({ i, { i } })
  end
end
function mod:validate_mailfrom()
  local many = {}
  for i = 1, 60 do many[i] = i end
  assert(pcall(string.format, "x", unpack(many)))
  -- One key in each table: LuaJIT's order of several differs from state to state.
  assert(tostring(json.encode({ 1, { b = { c = true } } })) == '[ 1, { "b": { "c": true } } ]')
  many[60] = {}
  print(pcall(function() json.encode(unpack(many)) end))
end
"""


def memory(running: Policy) -> int:
    running.engine.call(lambda answer: answer(running.engine.host.collect()))
    return running.engine.host.state.memory_used


def test_nothing_is_left(tmp_path: Path) -> None:
    with policy(tmp_path, TEXT) as running:
        running.send()
        before = memory(running)
        for _ in range(5):
            running.send()
        assert not running.errors
        assert memory(running) - before < 50_000
        assert running.printed[0].endswith("behind the fiftieth can only be strings, numbers, booleans and nil")
