"""What scripts can't do, what the configuration gives back, and what Momentum's Lua has that LuaJIT has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.errors import ScriptError
from support.policy import Policy, policy


def evaluated(tmp_path: Path, expression: str, **settings: object) -> str:
    with policy(tmp_path, f"print({expression}) function mod:validate_ehlo() end", **settings) as running:
        return running.printed[0]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("os.execute('true')", "os.execute is switched off"),
        ("io.popen('true')", "io.popen is switched off"),
        ("require('ffi')", "ffi is switched off"),
        ("os.exit(1)", "os.exit would end the daemon"),
        ("package.loadlib('x', 'y')", "package.loadlib is switched off"),
        ("debug.sethook(print)", "attempt to call field 'sethook'"),
        ("debug.getregistry()", "attempt to call field 'getregistry'"),
        ("debug.setmetatable('', {})", "attempt to call field 'setmetatable'"),
        ("jit.on()", "attempt to call field 'on'"),
        ("require('jit.util')", "module 'jit.util' not found"),
        ("python.eval('1')", "attempt to index global 'python'"),
        ("require('lupa')", "module 'lupa' not found"),
        ("require('no.such.module')", "no file"),
    ],
)
def test_refused(tmp_path: Path, expression: str, why: str) -> None:
    with pytest.raises(ScriptError) as caught:
        evaluated(tmp_path, f"(function() local x = {expression} return x end)()", path=("/nowhere/?.lua",))
    assert why in str(caught.value)


@pytest.mark.parametrize("load", ["loadstring", "load"])
def test_bytecode_is_refused(tmp_path: Path, load: str) -> None:
    assert "precompiled" in evaluated(tmp_path, f"select(2, {load}(string.dump(function() end)))")


def test_a_policy_s_own_module_goes_before_one_of_ours(tmp_path: Path) -> None:
    path = (f"{tmp_path}/?.lua",)
    assert evaluated(tmp_path, "require('strict')", path=path) == "true"
    (tmp_path / "strict.lua").write_text("return 'own'")
    assert evaluated(tmp_path, "require('strict')", path=path) == "own"


def test_given_back(tmp_path: Path) -> None:
    assert evaluated(tmp_path, "os.execute('true')", allow=frozenset({"os.execute"})) == "0"
    allowed = frozenset({"io.popen", "ffi"})
    assert evaluated(tmp_path, "io.popen('echo hi'):read('*a')", allow=allowed).strip() == "hi"
    assert evaluated(tmp_path, "require('ffi').sizeof('int')", allow=allowed) == "4"


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("loadstring('return 1 != 2, 0660, 6 & 3')()", "true\t432\t2"),
        ("load(coroutine.wrap(function() coroutine.yield('return ') coroutine.yield('1 | 2') end))()", "3"),
        ("loadstring('return 1 +')", "nil\t[string \"return 1 +\"]:1: unexpected symbol near '<eof>'"),
        ("loadstring('x = \\226\\130\\172', '=\u20ac')", "nil\t\u20ac:1: unexpected symbol near '\udce2'"),
        (
            "loadstring(\"x = '\\226\\130\\172\\\\u12'\", '=x')",
            "nil\tx:1: expected either 4, 6 or 8 hex digits for unicode escape near ''\u20ac'",
        ),
        ("loadstring('x', 5)", "nil\t[string \"5\"]:1: '=' expected near '<eof>'"),
        ("(select(2, loadstring('x', {})):gsub('0x%x+', ''))", "[string \"table: \"]:1: '=' expected near '<eof>'"),
        ("load(function() return {} end)", "nil\treader function must return a string"),
        ("pcall(load)", "false\tbad argument #1 to 'load' (function expected, got nil)"),
        ("pcall(loadfile, {})", "false\tbad argument #1 to 'loadfile' (string expected, got table)"),
        ("pcall(dofile)", "false\tbad argument #1 to 'dofile' (string expected, got nil)"),
        ("type(_TLS), type(_OSTLS), type(gethostname())", "table\ttable\tstring"),
        ("table.getn({1, 2}), unpack({1, 2})", "2\t1\t2"),
        ("type(debug.traceback()), type(debug.getinfo(1))", "string\ttable"),
    ],
)
def test_momentums_environment(tmp_path: Path, expression: str, printed: str) -> None:
    assert evaluated(tmp_path, expression) == printed


def test_modules_are_found_translated_and_loaded_once(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "lib.lua").write_text(
        'module("site.lib", package.seeall)\nprint("loading", ...)\nfunction flag() return 1 << 4 end\n'
    )
    (tmp_path / "plain.lua").write_text("print('once') return { n = 0777 }")
    (tmp_path / "policy.lua").write_text(
        'require("site.lib") require("site.lib")\nprint(site.lib.flag(), require("plain").n, require("plain").n)\n'
        'print(dofile("' + str(tmp_path / "plain.lua") + '").n)\n'
    )
    with Policy([tmp_path / "policy.lua"], path=(f"{tmp_path}/?.lua",)) as running:
        assert running.printed == ["loading\tsite.lib", "once", "16\t511\t511", "once", "511"]


def test_every_momentum_package_can_be_required(tmp_path: Path) -> None:
    from lumilter.momentum import packages

    names = ", ".join(f'"{name}"' for name in packages())
    text = f"for _, name in ipairs({{{names}}}) do assert(type(require(name)) == 'table', name) end"
    with policy(tmp_path, text + " function mod:init() return true end"):
        pass


def test_a_script_may_wait_while_it_is_loaded_and_in_what_it_requires(tmp_path: Path) -> None:
    (tmp_path / "slow.lua").write_text("msys.sleep(0.01) return 'slept'")
    (tmp_path / "policy.lua").write_text("msys.sleep(0.01) print(require('slow'), msys.asyncOk())")
    with Policy([tmp_path / "policy.lua"], path=(f"{tmp_path}/?.lua",)) as running:
        assert running.printed == ["slept\ttrue"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1", "policy.lua:1: "),
        ("\n\nerror('on purpose')", "policy.lua:3: on purpose"),
        ("\nmsg:header('x')", "policy.lua:2: attempt to index global 'msg'"),
        ("function mod:init() return false end", "init of module policy did not return true"),
        ("function mod:init()\n error('no')\nend", "policy.lua:2: no"),
        ("function mod:rsrc_setup() end", "rsrc_setup of module policy did not return true"),
    ],
)
def test_what_does_not_load_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught, policy(tmp_path, text):
        pass
    assert message in str(caught.value)


def test_init_and_deinit(tmp_path: Path) -> None:
    text = """
function mod:rsrc_setup() print("rsrc_setup") return true end
function mod:init() print("init", self) return true end
function mod:deinit() print("deinit") return true end"""
    with policy(tmp_path, text) as running:
        assert [line.split("\t")[0] for line in running.printed] == ["rsrc_setup", "init"]
    assert running.printed[-1] == "deinit"


def test_a_module_without_hooks_is_reported_in_momentums_words(tmp_path: Path) -> None:
    with policy(tmp_path, "function mod:validate_nothing() end") as running:
        assert running.engine.host.warnings == [
            "scriptlet: no usable methods found for module policy in registerModule call"
        ]


def test_hooks_that_a_milter_never_sees_are_reported(tmp_path: Path) -> None:
    with policy(tmp_path, "function mod:core_log_delivery_v1() end") as running:
        assert "core_log_delivery_v1" in running.engine.host.warnings[0]
