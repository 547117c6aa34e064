"""From what tomllib returned to the dataclasses of `schema`, or an error that says where and what would be right.

The law: it knows declarations and no key by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TypeVar

from lumilter.config.declare import REQUIRED, Key, Table, declared
from lumilter.config.kinds import got
from lumilter.config.lines import Path
from lumilter.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a configuration comes from: its name for errors, its directory for relative paths, its lines."""

    file: str
    lines: Mapping[Path, int]

    def error(self, path: Path, message: str) -> ConfigError:
        """An error at the line of a path, or of what it is in."""
        while path and path not in self.lines:
            path = path[:-1]
        return ConfigError(message, self.file, self.lines.get(path, 0))

    def anchored(self, value: object) -> object:
        """A path, or each of several, from the file's directory."""
        if isinstance(value, tuple):
            return tuple(map(self.anchored, value))
        return str(FilePath(self.file).absolute().parent / str(value)) if value else value


def bind(of: type[T], data: Mapping[str, object], source: Source, path: Path = ()) -> T:
    """An instance of the dataclass `of` from a TOML table. Raises ConfigError."""
    known = declared(of)
    for name in data:
        if name not in known:
            raise source.error((*path, name), _unknown(name, known, path))
    values: dict[str, object] = {}
    for name, (attribute, declaration) in known.items():
        if name in data:
            values[attribute] = _value(declaration, data[name], source, (*path, name))
        elif isinstance(declaration, Key) and declaration.default is REQUIRED:
            raise source.error(path, f'{shown(path)} needs the key "{name}": {declaration.kind.expected}')
        elif isinstance(declaration, Key) and declaration.path:
            values[attribute] = source.anchored(declaration.kind.read(declaration.default))
    return of(**values)


def _value(declaration: Key | Table, value: object, source: Source, path: Path) -> object:
    if isinstance(declaration, Key):
        try:
            result = declaration.kind.read(value)
        except ValueError as error:
            raise source.error(path, f"{shown(path)}: {error}") from None
        return source.anchored(result) if declaration.path else result
    if declaration.many:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise source.error(path, f"expected [[{declaration.name}]] tables, got {got(value)}")
        return tuple(bind(declaration.of, item, source, (*path, index)) for index, item in enumerate(value))
    if not isinstance(value, dict):
        raise source.error(path, f"expected a table [{declaration.name}], got {got(value)}")
    return bind(declaration.of, value, source, path)


def _unknown(name: str, known: Iterable[str], path: Path) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return f'unknown key "{name}" in {shown(path)}; {hint}' if path else f'unknown key "{name}"; {hint}'


def shown(path: Path) -> str:
    """A path as its author wrote it: [milter] socket, [[script]] name."""
    match path:
        case (table,):
            return f"[{table}]"
        case (table, int(), *rest):
            return " ".join([f"[[{table}]]", *map(str, rest)])
        case (table, *rest):
            return " ".join([f"[{table}]", *map(str, rest)])
        case _:
            return "the configuration"
