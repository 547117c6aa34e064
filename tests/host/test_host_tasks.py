"""host.tasks: where an error stood, and what becomes of what a script waits for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.errors import LimitError, ScriptError
from lumilter.host.tasks import script_error, script_position
from lumilter.session.events import Helo
from support.policy import policy


@pytest.mark.parametrize(
    ("failing", "message", "line"),
    [
        ("assert(false)", "assertion failed!", 2),
        ("assert(nil, 'my reason')", "my reason", 2),
        ("error('no position', 0)", "no position", 2),
        ("error('a: b')", "a: b", 2),
        ("error({})", "(error object is a table value)", 2),
        ("error(setmetatable({}, {__tostring = function() return 'text' end}))", "text", 2),
        ("local x = nil; x.y = 1", "attempt to index local 'x' (a nil value)", 2),
        ("msys.sleep(0.001) assert(false)", "assertion failed!", 2),
        ("coroutine.wrap(function() error('inside') end)()", "inside", 2),
        ("vctx:get(9, 'x')", "vctx:get: 9 is neither VCTX_CONN (0) nor VCTX_MESS (1)", 2),
        ("return vctx:get(9, 'x')", "vctx:get: 9 is neither VCTX_CONN (0) nor VCTX_MESS (1)", 1),
        ("return error('x')", "x", 1),
        ("msys.sleep(0.001) return error('x')", "x", 1),
        ("error('caf\\233\\0')", "caf\udce9\0", 2),
    ],
)
def test_an_error_says_where_it_stood_or_after_a_tail_call_where_the_hook_begins(
    tmp_path: Path, failing: str, message: str, line: int
) -> None:
    text = f"function mod:validate_ehlo(str, ac, vctx)\n  {failing}\nend"
    with policy(tmp_path, text) as running, running.conversation() as session:
        session.handle(Helo("x"))
        (error,) = running.errors
        assert (error.message, error.script, error.line) == (message, "policy.lua", line)


def test_a_job_that_raises_our_error_is_the_scripts_error(tmp_path: Path) -> None:
    text = "function mod:validate_ehlo()\n  print(msys.dnsLookup('unknown.example', 'A'))\nend"
    with policy(tmp_path, text) as running, running.conversation() as session:
        session.handle(Helo("x"))
        assert not running.errors
        assert running.printed[0].startswith("nil\t")


def test_positions() -> None:
    trace = "stack traceback:\n\t[C]: in function 'f'\n\tlumilter/objects.lua:3: in function 'g'\n\tsite/a.lua:7: in x"
    assert script_position(trace) == ("site/a.lua", 7)
    assert script_position("") == ("", 0)
    error = script_error("a.lua:12: one\ntwo: 3: x", trace, limit=False)
    assert (error.script, error.line, error.message) == ("a.lua", 12, "one\ntwo: 3: x")
    assert type(error) is ScriptError
    assert type(script_error("not enough memory", trace, limit=False)) is LimitError
    assert script_error("", "", limit=True).message == ""
