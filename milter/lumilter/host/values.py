"""How values cross between Lua and Python.

The law: Lua strings are bytes. lupa carries them as latin-1 `str`; that is undone here and nowhere else. No Lua object
comes here: lua/lumilter/objects.lua hands over copies of tables and the Python objects behind userdata. A parameter
annotated `str` gets the bytes decoded as UTF-8 with surrogateescape (any byte survives and comes back), one annotated
`bytes` gets them as they are. Numbers become text as Lua writes them.
"""

from __future__ import annotations

import contextlib
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lumilter.calls import LuaFunction, ZeroBased
from lumilter.registry import CLASSES

Converter = Callable[[Any], Any]


class Misfit(Exception):
    """A value is not what a parameter wants; str() is Lua's "string expected, got table"."""


def from_wire(text: str) -> str:
    """A Lua string as text."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def to_wire(text: str) -> str:
    """Text as lupa wants a Lua string."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def number_text(value: float) -> str:
    """A number as Lua's tostring writes it ("%.14g")."""
    return f"{value:.14g}"


class Table(dict[Any, Any]):
    """A copy of a Lua table; strings in it are still as lupa carries them."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A Lua value that stays in Lua: a function, a coroutine, a foreign userdata. kind: Lua's name of its type."""

    kind: str


def type_name(value: Any) -> str:
    """Lua's name for the type of a value that came from Lua."""
    if isinstance(value, Opaque):
        return value.kind
    names = {
        type(None): "nil", bool: "boolean", int: "number", float: "number", str: "string", Table: "table",
        LuaFunction: "function",
    }  # fmt: skip
    return names.get(type(value)) or _class_name(type(value))


def _class_name(python: type) -> str:
    """A script's name for objects of that type: what msys.type() says."""
    if python is LuaFunction:
        return "function"
    return next((name for name, known in CLASSES.items() if known is python), "userdata")


def converter(annotation: Any) -> Converter:
    """What turns a value from Lua into what a parameter annotated so wants; it raises Misfit."""
    origin = typing.get_origin(annotation)
    if origin in (types.UnionType, typing.Union):
        return _union(typing.get_args(annotation))
    if origin is list:
        return _list(typing.get_args(annotation)[0])
    if origin is dict:
        return _dict
    simple: dict[Any, Converter] = {str: _str, bytes: _bytes, int: _int, float: _float, bool: _bool, Any: plain}
    if annotation in simple:
        return simple[annotation]
    if isinstance(annotation, type):
        return _object(annotation)
    raise TypeError(f"no conversion from Lua for {annotation!r}")


def _union(members: tuple[Any, ...]) -> Converter:
    some = [converter(member) for member in members if member is not types.NoneType]
    optional = types.NoneType in members

    def convert(value: Any) -> Any:
        if value is None and optional:
            return None
        problems = []
        for one in some:
            try:
                return one(value)
            except Misfit as error:
                problems.append(str(error))
        raise Misfit(problems[0])

    return convert


def _misfit(wanted: str, value: Any) -> Misfit:
    return Misfit(f"{wanted} expected, got {type_name(value)}")


def _str(value: Any) -> str:
    return from_wire(value if isinstance(value, str) else _raw(value))


def _bytes(value: Any) -> bytes:
    return _raw(value).encode("latin-1")


def has_text(value: Any) -> bool:
    """Whether an object of ours has a text of its own."""
    return "__str__" in vars(type(value))


def _raw(value: Any) -> str:
    """Strings, numbers, and objects that stand for a string (ec_string, sockaddr), as lupa carries them."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value)
    if type(value) in CLASSES.values() and has_text(value):
        return to_wire(str(value))
    raise _misfit("string", value)


def _float(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and "_" not in value:
        with contextlib.suppress(ValueError):
            return int(value, 16) if "x" in value.lower() else float(value)
    raise _misfit("number", value)


def _int(value: Any) -> int:
    number = _float(value)
    if not math.isfinite(number):
        raise Misfit("integer expected, got a number without an integer value")
    return int(number)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _misfit("boolean", value)


def _list(item: Any) -> Converter:
    convert_item = converter(item)

    def convert(value: Any) -> list[Any]:
        if not isinstance(value, Table):
            raise _misfit("table", value)
        items = [value[0]] if 0 in value else []
        index = 1
        while index in value:
            items.append(value[index])
            index += 1
        return [convert_item(entry) for entry in items]

    return convert


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, Table):
        raise _misfit("table", value)
    return {plain(key): plain(item) for key, item in value.items()}


def _object(wanted: type) -> Converter:
    def convert(value: Any) -> Any:
        if isinstance(value, wanted):
            return value
        raise _misfit(_class_name(wanted), value)

    return convert


def plain(value: Any) -> Any:
    """Anything as a Python value."""
    if isinstance(value, str):
        return from_wire(value)
    return _dict(value) if isinstance(value, Table) else value


def to_lua(value: Any, table: Callable[[Mapping[Any, Any]], Any]) -> Any:
    """A result as lupa takes it. table: makes a Lua table; it is given away at once, as the law demands."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return to_wire(value)
    if isinstance(value, int):
        return value if -(2**62) < value < 2**62 else float(value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        first = 0 if isinstance(value, ZeroBased) else 1
        return table({index: to_lua(item, table) for index, item in enumerate(value, first)})
    if isinstance(value, Mapping):
        return table({to_lua(key, table): to_lua(item, table) for key, item in value.items()})
    raise TypeError(f"a {type(value).__name__} can't go to Lua")


def weight(value: Any) -> int:
    """How many bytes the strings of a result take in Lua, about."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, list):
        return sum(map(weight, value))
    return sum(map(weight, value.values())) if isinstance(value, Mapping) else 0


def misuse(name: str, index: int, problem: Misfit) -> str:
    """Lua's wording for a bad argument."""
    return f"bad argument #{index} to '{name}' ({problem})"
