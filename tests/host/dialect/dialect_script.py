"""A Lua state as a script meets it: LuaJIT 2.1 with dialect.lua loaded, and every load translated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lupa import luajit21

from lumilter.errors import DialectError
from lumilter.host.dialect import translate

RUNTIME = Path(__file__).parents[3] / "lua/lumilter/dialect.lua"

# What loadstring returns comes from Python as a pair; Lua sees two results.
LOADSTRING = b"""
local load = ...
function loadstring(source, name)
  return load(source, name or source)
end
"""


class Script:
    """Runs Momentum's Lua; strings cross as bytes."""

    def __init__(self) -> None:
        self.lua = luajit21.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self.compile: Callable[..., Any] = self.lua.eval(b"loadstring")
        self.compile(RUNTIME.read_bytes(), b"=dialect.lua")()
        self.compile(LOADSTRING)(self.load)

    def load(self, source: bytes, name: bytes = b"test") -> Any:
        """A function, or None and a message."""
        try:
            translated = translate(source, name.decode())
        except DialectError as error:
            return None, str(error).encode("utf-8", "surrogateescape")
        return self.compile(translated, b"@" + name)

    def run(self, source: str | bytes, name: bytes = b"test") -> Any:
        """The results of a chunk; its errors are luajit21.LuaError or DialectError."""
        source = source.encode() if isinstance(source, str) else source
        loaded = self.compile(translate(source, name.decode()), b"@" + name)
        assert not isinstance(loaded, tuple), loaded
        return loaded()

    def error(self, source: str) -> str:
        """The message that running a chunk ends with."""
        with pytest.raises(luajit21.LuaError) as caught:
            self.run(source)
        return str(caught.value).split("\nstack traceback")[0]
