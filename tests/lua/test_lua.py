"""Runs the policies of this folder: what an author wrote down as true is true, at every line.

The law: a file needs no entry anywhere; a hook that it defines has to run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.lua_session import LUA, run

FILES = sorted(file for file in LUA.rglob("*.lua") if file.name != "check.lua")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LUA)))
def test_policy(file: Path) -> None:
    policy = run(file)
    assert not policy.errors, "\n".join(f"{error}\n{getattr(error, 'traceback', '')}" for error in policy.errors)
    defined = set().union(*(module.hooks for module in policy.engine.host.modules))
    ran = {hook.hook for hook in policy.runs} | {"init", "rsrc_setup", "deinit"}
    assert defined, f"{file.name} registers no module"
    assert not defined - ran, f"{file.name} defines hooks that never ran"
    assert any(line.split()[:1] == ["ok"] for line in policy.printed), f"{file.name} prints nothing that it found out"
