"""The console's view of a configuration: a key found by words, shown, and changed while the daemon runs.

    lua deadline        the key `deadline` of [lua]
    pool IO deadline    the key of the [[pool]] with that name

The law: pure; a change is a new Config. LIVE is what takes effect without new scripts; everything else is refused.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lumilter.config.declare import Key, declared
from lumilter.config.kinds import BOOLEAN
from lumilter.config.schema import Config
from lumilter.errors import LumilterError

LIVE = {
    ("log", "level"), ("log", "slow_hook"),
    ("lua", "deadline"), ("lua", "instructions"),
    ("policy", "on_error"), ("policy", "on_error_text"), ("policy", "again_interval"),
    ("limits", "on_deadline"), ("limits", "on_instructions"), ("limits", "on_memory"),
    ("dns", "timeout"),
    ("timers", "deadline"),
    ("pool", "concurrency"), ("pool", "deadline"),
}  # fmt: skip
"""(table, key) of what `config set` changes."""

_BOOLEANS = {
    "on": True, "true": True, "enabled": True, "1": True, "off": False, "false": False, "disabled": False, "0": False,
}  # fmt: skip
"""As Momentum's console reads them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A key of a configuration. at: which one of an array of tables, else None."""

    table: str
    attribute: str
    at: int | None
    key: Key
    value: Any

    def __str__(self) -> str:
        """As TOML has it; a secret is not shown."""
        return f"{self.key.name} = {'(secret)' if self.key.secret else shown(self.value)}"


def find(config: Config, words: Sequence[str]) -> Found | None:
    """The key that the words name, in upper or lower case; None if there is none."""
    wanted = [word.lower() for word in words]
    return next((found for scope, found in keys(config) if [*scope, found.key.name] == wanted), None)


def keys(config: Config) -> Iterator[tuple[list[str], Found]]:
    """Every key with the words before its name."""
    for name, (attribute, table) in declared(Config).items():
        assert not isinstance(table, Key)
        value = getattr(config, attribute)
        members = enumerate(value) if table.many else [(None, value)]
        inner = {key: each for key, (_, each) in declared(table.of).items() if isinstance(each, Key)}
        for at, member in members:
            scope = [name]
            if at is not None:
                scope.append(str(getattr(member, "name" if "name" in inner else next(iter(inner)))).lower())
            for key, each in inner.items():
                yield scope, Found(name, attribute, at, each, getattr(member, key))


def show(config: Config, words: Sequence[str]) -> list[str]:
    """The keys within a scope, as lines; all of them without words."""
    wanted = [word.lower() for word in words]
    return [" ".join([*scope, str(found)]) for scope, found in keys(config) if scope[: len(wanted)] == wanted]


def changed(config: Config, words: Sequence[str]) -> tuple[Config, Found]:
    """The configuration with a key changed, and the key as it is then. words: scope, name, perhaps "=", value.

    Raises LumilterError.
    """
    *place, text = words or [""]
    if place and place[-1] == "=":
        place.pop()
    found = find(config, place)
    if found is None:
        raise LumilterError(f"option {' '.join(place)!r} is not known")
    if (found.table, found.key.name) not in LIVE:
        raise LumilterError(f"{' '.join(place)} does not change while the daemon runs: edit the file, then reload")
    try:
        value = found.key.kind.read(_value(found.key, text))
    except ValueError as error:
        raise LumilterError(f"{' '.join(place)}: {error}") from None
    held = getattr(config, found.attribute)
    if found.at is None:
        held = replace(held, **{found.key.name: value})
    else:
        held = tuple(
            replace(each, **{found.key.name: value}) if at == found.at else each for at, each in enumerate(held)
        )
    return replace(config, **{found.attribute: held}), dataclasses.replace(found, value=value)


def _value(key: Key, text: str) -> object:
    """What was typed, as TOML would have it; a bare word is a string."""
    if key.kind is BOOLEAN and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def plain(value: object) -> Any:
    """A value as a script has it: text, numbers, booleans, lists; whatever else is text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return str(value)


def shown(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps("" if value is None else str(value), ensure_ascii=False)
