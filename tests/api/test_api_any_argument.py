"""Every function with every kind of argument: a result or an error at the script's line, never a fault of ours."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import lumilter.api  # noqa: F401  (fills the registry)
from lumilter.registry import CLASSES, FUNCTIONS, WRITERS, Function
from support.policy import policy

WAITS = {"msys.sleep", "vctx:tarpit"}
"""They would do as they are told, for years."""

OBJECTS = """
local function values(msg, ac, vctx)
  local cycle, deep, text = {}, {}, msys.core.string_new()
  cycle[1], deep = cycle, {{{{{"x"}}}}}
  text:set("\\0\\255")
  return {
    true, false, 0, 1, -1, 2, 7, 0.5, 1e300, -1e300, 1/0, 0/0, "", " ", "a", "5", "0x10",
    "550 5.7.1 no", "\\0\\255\\r\\n", "a@b", "<>", "(", "%{s}", string.rep("x", 3000),
    {}, {1}, {"a@b", "c@d"}, {{}}, {[0] = "x", y = print}, {[{}] = 1, [text] = 2, [print] = 3, [msg] = 4}, cycle, deep,
    print, coroutine.create(print), io.stdout, msg, ac, vctx, text, ac.remote_addr,
    msg:mime(true), msys.core.ec_message_new(),
  }
end
"""

CALLS = """
local function call(f, ...)
  local ok, message = pcall(function(...) local result = f(...) return result end, ...)
  calls = calls + 1
  if not ok and (message:find("internal error", 1, true) or not message:match("^policy.lua:%d+: ")) then
    print(NAME, message)
  end
end
local function every(f, target, list)
  local function go(...)
    if target then call(f, target, ...) else call(f, ...) end
  end
  go() go(nil) go(nil, nil, nil, nil)
  for _, a in ipairs(list) do
    go(a) go(a, a) go(a, a, a) go(nil, a) go("a", a) go(1, a) go(1, "a", a)
    go("a", "a", a) go("a", "A", a) go(a, "a", "a", "a")
  end
end
"""


def expression(function: Function) -> tuple[str, str]:
    """Lua for the function, and for the object it is called on."""
    if function.kind == "function":
        return function.name, "nil"
    objects = {
        "ec_message": "msg",
        "validate_context": "vctx",
        "accept_construct": "ac",
        "ec_string": "text",
        "ec_message_part": "part",
        "io_object": "out",
        "http_client": "client",
        "timer": "timer",
        "thread.mutex": "lock",
        "xmldoc": "doc",
        "curl_handle": "c",
        "xmlnode": "node",
    }
    target = objects[function.owner]
    return f"{target}.{function.member}", target


CALLED = [function for function in FUNCTIONS.values() if function.kind != "field" and function.name not in WAITS]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """msys.log writes bytes that pytest-xdist can't report."""
    monkeypatch.setattr(logging.getLogger("lumilter.script"), "disabled", True)


@pytest.mark.parametrize("function", CALLED, ids=lambda function: function.name)
def test_calls(tmp_path: Path, function: Function) -> None:
    name, target = expression(function)
    text = f"""calls = 0 NAME = "{function.name}" {OBJECTS} {CALLS}
function mod:validate_data(msg, ac, vctx)
  local text, part = msys.core.string_new(), msg:mime(false)
  local out = msys.core.ec_message_builder(msys.core.ec_message_new())
  local client, doc = msys.http.client.new(), xml.parsexml("<a>x<b c='d'>y</b></a>")
  local node, c = doc:root():addchild("z"), curl.new()
  local timer, lock = msys.timer.after(3600, print), thread.mutex()
  every({name}, {target}, values(msg, ac, vctx))
  print(calls)
  vctx:set_code(250, nil) vctx.disconnect = 0
end"""
    with policy(tmp_path, text) as running:
        running.send()
        assert not running.errors
    lines = [line for line in running.printed if line]  # empty ones are of `print` as a closure
    assert [line for line in lines if not line.isdigit()] == []
    assert int(lines[-1]) > 300


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_assignments(tmp_path: Path, name: str) -> None:
    target, _, member = name.rpartition(".")
    target = "text" if target == "ec_string" else target
    text = f"""calls = 0 NAME = "{name}" {OBJECTS} {CALLS}
function mod:validate_data(msg, ac, vctx)
  local text = msys.core.string_new()
  for _, value in ipairs(values(msg, ac, vctx)) do call(function() {target}.{member} = value end) end
  vctx:set_code(250, nil) vctx.disconnect = 0
end"""
    with policy(tmp_path, text) as running:
        running.send()
        assert not running.errors
        assert running.printed == []


def test_indexing_with_anything(tmp_path: Path) -> None:
    assert CLASSES
    text = f"""calls = 0 NAME = "index" {OBJECTS} {CALLS}
function mod:validate_data(msg, ac, vctx)
  local mc = msys.core.accept_construct_get_message_construct(ac)
  for _, object in ipairs({{msg, ac, vctx, mc, msys.core.string_new(), ac.remote_addr}}) do
    for _, key in ipairs(values(msg, ac, vctx)) do
      call(function() local x = object[key] end)
      call(function() object[key] = 1 end)
    end
    call(function() local x = #object .. object end)
    call(function() local x = -object end)
    call(function() local x = object < object end)
    call(function() local x = object() end)
  end
end"""
    with policy(tmp_path, text) as running:
        running.send()
        assert not running.errors
        assert running.printed == []
