"""lua/lumilter/patterns.lua: the results of LuaJIT's own functions, whichever of the two runs.

The oracle is LuaJIT: the same call in a state of its own, with the matcher in Lua made to run for every subject.
"""

from __future__ import annotations

from typing import Any

import lupa.luajit21 as lupa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lumilter.resources import lua_dir

SOURCE = (lua_dir() / "lumilter/patterns.lua").read_text()
CALL = """function(name, ...)
  local function pack(ok, ...)
    local values = { n = select("#", ...), ... }
    for i = 1, values.n do values[i] = type(values[i]) .. ":" .. tostring(values[i]) end
    return tostring(ok) .. " " .. table.concat(values, " ", 1, values.n)
  end
  if name == "gmatch" then
    local s, pattern = ...
    return pack(pcall(function()
      local found, rounds = {}, 0
      for a, b, c in string.gmatch(s, pattern) do
        found[#found + 1] = tostring(a) .. "|" .. tostring(b) .. "|" .. tostring(c)
        rounds = rounds + 1
        if rounds > 1000 then return "endless" end
      end
      return table.concat(found, ",")
    end))
  end
  local args = { n = select("#", ...), ... }
  if name == "gsub" and args[3] == "TABLE" then args[3] = { a = "x", ab = 1, [1] = "one", b = false } end
  if name == "gsub" and args[3] == "FUNCTION" then
    args[3] = function(...)
      local n, v = select("#", ...), ...
      return n > 1 and tostring((select(2, ...))) or v and #tostring(v)
    end
  end
  return pack(pcall(string[name], unpack(args, 1, args.n)))
end"""


def runtime(source: str) -> Any:
    state = lupa.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
    state.execute("jit.off()")
    if source:
        state.execute(source)
    return state.eval(CALL)


NATIVE = runtime("")
ALWAYS = runtime(SOURCE.replace("local BOUND = 1e8", "local BOUND = 0"))
QUICK = runtime(SOURCE)

PIECES = st.sampled_from(
    [
        *(
            "a",
            "b",
            "ab",
            ".",
            "%a",
            "%A",
            "%d",
            "%s",
            "%w",
            "%p",
            "%.",
            "%%",
            "%-",
            "[ab]",
            "[^a]",
            "[a-c%d]",
            "[]a]",
            "[^]]",
        ),
        *(
            "[%w_]",
            "(",
            ")",
            "()",
            "(a)",
            "(.-)",
            "(b*)",
            "*",
            "+",
            "-",
            "?",
            "$",
            "^",
            "%b()",
            "%bab",
            "%f[%w]",
            "%f[^a]",
        ),
        *(
            "%1",
            "%2",
            "%0",
            "\xe9",
            "\n",
            "[\x80-\xff]",
            "%z",
            "\0",
            "%x+",
            "a*",
            ".*",
            ".-b",
            "a-",
            "(a+)%1",
            "[",
            "%",
            "%f",
            "%b",
        ),
    ]
)
PATTERNS = st.lists(PIECES, max_size=6).map("".join)
SUBJECTS = st.one_of(
    st.text(alphabet="aab().-1 \n", max_size=12), st.text(alphabet=st.characters(max_codepoint=255), max_size=10)
)
REPLACEMENTS = st.sampled_from(["", "x", "%0", "%1", "%2%1", "%%", "<%0>", "TABLE", "FUNCTION", "%a"])


@settings(max_examples=600, deadline=None)
@given(SUBJECTS, PATTERNS, st.sampled_from([None, 1, 2, 5, -1, -3, 0, 100, 2.5]))
@example("abc", "^(a)()(b)", None)
@example("", "", None)
@example("aXb", "%f[%u]", None)
@example("((a)b", "%b()", None)
@example("a^b", "a^", None)
@example("a$b", "a$b", None)
@example("abab", "(ab)%1", None)
@example("x", "(()x", None)
@example("0", ")", None)
def test_find_and_match(subject: str, pattern: str, init: float | None) -> None:
    for name in ("find", "match"):
        arguments = (name, subject, pattern) if init is None else (name, subject, pattern, init)
        expected = NATIVE(*arguments)
        assert same(ALWAYS(*arguments), expected)
        assert same(QUICK(*arguments), expected)


@settings(max_examples=400, deadline=None)
@given(SUBJECTS, PATTERNS)
@example("abc", "^a")
@example("aaa", "a*")
@example("hello world", "%w*")
def test_gmatch(subject: str, pattern: str) -> None:
    expected = NATIVE("gmatch", subject, pattern)
    assert same(ALWAYS("gmatch", subject, pattern), expected)


@settings(max_examples=600, deadline=None)
@given(SUBJECTS, PATTERNS, REPLACEMENTS, st.sampled_from([None, 0, 1, 2, -1]))
@example("abc", "%w*", "x", None)
@example("aab", "^a", "x", None)
@example("abc", "", "-", None)
@example("abc", "b", "%1", None)
@example("abc", "(b)", "%2", None)
def test_gsub(subject: str, pattern: str, replacement: str, most: int | None) -> None:
    arguments = ("gsub", subject, pattern, replacement)
    if most is not None:
        arguments = (*arguments, most)
    expected = NATIVE(*arguments)
    assert same(ALWAYS(*arguments), expected)
    assert same(QUICK(*arguments), expected)


def same(ours: str, theirs: str) -> bool:
    """Errors have the same text but for the function and the position that LuaJIT names."""
    if theirs.startswith("false "):
        return ours.startswith("false ")
    return ours == theirs


@pytest.mark.parametrize(
    ("subject", "pattern"),
    [
        ("x" * 30_000 + "<b>" + "y" * 30_000, "<(.-)>"),
        ("  " * 3_000 + "text" + "  " * 3_000, "^%s*(.-)%s*$"),
        ("word " * 5_000, "(%S+)@(%S+)"),
        ("a" * 30_000 + "b", "a-b"),
    ],
)
def test_long_subjects_take_the_slow_way_and_find_the_same(subject: str, pattern: str) -> None:
    assert QUICK("find", subject, pattern) == NATIVE("find", subject, pattern)
    assert QUICK("gsub", subject, pattern, "-") == NATIVE("gsub", subject, pattern, "-")
