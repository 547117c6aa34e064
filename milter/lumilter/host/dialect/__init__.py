"""Momentum's Lua (thrlua, a fork of Lua 5.1) as source that LuaJIT 2.1 accepts.

The law: every token stays on its line, and what needs no change is copied byte for byte. The result is plain source
for `load`; whatever it calls at run time is installed once per Lua state by lua/lumilter/dialect.lua.

    tokens       source -> tokens, with the lexical rules of thrlua's llex.c
    literals     numerals and quoted strings, rewritten where LuaJIT reads them differently
    cursor       the position in the tokens, and the errors
    expressions  thrlua's operators, with an edit for each that LuaJIT does not have
    statements   the rest of the grammar of lparser.c
    edits        source + edits -> source
"""

from __future__ import annotations

from lumilter.host.dialect.edits import Edits
from lumilter.host.dialect.statements import Parser
from lumilter.host.dialect.tokens import tokenize

__all__ = ["translate"]


def translate(source: bytes, chunkname: str) -> bytes:
    """Momentum's Lua in, LuaJIT's Lua out; the very same object when nothing needs a change.

    source: a whole chunk, with or without a `#!` line; any bytes. chunkname: only for the error.
    Every generic `for` is rewritten, because only the run knows whether it walks an object with `__iter`.
    Raises DialectError, with thrlua's message and line, for what thrlua would not compile, and nothing else.
    Precompiled chunks are refused: LuaJIT does not verify bytecode.
    """
    tokens = tokenize(source, chunkname)
    edits = Edits(tokens)
    Parser(tokens, edits, chunkname).chunk()
    return edits.apply()
