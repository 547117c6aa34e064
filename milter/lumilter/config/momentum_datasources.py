"""Momentum's Datasource stanzas as the [[datasource]] tables that they come to.

The law: defaults are Momentum's; what has no meaning here is noted, never an error. Source: the manual, "ds_core -
Datasource Query Core".
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from typing import Any

from lumilter.config.sections.datasources import Datasource
from lumilter.config.stanza import Item, Option

_TRUE = ("true", "1", "yes", "on")
_NUMBERS = {"cache_size": "cache_size", "cache_life": "cache_life", "max_rows": "max_rows"}
_NO_EFFECT = {
    "serialized": "answers are not shared between machines",
    "pool": "a datasource has threads of its own, as many as connections",
    "long_threshold": "ODBC columns of any length are read",
}


def datasource(
    name: str, body: Iterable[tuple[Item, str]], error: Callable[[str, str], Exception]
) -> tuple[Datasource, list[str]]:
    """The table of a stanza, and notes. body: its options, each with its place, "file:line". error(message, place)."""
    values: dict[str, Any] = {"order": "round-robin"}
    notes: list[str] = []
    place = ""
    for item, place in body:
        if not isinstance(item, Option):
            notes.append(
                f"{place}: {getattr(item, 'kind', 'this')} is not known in a datasource and has no effect here"
            )
            continue
        option, value = item.name.lower(), item.value
        if option == "uri":
            values["uri"] = item.items if value is None else (value,)
        elif option in _NUMBERS:
            if value is None or not re.fullmatch(r"-1|[0-9]{1,9}", value):
                raise error(f"expected a number for {item.name}", place)
            values[_NUMBERS[option]] = int(value)
        elif option == "no_cache":
            values["no_cache"] = (value or "").lower() in _TRUE
        elif option == "assume_charset":
            values["assume_charset"] = _charset(value, item.name, place, error)
        else:
            why = _NO_EFFECT.get(option, "it is not known in a datasource")
            notes.append(f"{place}: {item.name} has no effect here: {why}")
    if not values.get("uri"):
        raise error(f'datasource "{name}" has no uri', place)
    return Datasource(name=name, **values), notes


def _charset(value: str | None, name: str, place: str, error: Callable[[str, str], Exception]) -> str:
    try:
        codecs.lookup(value or "")
    except (LookupError, ValueError):
        raise error(f"expected the name of a charset for {name}", place) from None
    return value or ""
