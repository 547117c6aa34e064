"""Checked edits as calls of pymilter's context object.

The law: all of them are in pymilter's form before the first is sent. pymilter takes text as `str`, which it encodes as
UTF-8: what is not UTF-8 can't be said through it.
"""

from __future__ import annotations

from typing import Any

from lumilter.wire.edits import Call, Unwritable


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unwritable(f"expected UTF-8, which is all that pymilter sends, got {value[:80]!r}") from None


def spelled(calls: list[Call]) -> list[tuple[Any, ...]]:
    """(name of a method of pymilter's context, argument, ...) for each call. Raises Unwritable."""
    result: list[tuple[Any, ...]] = []
    for call in calls:
        match call:
            case "insheader", index, name, value:
                result.append(("addheader", _text(name), _text(value), index))
            case "chgheader", nth, name, value:
                result.append(("chgheader", _text(name), nth, _text(value)))
            case "replacebody", body:
                result.append(("replacebody", body))
            case function, text:
                result.append((function, _text(text)))
    return result


def write(ctx: Any, calls: list[tuple[Any, ...]]) -> None:
    """Send what `spelled` made to the MTA. Raises Milter.error where it is gone."""
    for method, *arguments in calls:
        getattr(ctx, method)(*arguments)
