"""JSON values as scripts hold them: read, changed in place, written.

The law: an object or array is held by reference, so that a part of a value and the value are one; numbers, text and
booleans are copied. Text is UTF-8 with surrogateescape, so any bytes survive.

Source: manual, json.encode (assignment rules), json.decode, json.strerror; error codes as json-c's tokener has them.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from lumilter.errors import LumilterError
from lumilter.session.mail import MailMessage

MAX_DEPTH = 200
"""Levels of nesting that are read and written."""

ERRORS = {
    "ERROR_DEPTH": (2, "nesting too deep"),
    "ERROR_PARSE_EOF": (3, "unexpected end of data"),
    "ERROR_PARSE_UNEXPECTED": (4, "unexpected character"),
    "ERROR_PARSE_NULL": (5, "null expected"),
    "ERROR_PARSE_BOOLEAN": (6, "boolean expected"),
    "ERROR_PARSE_NUMBER": (7, "number expected"),
    "ERROR_PARSE_ARRAY": (8, "array value separator ',' expected"),
    "ERROR_PARSE_OBJECT_KEY_NAME": (9, "quoted object property name expected"),
    "ERROR_PARSE_OBJECT_KEY_SEP": (10, "object property name separator ':' expected"),
    "ERROR_PARSE_OBJECT_VALUE_SEP": (11, "object value separator ',' expected"),
    "ERROR_PARSE_STRING": (12, "invalid string sequence"),
    "ERROR_PARSE_COMMENT": (13, "expected comment"),
}
_MESSAGES = {
    "Expecting property name": "ERROR_PARSE_OBJECT_KEY_NAME",
    "Expecting ':'": "ERROR_PARSE_OBJECT_KEY_SEP",
    "Unterminated string": "ERROR_PARSE_EOF",
    "Invalid control": "ERROR_PARSE_STRING",
    "Invalid \\": "ERROR_PARSE_STRING",
    "Extra data": "ERROR_PARSE_UNEXPECTED",
}
_ESCAPE = re.compile(
    r"(?is)\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|.)",
)
"""An escape in a text; one half of a surrogate pair alone, which is no character, is a group of its own."""
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|\{\}|\[\]|[\[\]{}]')
"""A bracket, or a string, in which no bracket is one."""
_SPACED = {"{": "{ ", "}": " }", "[": "[ ", "]": " ]", "{}": "{ }", "[]": "[ ]"}
_FIRST = {"n": "ERROR_PARSE_NULL", "t": "ERROR_PARSE_BOOLEAN", "f": "ERROR_PARSE_BOOLEAN", "-": "ERROR_PARSE_NUMBER"}


class ParseError(Exception):
    """name: one of ERRORS."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class JsonValue:
    """value: a dict, a list, or a scalar at the top of a text."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("_keys", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._keys: list[str] = []
        """While it is iterated over; keys that come meanwhile are not among them."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonValue) and (
            self.value is other.value or (not isinstance(self.value, dict | list) and self.value == other.value)
        )

    def __str__(self) -> str:
        return written(self.value)

    def __len__(self) -> int:
        return len(self.value) if isinstance(self.value, dict | list) else 0

    def get(self, key: Any) -> Any:
        """The value of a key, or of an index from 1; None where there is none."""
        if isinstance(self.value, dict):
            return _shown(self.value.get(_key(key)))
        if isinstance(self.value, list) and isinstance(key, int | float) and 1 <= key <= len(self.value):
            return _shown(self.value[int(key) - 1])
        return None

    def set(self, key: Any, value: Any) -> None:
        """Raises LumilterError for keys and values that JSON has no place for."""
        kept = to_json(value)
        if isinstance(self.value, dict):
            self.value[_key(key)] = kept
        elif not isinstance(self.value, list):
            raise LumilterError("a scalar has no fields")
        elif not isinstance(key, int | float) or key != int(key) or not 1 <= key <= len(self.value) + 1:
            raise LumilterError(f"{key!r} is no index of an array of {len(self.value)}, nor the next one")
        elif key == len(self.value) + 1:
            self.value.append(kept)
        else:
            self.value[int(key) - 1] = kept

    def entry(self, number: int) -> tuple[Any, Any]:
        """Key and value of the entry with that number, from 1; None and None behind the last."""
        if isinstance(self.value, list):
            return (number, _shown(self.value[number - 1])) if number <= len(self.value) else (None, None)
        if not isinstance(self.value, dict):
            return None, None
        if number == 1:
            self._keys = list(self.value)
        if number > len(self._keys):
            return None, None
        key = self._keys[number - 1]
        return key, _shown(self.value.get(key))


def _shown(value: Any) -> Any:
    return JsonValue(value) if isinstance(value, dict | list) else value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return f"{key:.14g}" if isinstance(key, int | float) else str(key)


def to_json(value: Any, depth: int = 0) -> Any:
    """A script's value as JSON holds it, by the manual's rules; a table with something at 1 is an array."""
    if depth > MAX_DEPTH:
        raise LumilterError(f"a table is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, JsonValue):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise LumilterError(f"{value} is no number in JSON")
        return int(value) if value == int(value) and abs(value) < 2**53 else value
    if isinstance(value, dict):
        if value.get(1) is not None:
            items: list[Any] = []
            while (item := value.get(len(items) + 1)) is not None:
                items.append(to_json(item, depth + 1))
            return items
        return {_key(key): to_json(item, depth + 1) for key, item in value.items()}
    kind = "a message" if isinstance(value, MailMessage) else f"a {getattr(value, 'kind', 'userdata')}"
    if kind == "a table":
        kind = "a table that is nested too deep, or holds itself,"
    raise LumilterError(f"{kind} can't be part of a JSON value")


def written(value: Any) -> str:
    """A value as text, spaced as json-c spaces it: { "a": [ 1, 2 ] }. Raises LumilterError."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        _measure(value)
    except (ValueError, RecursionError):
        raise LumilterError(f"the value is nested more than {MAX_DEPTH} levels deep, or holds itself") from None
    return _BRACKET.sub(lambda found: _SPACED.get(found[0], found[0]), text)


def parsed(text: str) -> Any:
    """The value of a text. Raises ParseError."""
    try:
        if "\\u" in text:
            text = _ESCAPE.sub(_whole, text)
        value = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_constant)
        _measure(value)
    except json.JSONDecodeError as error:
        raise ParseError(_name_of(error)) from None
    except RecursionError:
        raise ParseError("ERROR_DEPTH") from None
    return value


def _measure(value: Any) -> None:
    """Raises RecursionError for what is nested too deep to be written again."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = (
            [
                inner
                for each in level
                for inner in (each.values() if isinstance(each, dict) else each)
                if isinstance(inner, dict | list)
            ]
            if isinstance(value, dict | list)
            else []
        )
        if not level:
            return
    raise RecursionError


def _whole(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape[1] else escape[0]


def _integer(digits: str) -> int | float:
    """Beyond Lua's doubles an integer is one of them; Python refuses very long ones."""
    return int(digits) if len(digits) <= 15 else _number(digits)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ParseError("ERROR_PARSE_NUMBER")
    return number


def _constant(name: str) -> Any:
    raise ParseError("ERROR_PARSE_NUMBER" if "Inf" in name else "ERROR_PARSE_UNEXPECTED")


def _name_of(error: json.JSONDecodeError) -> str:
    for start, name in _MESSAGES.items():
        if error.msg.startswith(start):
            return "ERROR_PARSE_EOF" if error.pos >= len(error.doc.rstrip()) else name
    if error.pos >= len(error.doc.rstrip()):
        return "ERROR_PARSE_EOF"
    if error.msg.startswith("Expecting ','"):
        return "ERROR_PARSE_ARRAY" if _innermost(error.doc[: error.pos]) == "[" else "ERROR_PARSE_OBJECT_VALUE_SEP"
    first = error.doc[error.pos]
    return "ERROR_PARSE_NUMBER" if first.isdigit() else _FIRST.get(first, "ERROR_PARSE_UNEXPECTED")


def _innermost(text: str) -> str:
    """The bracket that is still open at the end of a beginning of JSON."""
    stack = [""]
    quoted = escaped = False
    for letter in text:
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            stack.append(letter)
        elif letter in "]}":
            stack.pop()
    return stack[-1]
