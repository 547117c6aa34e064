"""json: JSON objects that scripts read, change and write.

The law: declarations only; what a value is, json_values knows.
"""

from __future__ import annotations

from typing import Any

from lumilter.api import json_values
from lumilter.api.json_values import JsonValue
from lumilter.registry import api, constants, lua_class

lua_class("json_object", JsonValue, indexed=True)
constants("json", {name: code for name, (code, _) in json_values.ERRORS.items()})

_BY_CODE = {0: "success", 1: "continue", **dict(json_values.ERRORS.values())}


@api("json.new", package="json")
def new() -> JsonValue:
    """A new, empty JSON object."""
    return JsonValue({})


@api("json.decode", package="json")
def decode(str: str) -> JsonValue | tuple[None, int, str]:
    """The JSON object behind a text, or nil, an error code (json.ERROR_*) and what that means."""
    try:
        return JsonValue(json_values.parsed(str))
    except json_values.ParseError as error:
        code, text = json_values.ERRORS[error.name]
        return None, code, text


@api("json.encode", package="json")
def encode(obj: Any) -> JsonValue:
    """A Lua value as a JSON value. A table with something at index 1 is an array, any other one an object."""
    return JsonValue(json_values.to_json(obj))


@api("json.strerror", package="json")
def strerror(code: int) -> str:
    """What an error code means."""
    return _BY_CODE.get(code, f"unknown error {code}")
