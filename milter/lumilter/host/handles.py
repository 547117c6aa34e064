"""Python objects that scripts hold, as numbers.

The law: no Python object of ours ever crosses into Lua, only its number. lupa keeps a table of the Python objects that
it has handed out, and for an object that is handed out again after Lua collected the first wrapper it may find the
wrapper of another one (its references are numbers of a weak table, which are given out anew before the finalizer ran):
one session's message would be another's.
"""

from __future__ import annotations

import itertools


class Handles:
    """Objects by number; an object has one number as long as Lua holds it."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._objects: dict[int, object] = {}
        self._next = itertools.count(1)

    def __len__(self) -> int:
        return len(self._objects)

    def number(self, target: object) -> int:
        """The number that stands for an object in Lua."""
        number = self._numbers.get(id(target))
        if number is None:
            number = self._numbers[id(target)] = next(self._next)
            self._objects[number] = target
        return number

    def object(self, number: int | None) -> object:
        """The object behind a number; None for what is no object of ours."""
        return None if number is None else self._objects.get(number)

    def release(self, number: int) -> None:
        """Lua no longer holds the object."""
        target = self._objects.pop(number, None)
        if target is not None:
            del self._numbers[id(target)]
