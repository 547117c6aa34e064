"""How a configuration key is declared, once: everything else about it is derived from the dataclass field.

    timeout: float = key(seconds(1), "How long ...", 7210)

The law: type checking (`bind`), the reference file (`reference`) and secrecy read this metadata, and nothing about a
key is written a second time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from lumilter.config.kinds import Kind


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()
"""The default of a key that has none."""

_METADATA = "lumilter.config"


@dataclass(frozen=True, slots=True)
class Key:
    """A key with a value. default, example: as TOML has them. path: relative paths start at the file's directory."""

    name: str
    kind: Kind
    doc: str
    default: object
    example: object
    path: bool
    secret: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or with `many` an array of tables; its meaning is the docstring of `of`."""

    name: str
    of: type
    many: bool


def key(
    kind: Kind,
    doc: str,
    default: object = REQUIRED,
    *,
    example: object = None,
    path: bool = False,
    secret: bool = False,
) -> Any:
    """A dataclass field for a key. default: as it would be written in TOML; it passes through the kind like any value.

    secret: the value is kept out of repr() and so out of every log.
    """
    metadata = {_METADATA: ("key", kind, doc, default, example, path, secret)}
    if default is REQUIRED:
        return dataclasses.field(repr=not secret, metadata=metadata)
    return dataclasses.field(default_factory=lambda: kind.read(default), repr=not secret, metadata=metadata)


def table(of: type) -> Any:
    """A dataclass field for a table, all of whose keys have defaults."""
    return dataclasses.field(default_factory=of, metadata={_METADATA: ("table", of, None)})


def tables(of: type, name: str) -> Any:
    """A dataclass field for an array of tables, `[[name]]`; a tuple, empty by default."""
    return dataclasses.field(default=(), metadata={_METADATA: ("tables", of, name)})


def declared(of: type) -> dict[str, tuple[str, Key | Table]]:
    """What a dataclass declares, in order: TOML name to (attribute, declaration)."""
    found: dict[str, tuple[str, Key | Table]] = {}
    for field in dataclasses.fields(of):
        match field.metadata.get(_METADATA):
            case ("key", kind, doc, default, example, path, secret):
                found[field.name] = field.name, Key(field.name, kind, doc, default, example, path, secret)
            case ("table" | "tables" as shape, cls, name):
                found[name or field.name] = field.name, Table(name or field.name, cls, shape == "tables")
    return found
