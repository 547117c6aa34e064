"""Everything that is declared is used by a policy of this folder, successfully, at least once.

The law: what counts is recorded, not listed: the declared bodies are wrapped while the files run. Constants, and
functions that are Lua, are looked for in the files' text.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lumilter.api  # noqa: F401  (fills the registry)
from lumilter import registry
from support.lua_session import LUA, run

FILES = sorted(LUA.glob("*.lua"))
SOURCE = "\n".join(file.read_text("latin-1") for file in FILES if file.name != "check.lua")


@pytest.fixture(scope="module")
def used() -> Iterator[set[str]]:
    """Names of functions, methods and fields that returned, and "name=" of fields that were set."""
    names: set[str] = set()

    def recorded(name: str, body: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(body)
        def call(*args: Any, **here: Any) -> Any:
            result = body(*args, **here)
            names.add(name)
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name, function in registry.FUNCTIONS.items():
            patch.setitem(registry.FUNCTIONS, name, dataclasses.replace(function, body=recorded(name, function.body)))
        for name, body in registry.WRITERS.items():
            patch.setitem(registry.WRITERS, name, recorded(f"{name}=", body))
        for file in FILES:
            if file.name != "check.lua":
                run(file)
    yield names


def test_functions_methods_and_fields(used: set[str]) -> None:
    declared = {name for name, function in registry.FUNCTIONS.items() if not function.lua}
    assert not sorted(declared - used)


def test_fields_that_can_be_set(used: set[str]) -> None:
    assert not sorted({f"{name}=" for name in registry.WRITERS} - used)


@pytest.mark.parametrize("name", sorted(name for name, function in registry.FUNCTIONS.items() if function.lua))
def test_functions_that_are_lua(name: str) -> None:
    assert re.search(rf"\b{re.escape(name)}\(", SOURCE)


def test_constants() -> None:
    named = {f"{package}.{name}" for package, values in registry.CONSTANTS.items() for name in values}
    assert not sorted(name for name in named if not re.search(rf"\b{re.escape(name)}\b", SOURCE))
