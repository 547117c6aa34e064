"""host.positions: where hooks are defined, and that registering a module is otherwise as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.errors import ScriptError
from support.policy import Policy, policy


def test_hooks_of_a_module(tmp_path: Path) -> None:
    text = """
function mod:validate_ehlo() end
mod.validate_connect = function()
end
function mod.helper() end"""
    with policy(tmp_path, text) as running:
        positions = running.engine.host.positions
        assert positions.of("policy", "validate_ehlo") == "policy.lua:2"
        assert positions.of("policy", "validate_connect") == "policy.lua:3"
        assert positions.of("policy", "helper") == positions.of("policy", "validate_data") == ""
        assert positions.of("nobody", "validate_ehlo") == ""


def test_modules_of_one_name(tmp_path: Path) -> None:
    script = tmp_path / "two.lua"
    script.write_text(
        'msys.registerModule("same", {validate_ehlo = function() end})\n'
        'msys.registerModule("same", {validate_ehlo = function() end})\n'
        'local code = loadstring("return function() end", "=made")\n'
        'msys.registerModule("made", {validate_ehlo = code()})\n'
        'msys.registerModule("C", {validate_ehlo = print, validate_connect = tostring})\n'
    )
    with Policy([script]) as running:
        of = running.engine.host.positions.of
        assert (of("same", "validate_ehlo"), of("same#2", "validate_ehlo")) == ("two.lua:1", "two.lua:2")
        assert of("made", "validate_ehlo") == "made:1"
        assert of("C", "validate_connect") == ""


@pytest.mark.parametrize("arguments", ["1, {}", "'x'", "'x', 5", ""])
def test_misuse_blames_the_script_s_line(tmp_path: Path, arguments: str) -> None:
    script = tmp_path / "bad.lua"
    script.write_text(f"local x\nmsys.registerModule({arguments})\n")
    with pytest.raises(ScriptError, match=r"bad\.lua:2: msys\.registerModule wants a name"), Policy([script]):
        pass
