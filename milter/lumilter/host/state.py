"""One Lua state: LuaJIT set up for Momentum scripts, with the sandbox closed.

The law: only this package imports lupa, and only the Lua thread uses a State. Every access goes through `boot`, the
private table that lua/lumilter/*.lua fill and scripts never see.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lupa.luajit21 as lupa

from lumilter.errors import DialectError
from lumilter.host.dialect import translate
from lumilter.host.values import to_wire
from lumilter.resources import lua_dir

MemoryLimit = lupa.LuaMemoryError

CHUNKS = (
    *("patterns", "dialect", "objects", "scheduler", "closures", "loader", "strict", "dumper", "natives", "curl"),
    "sandbox",
)
"""lua/lumilter/NAME.lua, in the order in which they are run; the sandbox closes the door."""


class State:
    """A LuaJIT state.

    path: templates for `require` ("/etc/lumilter/lua/?.lua"). max_memory: bytes, 0 is no limit.
    allow: what the sandbox leaves in.
    """

    def __init__(self, path: tuple[str, ...], max_memory: int, allow: frozenset[str], jit: bool) -> None:
        self.runtime = lupa.LuaRuntime(
            encoding="latin-1",
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_handlers=(_no_attributes, _no_attributes),
            max_memory=2 * max_memory,
        )
        self.hard_limit = 2 * max_memory or math.inf
        self.boot: Any = self.runtime.table()
        self.boot.now = time.monotonic
        self.boot.cpu = time.thread_time  # only the Lua thread asks
        self.boot.memory = max_memory / 1024 or math.inf
        self.boot.allow = self.runtime.table_from(dict.fromkeys(allow, True))
        self.boot.translate = _translate
        self.sources: dict[str, bytes] = {}
        """Every script file that was loaded, by path."""
        self.boot.read_script = self._read_script
        run_chunk = self.runtime.eval("function(source, name, boot) return assert(loadstring(source, name))(boot) end")
        self.runtime.execute(f"package.path = {_quoted(';'.join(path))}")
        if not jit:
            self.runtime.execute("jit.off()")
        for name in CHUNKS:
            source = (lua_dir() / "lumilter" / f"{name}.lua").read_bytes()
            run_chunk(source.decode("latin-1"), f"@lumilter/{name}.lua", self.boot)

    @property
    def memory_used(self) -> int:
        """Bytes that the state holds now."""
        return int(self.runtime.get_memory_used())

    def has_room(self, size: int) -> bool:
        """Whether a string of that many bytes can be handed to Lua."""
        return self.memory_used + size < self.hard_limit

    def table(self, pairs: Any) -> Any:
        """A new Lua table from a mapping."""
        return self.runtime.table_from(pairs)

    def _read_script(self, path: str) -> tuple[str | None, str]:
        """The text of a script file and its chunk name, or None and why."""
        file = Path(path.encode("latin-1").decode("utf-8", "surrogateescape"))
        try:
            source = file.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return None, f"cannot open {path}: {reason}"
        self.sources[str(file)] = source
        return source.decode("latin-1"), "@" + Path(path).name


def _no_attributes(target: object, *_: object) -> None:
    """Should a Python object ever reach a script, it can't look into it."""
    raise AttributeError(f"{type(target).__name__} has no fields for scripts")


def _translate(source: str, chunkname: str) -> tuple[str | None, str | None]:
    try:
        translated = translate(source.encode("latin-1"), display(chunkname))
    except DialectError as error:
        return None, f"{error.script}:{error.line}: {to_wire(error.message)}"
    return translated.decode("latin-1"), None


def display(chunkname: str) -> str:
    """A chunk's name as Lua shows it in messages."""
    if chunkname[:1] in "@=":
        return chunkname[1:]
    first = chunkname.split("\n", 1)[0]
    return f'[string "{first[:40]}{"..." if len(chunkname) > 40 or first != chunkname else ""}"]'


def _quoted(text: str) -> str:
    """A Lua string literal of any text."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode("utf-8", "surrogateescape")) + '"'
