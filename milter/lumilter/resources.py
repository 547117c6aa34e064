"""Where the files are that are not Python.

The law: they are found beside this file, in a wheel, an editable install and a checkout alike; nobody else guesses.
"""

from __future__ import annotations

from pathlib import Path


def lua_dir() -> Path:
    """The directory of our Lua files: `lua_dir() / "lumilter" / "sandbox.lua"`.

    Not resolved on purpose: in a strict editable install this file may be a link to one with other neighbours.
    """
    return Path(__file__).parent / "lua"
