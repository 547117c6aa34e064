"""Values of columns as scripts get them.

The law: no digit is lost: what a Lua number can't hold exactly comes as text.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from typing import Any

from lumilter.adapters.datasources.contract import Value

_EXACT = 2**53
_PLAIN = (str, bytes, type(None))


def converter(numbers: bool) -> Callable[[Any], Value]:
    """numbers: whether numbers and booleans come as such, else as text."""
    return number_or_text if numbers else text_only


def number_or_text(value: Any) -> Value:
    """A value of a driver as a script gets it."""
    kind = type(value)
    if kind in _PLAIN or kind in (bool, float):
        return value  # type: ignore[no-any-return]
    if kind is int:
        return value if -_EXACT <= value <= _EXACT else str(value)
    if isinstance(value, decimal.Decimal):
        return _decimal(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [number_or_text(item) for item in value]
    return _other(value)


def text_only(value: Any) -> Value:
    """A value of a driver as text; bytes are text already."""
    if type(value) in _PLAIN:
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, list | tuple | set | frozenset):
        return [text_only(item) for item in value]
    return _other(value)


def _decimal(value: decimal.Decimal) -> Value:
    if not value.is_finite() or len(value.as_tuple().digits) > 15:
        return str(value)
    return int(value) if value == value.to_integral_value() and abs(value) <= _EXACT else float(value)


def _other(value: Any) -> Value:
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
