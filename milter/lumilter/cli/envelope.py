"""A message file with its envelope, as the session that would have brought it.

The law: X.eml has its envelope in X.toml or X.json beside it; without one it is guessed from the headers.

    from = "ann@example.org"          all keys may be left out
    to = ["bob@example.com"]          or one address
    ip = "192.0.2.1"
    client_name = "mx.example.org"
    helo = "mx.example.org"
    auth = "ann"
    macros = { daemon_port = "587" }
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lumilter.cli import test
from lumilter.cli.eml import read_message
from lumilter.cli.result import Result
from lumilter.errors import ConfigError
from lumilter.session import address
from lumilter.session.events import Close, Event

_KINDS: dict[str, type] = {
    "from": str, "to": list, "ip": str, "client_name": str, "helo": str, "auth": str, "macros": dict,
}  # fmt: skip
_SENDERS = (b"return-path", b"from")
_RECIPIENTS = ((b"x-original-to",), (b"delivered-to",), (b"to", b"cc"))
"""Fields that a delivery agent writes, then the sender's own; the first that are there count."""

Headers = Iterable[tuple[bytes, bytes]]


def session_of(file: Path) -> list[Event]:
    """The events of a session with that message, up to its Close. Raises ConfigError."""
    try:
        headers, body = read_message(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", str(file)) from None
    given = _beside(file)
    if given is None:
        given = {"from": _sender(headers), "to": _recipients(headers)}
    macros = given.get("macros", {})
    options = argparse.Namespace(
        ip=given.get("ip", "192.0.2.1"),
        client_name=given.get("client_name", ""),
        helo=given.get("helo", "client.example"),
        sender=given.get("from", ""),
        rcpt=given.get("to", []),
        auth=given.get("auth", ""),
        macro=[f"{name}={value}" for name, value in macros.items()],
    )
    return [*test._events(options, Result(headers, body)), Close()]


def _beside(file: Path) -> dict[str, Any] | None:
    """The envelope in a file of its own, if there is one."""
    for suffix, load in ((".toml", tomllib.loads), (".json", json.loads)):
        beside = file.with_suffix(suffix)
        try:
            return _checked(load(beside.read_text("utf-8")))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"can't be read: {error.strerror}", str(beside)) from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"is no envelope: {error}", str(beside)) from None
    return None


def _checked(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not given.keys() <= _KINDS.keys():
        raise ValueError(f"expected a table of {', '.join(_KINDS)}")
    if isinstance(given.get("to"), str):
        given["to"] = [given["to"]]
    for name, value in given.items():
        inner = value.values() if isinstance(value, dict) else value
        if not isinstance(value, _KINDS[name]) or not all(isinstance(each, str) for each in inner):
            raise ValueError(
                f"{name}: expected {'text' if _KINDS[name] is str else f'a {_KINDS[name].__name__} of text'}"
            )
    return given


def _sender(headers: Headers) -> str:
    for name in _SENDERS:
        for text in _values(headers, (name,)):
            found = address.addresses(text, "all")
            return found[0] if found else ""
    return ""


def _recipients(headers: Headers) -> list[str]:
    for names in _RECIPIENTS:
        found = [each for text in _values(headers, names) for each in address.addresses(text, "all")]
        if found:
            return list(dict.fromkeys(found))
    return []


def _values(headers: Headers, names: tuple[bytes, ...]) -> list[str]:
    return [
        value.replace(b"\n", b"").decode("utf-8", "surrogateescape") for name, value in headers if name.lower() in names
    ]
