"""The one place where an API function is declared: everything else about it is derived from what is kept here.

The law: nothing is imported from here but declarations, and nothing about a function is written twice. Registration in
Lua, the phase check, arity and type errors, `lumilter functions` and the reference all read `FUNCTIONS`.

A declaration is a Python function under `@api(...)`; its parameters carry Momentum's names:

    @api("msg:discard", package="msys.extended.message", phases="data, data_spool, data_spool_each_rcpt")
    def discard(msg: MailMessage, reason: str | None = None) -> None: ...

`:` makes it a method, whose first parameter is the object; `.` after a class's short name makes it a field
(`msg.id`), anything else is a function in a package. Keyword-only parameters are not Momentum's: `here: Here` is what
the host knows about the running hook.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PHASES = (
    "load", "init", "connect", "ehlo", "mailfrom", "rcptto", "rcptto_list", "data", "data_spool",
    "data_spool_each_rcpt", "set_binding", "final_validation", "dealloc", "deinit", "timer", "control",
)  # fmt: skip
"""Every phase in which a script runs. A hook belongs to one (`session.phases`); "timer" and "control" are no hooks'."""

FOLLOWS = {
    "data_spool_each_rcpt": ("final_validation",),
    "rcptto": ("rcptto_list",),
    "core_final_validation": ("final_validation",),
    "core_data_validation": ("final_validation",),
}
"""Momentum's table was written before these phases had names: what it allows in the key works in the values too."""

OBJECTS = {
    "ac": "accept_construct",
    "c": "curl_handle",
    "client": "http_client",
    "doc": "xmldoc",
    "node": "xmlnode",
    "vctx": "validate_context",
    "msg": "ec_message",
    "msgpart": "ec_message_part",
    "mutex": "thread.mutex",
}
"""The manual's short names of objects, and the classes behind them."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter as the manual's table writes it: `[name]` where it is optional, `...` for the rest."""

    name: str
    optional: bool = False
    rest: bool = False

    def __str__(self) -> str:
        if self.rest:
            return "..."
        return f"[{self.name}]" if self.optional else self.name


@dataclass(frozen=True, slots=True)
class Function:
    """A declared function, method or field."""

    name: str
    package: str
    phases: tuple[str, ...]
    also: tuple[str, ...]
    since: str
    body: Callable[..., Any]
    params: tuple[Param, ...]
    kind: str
    """"function", "method" or "field"."""
    owner: str
    """Class name for a method or field, dotted table for a function: "ec_message", "msys.pcre"."""
    member: str
    """The last part of the name."""
    blocking: bool
    extension: bool
    partial: str
    lua: str
    """Name of the Lua implementation in the boot table, where it must be a live Lua function; "" is the Python body."""

    @property
    def enforced(self) -> frozenset[str] | None:
        """Phases in which a call is allowed; None is every phase."""
        if "any" in self.phases or not self.phases:
            return None
        allowed = {*self.phases, *self.also}
        for phase, more in FOLLOWS.items():
            if phase in allowed:
                allowed.update(more)
        return frozenset(allowed)

    @property
    def doc(self) -> str:
        """The docstring, indentation removed."""
        return inspect.getdoc(self.body) or ""


FUNCTIONS: dict[str, Function] = {}
"""Every declared function by name."""

INTERNAL: dict[str, Function] = {}
"""Functions that lua/lumilter calls and no script: what a Lua implementation needs Python for."""

CONSTANTS: dict[str, dict[str, int | str]] = {}
"""Constants by package."""

CLASSES: dict[str, type] = {}
"""The Python type behind each Lua class."""

INDEXED: set[str] = set()
"""Lua classes whose objects take any key."""

WRITERS: dict[str, Callable[[Any, Any], None]] = {}
"""Field setters by name ("vctx.code")."""


def api(
    name: str,
    *,
    package: str,
    phases: str = "any",
    also: str = "",
    since: str = "4.0",
    blocking: bool = False,
    extension: bool = False,
    partial: str = "",
    lua: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an API function.

    name, package, phases, since: as in Momentum's table; phases is its comma-separated list. also: phases in which it
    works here though the table does not say so, because public policies call it there. blocking: it may return a
    Wait and so suspend the session. extension: not in Momentum's table. partial: what does not work, in a sentence.
    lua: implemented by that function of lua/lumilter; the body then only carries parameters and docstring.
    """

    def declare(body: Callable[..., Any]) -> Callable[..., Any]:
        kind, owner, member = _place(name, body)
        if name in FUNCTIONS:
            raise ValueError(f"{name} is declared twice: {FUNCTIONS[name].body} and {body}")
        FUNCTIONS[name] = Function(
            name, package, _phases(phases), _phases(also), since, body, _params(body, kind), kind, owner, member,
            blocking, extension, partial, lua,
        )  # fmt: skip
        return body

    return declare


def internal(
    name: str, *, blocking: bool = False, shown: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a function that only lua/lumilter calls, as `host.internal.NAME(cross(...))`.

    shown: the function of scripts that its errors are those of.
    """

    def declare(body: Callable[..., Any]) -> Callable[..., Any]:
        if name in INTERNAL:
            raise ValueError(f"{name} is declared twice: {INTERNAL[name].body} and {body}")
        INTERNAL[name] = Function(
            shown or name, "", (), (), "", body, _params(body, "function"), "function", "", name, blocking, True, "", ""
        )
        return body

    return declare


def field(
    name: str, *, package: str, phases: str = "any", also: str = "", extension: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a readable field of an object; most fields are in the manual's structs, not in its table of functions."""
    return api(name, package=package, phases=phases, also=also, extension=extension)


def writer(name: str) -> Callable[[Callable[[Any, Any], None]], Callable[[Any, Any], None]]:
    """Declare the setter of a field that a script may assign: (object, value)."""

    def declare(body: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        WRITERS[name] = body
        return body

    return declare


def lua_class(name: str, python: type, indexed: bool = False) -> None:
    """Objects of this Python type are objects of that class to a script.

    indexed: a script may use any key on them; the type has get(key), set(key, value) and entry(number from 1).
    """
    CLASSES[name] = python
    if indexed:
        INDEXED.add(name)


def constants(package: str, values: Mapping[str, int | str]) -> None:
    """Declare constants of a package."""
    plain = {name: int(value) if isinstance(value, int) else value for name, value in values.items()}  # enums too
    CONSTANTS.setdefault(package, {}).update(plain)


def _place(name: str, body: Callable[..., Any]) -> tuple[str, str, str]:
    if ":" in name:
        short, member = name.split(":")
        return "method", OBJECTS.get(short, short), member
    table, _, member = name.rpartition(".")
    if table and "." not in table and (table in OBJECTS or table in OBJECTS.values() or table in CLASSES):
        return "field", OBJECTS.get(table, table), member
    return "function", table, member


def _phases(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _params(body: Callable[..., Any], kind: str) -> tuple[Param, ...]:
    declared: Iterable[inspect.Parameter] = inspect.signature(body).parameters.values()
    positional = [p for p in declared if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    if kind != "function":
        positional = positional[1:]
    return tuple(
        Param(p.name, p.default is not inspect.Parameter.empty, p.kind is inspect.Parameter.VAR_POSITIONAL)
        for p in positional
    )
