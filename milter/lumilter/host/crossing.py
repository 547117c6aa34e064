"""What crosses from Lua to Python beside plain values: copies of tables, and names of what stays in Lua.

The law: each is a number below zero while it is on its way, between `cross` in lua/lumilter/objects.lua and the call
that it is an argument of; then all of them are forgotten. As Python objects they would cost: lupa never gives back the
eight bytes that it notes for each object which it hands to Lua, and scripts pass tables with every message.
"""

from __future__ import annotations

from typing import Any

from lumilter.host.handles import Handles
from lumilter.host.values import Opaque, Table


class Crossing:
    """handles: objects that scripts hold, by numbers above zero."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._pieces: dict[int, Any] = {}

    def add(self, piece: Any) -> int:
        """The number of something that is on its way from now on."""
        number = -1 - len(self._pieces)
        while number in self._pieces:
            number -= 1
        self._pieces[number] = piece
        return number

    def table(self) -> int:
        """A new, empty copy of a table."""
        return self.add(Table())

    def opaque(self, kind: str) -> int:
        """A value that stays in Lua, of that type."""
        return self.add(Opaque(kind))

    def put(self, table: int, key: Any, value: Any) -> None:
        """Put a plain value into a copy."""
        self._pieces[table][key] = value

    def put_object(self, table: int, key: Any, number: int) -> None:
        """Put an object into a copy."""
        self._pieces[table][key] = self._handles.object(number)

    def put_piece(self, table: int, key: Any, piece: int) -> None:
        """Put another of these into a copy."""
        self._pieces[table][key] = self._pieces.pop(piece)

    def arguments(self, mask: int, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a script passed. mask: a bit for each argument that is a number of an object or of one of these."""
        if not mask:
            return args
        pieces, handles = self._pieces, self._handles
        found = tuple(
            (pieces[arg] if arg < 0 else handles.object(arg)) if mask >> at & 1 else arg for at, arg in enumerate(args)
        )
        pieces.clear()
        return found
