"""Puts the registry into a Lua state: packages, classes, functions, constants.

The law: a declared body is called in exactly one place, `Bridge._call`. It checks the phase, converts the arguments,
and answers Lua with `true, results...`, `"objects", pairs...`, `"items", number`, `"wait", token`, `"outcome"` or
`"bound"` and numbers (see `closures`), or `false, message`; nothing is raised into Lua, and no Python object goes there
(see `handles`).
"""

from __future__ import annotations

import inspect
import logging
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lumilter import registry
from lumilter.calls import Bound, Here, Items, LuaFunction, Outcome, Wait
from lumilter.errors import LimitError, LookupFailed, LumilterError
from lumilter.host.crossing import Crossing
from lumilter.host.handles import Handles
from lumilter.host.state import State
from lumilter.host.values import Misfit, converter, has_text, misuse, plain, to_lua, to_wire, weight
from lumilter.momentum import TABLE, packages
from lumilter.registry import Function

log = logging.getLogger(__name__)


LARGE = 1 << 16
"""Strings above it are only handed to Lua if there is room; a failed allocation inside lupa ends the process."""


class Bridge:
    """The registry, callable from one Lua state."""

    def __init__(self, state: State, services: Any, hold: Callable[[Wait], int]) -> None:
        self.state = state
        self.boot = state.boot
        self.here = Here(services=services)
        self._hold = hold
        self.handles = Handles()
        self._crossing = Crossing(self.handles)
        self.forgotten: deque[int] = deque()
        """Numbers of Lua functions that nobody here needs any more."""
        self._class_of = {python: name for name, python in registry.CLASSES.items()}
        self._define()

    def pairs(self, values: Iterable[Any]) -> Iterator[Any]:
        """Values as Lua receives them where objects may be among them: (class, number) or (None, plain value)."""
        for value in values:
            name = self._class_of.get(type(value))
            if name is None:
                yield None
                yield self._plain(value)
            else:
                yield name
                yield self.handles.number(value)

    def answer(self, result: Any) -> tuple[Any, ...]:
        """A body's result as Lua gets it: a tuple is several results."""
        if isinstance(result, Outcome):
            return "outcome", result.of.number
        if isinstance(result, Bound):
            return ("bound", result.closure.number, *self.pairs((result.owner,)))
        if type(result) is Items:
            return "items", self.handles.number(result)
        results = result if isinstance(result, tuple) else (result,)
        if any(type(each) in self._class_of for each in results):
            return ("objects", *self.pairs(results))
        return (True, *map(self._plain, results))

    def _plain(self, value: Any) -> Any:
        size = weight(value)
        if size > LARGE and not self.state.has_room(size):
            raise LimitError(f"not enough memory for a string of {size} bytes")
        return to_lua(value, self.state.table)

    # --- definitions -------------------------------------------------------------------------------------------------

    def _define(self) -> None:
        boot = self.boot
        handles = self.handles
        boot.same = lambda a, b: (True, handles.object(a) == handles.object(b))
        boot.release = handles.release
        crossing = self._crossing
        boot.new_table, boot.opaque = crossing.table, crossing.opaque
        boot.put, boot.put_object, boot.put_piece = crossing.put, crossing.put_object, crossing.put_piece
        boot.lua_function = lambda number: crossing.add(LuaFunction(number, self.forgotten))
        for name in registry.CLASSES:
            boot.define_class(
                name, self._getter(name), self._setter(name), self._text(name), self._length(name), self._entry(name),
                self._caller(name),
            )  # fmt: skip
        for name, internal in registry.INTERNAL.items():
            boot.internal[name] = self._call(internal)
        for function in registry.FUNCTIONS.values():
            if function.lua and function.kind == "method":
                boot.class_metatable(function.owner)[function.member] = boot[function.lua]
            elif function.lua:
                boot.namespace(function.owner)[function.member] = boot[function.lua]
            elif function.kind == "function":
                boot.define_function(function.owner, function.member, self._call(function), _keeps(function))
            elif function.kind == "method":
                boot.define_method(function.owner, function.member, self._call(function))
        for package, values in registry.CONSTANTS.items():
            for name, value in values.items():
                boot.define_constant(package, name, value)
        self._define_absent()
        loaded = self.state.runtime.globals().package.loaded
        for package in packages():
            loaded[package] = boot.namespace(package.removesuffix(".so"))

    def _define_absent(self) -> None:
        """What Momentum's table has and this version does not: calling it says so."""
        for row in TABLE:
            if row.name in registry.FUNCTIONS:
                continue
            answer = _absent(row.name)
            if ":" in row.name:
                owner, member = row.name.split(":")
                if registry.OBJECTS.get(owner) in registry.CLASSES:
                    self.boot.define_method(registry.OBJECTS[owner], member, answer)
            elif not row.name.startswith("msg."):
                owner, _, member = row.name.rpartition(".")
                self.boot.define_function(owner, member, answer)
        present = {name.rpartition(".")[0] for name in registry.FUNCTIONS} | set(registry.CONSTANTS)
        present |= {f.package for f in registry.FUNCTIONS.values()}
        for package in packages():
            if package not in present and not any(other.startswith(package + ".") for other in present):
                self.boot.define_missing_package(package.removesuffix(".so"), _missing)

    # --- calls -------------------------------------------------------------------------------------------------------

    def _call(self, function: Function) -> Callable[..., tuple[Any, ...]]:
        """The Python side of one function: checks, conversion, the call, and its answer to Lua."""
        body, name = function.body, function.name
        method = function.kind != "function"
        enforced = function.enforced
        converters, rest, required, here_wanted = self._signature(function)
        here = self.here
        owner = registry.CLASSES.get(function.owner) if method else None

        def call(mask: int, *args: Any) -> tuple[Any, ...]:
            try:
                args = self._crossing.arguments(mask, args)
                if enforced is not None and here.phase not in enforced and not (args and _is_made(args[0])):
                    return False, phase_error(function, here.phase)
                if method:
                    target, args = args[0] if args else None, args[1:]
                    if not isinstance(target, owner):  # type: ignore[arg-type]
                        return False, f"{name} needs its object: call it as object:{function.member}(...)"
                if len(args) < required:
                    return False, f"bad argument #{len(args) + 1} to '{name}' (value expected)"
                converted: list[Any] = []
                for index, value in enumerate(args):
                    if index < len(converters):
                        convert = converters[index]
                    elif rest is not None:
                        convert = rest
                    else:
                        break  # as Lua and Momentum do with arguments that a function has no use for
                    try:
                        converted.append(convert(value))
                    except Misfit as problem:
                        return False, to_wire(misuse(name, index + 1, problem))
                extra = {"here": here} if here_wanted else {}
                result = body(target, *converted, **extra) if method else body(*converted, **extra)
                if isinstance(result, Wait):
                    if not function.blocking:
                        raise TypeError(f"{name} waits but is not declared as blocking")
                    return "wait", self._hold(result)
                return self.answer(result)
            except LookupFailed as error:
                return True, None, to_wire(str(error))
            except LumilterError as error:
                return False, to_wire(f"{name}: {getattr(error, 'message', error)}")
            except Exception:
                log.exception("%s failed", name)
                return False, f"{name}: internal error, see the log"

        return call

    def _signature(self, function: Function) -> tuple[list[Callable[[Any], Any]], Any, int, bool]:
        hints = typing.get_type_hints(function.body)
        parameters = list(inspect.signature(function.body).parameters.values())
        if function.kind != "function":
            parameters = parameters[1:]
        converters, rest, required = [], None, 0
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                continue
            convert = converter(hints[parameter.name])
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                rest = convert
                continue
            if parameter.default is inspect.Parameter.empty:
                required += 1
                converters.append(convert)
            else:
                converters.append(_optional(convert, parameter.default))
        return converters, rest, required, "here" in hints

    # --- fields ------------------------------------------------------------------------------------------------------

    def _fields(self, class_name: str) -> dict[str, Function]:
        return {f.member: f for f in registry.FUNCTIONS.values() if f.kind == "field" and f.owner == class_name}

    def _entry(self, class_name: str) -> Callable[[int | None, int], tuple[Any, ...]] | None:
        """Key and value of an indexed object's entry, for loops; None for other classes."""
        if class_name not in registry.INDEXED:
            return None
        handles = self.handles
        return lambda number, at: self._guarded(class_name, lambda: handles.object(number).entry(int(at)))  # type: ignore[attr-defined]

    def _caller(self, class_name: str) -> Callable[[int | None], tuple[Any, ...]] | None:
        """What an object does that is called, as iterators are; None for other classes."""
        if "__call__" not in vars(registry.CLASSES[class_name]):
            return None
        return lambda number: self._guarded(class_name, lambda: self.handles.object(number)())  # type: ignore[operator]

    def _guarded(self, what: str, work: Callable[[], Any]) -> tuple[Any, ...]:
        try:
            return self.answer(work())
        except LumilterError as error:
            return False, to_wire(f"{what}: {getattr(error, 'message', error)}")
        except Exception:
            log.exception("%s failed", what)
            return False, f"{what}: internal error, see the log"

    def _getter(self, class_name: str) -> Callable[[int | None, Any], tuple[Any, ...]]:
        if class_name in registry.INDEXED:
            handles = self.handles
            return lambda number, key: self._guarded(
                class_name,
                lambda: handles.object(number).get(plain(key)),  # type: ignore[attr-defined]
            )
        readers = {member: self._call(field) for member, field in self._fields(class_name).items()}

        def get(number: int | None, key: Any) -> tuple[Any, ...]:
            reader = readers.get(key)
            return (True, None) if reader is None else reader(1, number)

        return get

    def _setter(self, class_name: str) -> Callable[[int | None, Any, int, Any], tuple[Any, ...]]:
        if class_name in registry.INDEXED:
            return lambda number, key, mask, value: self._guarded(
                class_name,
                lambda: self.handles.object(number).set(plain(key), plain(*self._crossing.arguments(mask, (value,)))),  # type: ignore[attr-defined]
            )
        short = next((s for s, name in registry.OBJECTS.items() if name == class_name), class_name)
        writers = {}
        for name, body in registry.WRITERS.items():
            owner, _, member = name.rpartition(".")
            if owner == short:
                hints = typing.get_type_hints(body)
                value_name = list(inspect.signature(body).parameters)[1]
                writers[member] = (body, converter(hints[value_name]))

        def put(number: int | None, key: Any, mask: int, value: Any) -> tuple[Any, ...]:
            writer = writers.get(key)
            if writer is None:
                return False, f"{class_name} has no field '{key}' that a script can set"
            body, convert = writer
            try:
                body(self.handles.object(number), convert(*self._crossing.arguments(mask, (value,))))
            except Misfit as problem:
                return False, f"bad value for {short}.{key} ({problem})"
            except LumilterError as error:
                return False, to_wire(f"{short}.{key}: {getattr(error, 'message', error)}")
            except Exception:
                log.exception("%s.%s could not be set", short, key)
                return False, f"{short}.{key}: internal error, see the log"
            return (True,)

        return put

    def _length(self, class_name: str) -> Callable[[int | None], tuple[Any, ...]]:
        if hasattr(registry.CLASSES[class_name], "__len__"):
            return lambda number: (True, len(self.handles.object(number)))  # type: ignore[arg-type]
        return lambda number: (False, f"attempt to get length of a value of class {class_name}")

    def _text(self, class_name: str) -> Callable[[int | None], tuple[Any, ...]]:
        def text(number: int | None) -> tuple[Any, ...]:
            target = self.handles.object(number)
            if not has_text(target):
                return True, f"{class_name}: 0x{id(target):x}"
            return self._guarded(class_name, lambda: str(target))

        return text


def _keeps(function: Function) -> bool:
    """Whether it takes Lua functions."""
    hints = typing.get_type_hints(function.body).values()
    return any(LuaFunction in (hint, *typing.get_args(hint)) for hint in hints)


def _optional(convert: Callable[[Any], Any], default: Any) -> Callable[[Any], Any]:
    """A script leaves an argument out by nil as well."""
    return lambda value: default if value is None else convert(value)


def _is_made(target: Any) -> bool:
    """What a script made itself is in no phase."""
    return bool(getattr(target, "made", False))


def phase_error(function: Function, phase: str) -> str:
    """What a script is told that calls a function where it can't work."""
    return f"{function.name} cannot be called in {phase} (allowed in: {', '.join(sorted(function.enforced or ()))})"


def _absent(name: str) -> Callable[..., tuple[bool, str]]:
    message = f"{name} is not available in this version of lumilter (lumilter functions lists what is)"
    return lambda *args: (False, message)


def _missing(package: str, key: str) -> tuple[bool, str]:
    return False, f"{package}.{key}: package {package} is not available in this version of lumilter"
