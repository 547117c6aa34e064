"""docs/functions.md and docs/stubs.lua are what the registry says today."""

from pathlib import Path

import lupa.luajit21 as lupa
import pytest

from lumilter import reference

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("file", "text"), [("functions.md", reference.functions), ("stubs.lua", reference.stubs)])
def test_generated_files_are_current(file: str, text: object) -> None:
    assert (DOCS / file).read_text() == text(), "stale: run `make reference`"


def test_the_stubs_are_lua() -> None:
    lupa.LuaRuntime().execute("return assert(loadstring(...))", (DOCS / "stubs.lua").read_text())
