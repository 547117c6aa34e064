"""Placeholders of a query: `?`, `:name` and `$name`.

The law: what stands in quotes, comments and dollar quotes is never a placeholder, nor are `::type`, `:=` and `$1`. A
value never becomes part of a query's text here; SQL drivers get it beside the text.

Source: manual, msys.db.query; ds_fetch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from lumilter.adapters.datasources.contract import DatasourceError, Request, Value

_COMMON = (
    r"(?P<quoted>'(?:[^'{escape}]|''{escaped})*(?:'|\Z)|\"(?:[^\"{escape}]|\"\"{escaped})*(?:\"|\Z)|`[^`]*(?:`|\Z)"
    r"|--[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z){more})"
    r"|(?P<skip>::|:=|[\w\])]+:(?=\w)|\w+\$\w*)"
    r"|(?P<mark>\?)"
    r"|[:$](?P<name>[A-Za-z_]\w*)"
)
_STANDARD = re.compile(_COMMON.format(escape="", escaped="", more=""))
_POSTGRES = re.compile(
    r"(?P<dollar>\$(?P<tag>(?:[A-Za-z_]\w*)?)\$[\s\S]*?(?:\$(?P=tag)\$|\Z)|[eE]'(?:[^'\\]|''|\\[\s\S])*(?:'|\Z))|"
    + _COMMON.format(escape="", escaped="", more="")
)
_MYSQL = re.compile(_COMMON.format(escape=r"\\", escaped=r"|\\[\s\S]", more=r"|\#[^\n]*"))
_DIALECTS = {"postgresql": _POSTGRES, "mysql": _MYSQL, "mariadb": _MYSQL}
_NAMED = re.compile(r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})")


@lru_cache(maxsize=1000)
def pieces(text: str, dialect: str) -> tuple[tuple[str, bool], ...]:
    """A query in SQL, cut into (text, whether that is a placeholder). dialect: SQLAlchemy's name of it."""
    found: list[tuple[str, bool]] = []
    at = 0
    for match in _DIALECTS.get(dialect, _STANDARD).finditer(text):
        if match["mark"] or match["name"]:
            found += (text[at : match.start()], False), (match[0], True)
            at = match.end()
    found.append((text[at:], False))
    return tuple(found)


def rendered(request: Request, dialect: str, style: str) -> tuple[str, tuple[Value, ...] | dict[str, Value] | None]:
    """The query as a driver takes it, and its parameters; None where it has none.

    style: the driver's paramstyle (PEP 249). Placeholders are `?` or names, never both: where the parameters have names
    a `?` is an operator, and where they have none `:name` is left to the database too.
    """
    parts = pieces(request.text, dialect)
    marked = ("?", True) in parts
    named = any(placeholder and part != "?" for part, placeholder in parts)
    if marked and named and any(isinstance(key, str) for key in request.params):
        marked = False
        if style == "qmark":
            raise DatasourceError("the query has both ? and named placeholders")
    values: list[Value] = []
    text: list[str] = []
    percent = style in ("format", "pyformat")
    for part, placeholder in parts:
        if placeholder and (part == "?") == marked:
            values.append(request.params.get(len(values) + 1 if marked else part[1:]))
            text.append(_MARKS[style](len(values)))
        else:
            text.append(part.replace("%", "%%") if percent else part)
    if not values:
        return request.text, None
    if style in ("pyformat", "named"):
        return "".join(text), {f"p{number}": value for number, value in enumerate(values, 1)}
    return "".join(text), tuple(values)


_MARKS: dict[str, Callable[[int], str]] = {
    "qmark": lambda number: "?",
    "format": lambda number: "%s",
    "pyformat": lambda number: f"%(p{number})s",
    "named": lambda number: f":p{number}",
    "numeric": lambda number: f":{number}",
    "numeric_dollar": lambda number: f"${number}",
}


def filled(text: str, params: Mapping[int | str, Value], escape: Callable[[str], str] = str) -> str:
    """A text of a driver that is no database, each `$name` replaced by its value, escaped; what is missing is empty."""
    return _NAMED.sub(lambda found: escape(as_text(params.get(found["name"] or found["braced"]))), text)


def as_text(value: Value) -> str:
    """A parameter as text; a number keeps all its digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0")
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        raise DatasourceError("a table can't be a parameter")
    return value
