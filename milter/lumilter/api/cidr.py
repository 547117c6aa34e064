"""msys.cidr: lists of networks that are looked up by address.

The law: declarations only; what a list is, adapters.networks knows. A query never waits.

Source: manual, msys.cidr.define, msys.cidr.query, msys.cidr.reload, module cidrdb.
"""

from __future__ import annotations

import os
from typing import Any

from lumilter.adapters.networks import sources
from lumilter.adapters.networks.lists import CidrList, Fill
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.mail import AcceptConstruct, Endpoint

PACKAGE = "msys.cidr"

KINDS = ("datasource", "rbldnsd", "empty")
REFRESH = 1800.0
"""Seconds; the manual's default."""


@api("msys.cidr.define", package=PACKAGE, phases="init", also="load", blocking=True)
def define(name: str, options: dict[Any, Any] | str | None, *, here: Here) -> bool | tuple[None, str] | Job:
    """Define a list of networks and load it: true, or nil and a message if it could not be loaded.

    In the latter case it is empty, and tried again every minute. options: its type ("datasource", "rbldnsd", "empty"),
    or a table with type; default_value, which is what a query gives that finds nothing (nil); interpolate, to put the
    address in the place of every $ in a value; refresh, seconds after which it is loaded again (1800, 0 is never).
    datasource: cachename, query, cidr_column and value_column, by name or by position from 1 (the first; without
    value_column the value is true). rbldnsd: source, a file or a URI; value, "a" or "txt".
    """
    table = options if isinstance(options, dict) else {"type": options or "empty"}
    kind = str(table.get("type", ""))
    if kind not in KINDS:
        raise LumilterError(f"type is one of {', '.join(KINDS)}, not {kind!r}")
    entry = CidrList(
        name,
        kind,
        _fill(kind, table, here),
        0.0 if kind == "empty" else _seconds(table.get("refresh")),
        table.get("default_value"),
        bool(table.get("interpolate")),
    )
    lists, loop = here.services.cidr_lists, here.host.loop
    lists.put(entry)
    if entry.fill is None:
        return True

    def loaded(_: int) -> bool:
        lists.keep_fresh(entry, loop)
        return True

    return Job(entry.load, "cidr", loaded, lambda error: lists.keep_fresh(entry, loop))


@api("msys.cidr.query", package=PACKAGE)
def query(name: str, address: Any = None, *, here: Here) -> Any:
    """The value of the smallest network of a list that holds an address, else the list's default value.

    address: without it the client's; also a connection (ac), or an end of one (ac.remote_addr). Something that is no
    address gives nil and a message.
    """
    entry = here.services.cidr_lists.get(name)
    if not isinstance(address, str):
        address = _address(address, here)
        if address is None:
            return entry.default
    try:
        return entry.find(address)
    except ValueError as error:
        return None, str(error)


def _address(given: Any, here: Here) -> str | None:
    """None for the machine's own mail, which came over no network."""
    if given is None:
        if here.session is None:
            raise LumilterError("there is no client here whose address could be looked up: pass one")
        given = here.session.ac
    end = given.remote if isinstance(given, AcceptConstruct) else given
    if not isinstance(end, Endpoint):
        raise LumilterError("an address is a string, or a connection")
    return end.address if end.family.startswith("inet") else None


@api("msys.cidr.reload", package=PACKAGE, blocking=True)
def reload(name: str, *, here: Here) -> Job:
    """Load a list again, now: true, or nil and a message, and then the list stays as it was."""
    entry = here.services.cidr_lists.get(name)
    if entry.fill is None:
        raise LumilterError(f"{name!r} is a list of type {entry.kind}: there is nothing to load it from")
    return Job(entry.load, "cidr", lambda _: True)


@api("msys.cidr.add", package=PACKAGE, extension=True)
def add(name: str, network: str, value: str | bool | None = None, *, here: Here) -> None:
    """Put a network into a list of type "empty"; value: what a query gives (true)."""
    try:
        _empty(name, here).add(network, True if value is None else value)
    except ValueError as error:
        raise LumilterError(str(error)) from None


@api("msys.cidr.remove", package=PACKAGE, extension=True)
def remove(name: str, network: str, *, here: Here) -> bool:
    """Take a network out of a list of type "empty"; whether it was in it."""
    try:
        return _empty(name, here).remove(network)
    except ValueError as error:
        raise LumilterError(str(error)) from None


def _empty(name: str, here: Here) -> CidrList:
    entry: CidrList = here.services.cidr_lists.get(name)
    if entry.kind != "empty":
        raise LumilterError(f"{name!r} is a list of type {entry.kind}: scripts can only change one of type empty")
    return entry


def _fill(kind: str, table: dict[Any, Any], here: Here) -> Fill | None:
    datasources = here.services.datasources
    if kind == "datasource":
        cachename, query = _wanted(table, "cachename", kind), _wanted(table, "query", kind)
        return sources.datasource(
            lambda request, deadline: datasources.submit(cachename, request, deadline, nocache=True),
            query,
            datasources.max_rows.get(cachename, -1),
            _column(table, "cidr_column"),
            _column(table, "value_column"),
        )
    if kind == "rbldnsd":
        value = str(table.get("value", "a")).lower()
        if value not in ("a", "txt"):
            raise LumilterError(f'value is "a" or "txt", not {value!r}')
        source, files, web = _wanted(table, "source", kind), here.services.files, here.services.web
        return sources.rbldnsd_file(
            lambda deadline: files.open(source, os.O_RDONLY, None, web, deadline), value == "txt"
        )
    return None


def _wanted(table: dict[Any, Any], key: str, kind: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise LumilterError(f"a list of type {kind} needs the option {key}")
    return value


def _column(table: dict[Any, Any], key: str) -> sources.Column:
    value = table.get(key)
    if value is None or (isinstance(value, str) and not value.isdigit()):
        return value
    if isinstance(value, int | float | str) and not isinstance(value, bool) and int(value) >= 1:
        return int(value)
    raise LumilterError(f"{key} is the name of a column, or its position from 1")


def _seconds(value: Any) -> float:
    if value is None:
        return REFRESH
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise LumilterError("refresh is a number of seconds, 0 is never")
    return seconds
