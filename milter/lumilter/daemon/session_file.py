"""A saved session as a file: JSON lines, the first about the session, one for each event with its outcome.

The law: what is read is what was written, to the byte: text is a JSON string (bytes that were no UTF-8 are lone
surrogates in it), bytes are one too, each byte the character of its number (Latin-1). The names in the lines are those
of `session.events`. A file that ends in the middle of a line is that of a crash, and is read up to there.

    {"format": 1, "lumilter": "0.1", "time": 1780000000.25, "generation": 3, "shadow": false}
    {"event": "Helo", "name": "client.example", "macros": {}, "outcome": {"action": "continue", "reply": null, ...}}
    {"cut": "the rest would pass 16 MiB"}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from lumilter.errors import ConfigError
from lumilter.session.events import Action, Edit, Event, Outcome, Reply

FORMAT = 1

Step = tuple[Event, Outcome]


@dataclass(frozen=True, slots=True)
class Saved:
    """header: its first line. cut: why the rest of the session is missing, "" if it ended or the daemon did."""

    header: Mapping[str, Any]
    steps: list[Step] = field(default_factory=list)
    cut: str = ""


def header_line(about: Mapping[str, Any]) -> bytes:
    """The first line. about: what is known of the session."""
    return _line({"format": FORMAT, **about})


def step_line(event: Event, outcome: Outcome) -> bytes:
    """A line for an event."""
    return _line({"event": type(event).__name__, **_plain(event), "outcome": outcome_object(outcome)})


def cut_line(why: str) -> bytes:
    """The last line of a file whose session went on."""
    return _line({"cut": why})


def outcome_object(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain JSON."""
    return {
        "action": outcome.action.value,
        "reply": _plain(outcome.reply) if outcome.reply else None,
        "edits": [{"edit": type(edit).__name__, **_plain(edit)} for edit in outcome.edits],
    }


def read(path: Path) -> Saved:
    """The session in a file. Raises ConfigError, with file and line, for one that was not written by lumilter."""
    saved: Saved | None = None
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n") and number > 1:
                    break
                try:
                    given = json.loads(line)
                    if saved is None:
                        saved = Saved(_header(given))
                    elif "cut" in given:
                        return Saved(saved.header, saved.steps, str(given["cut"]))
                    else:
                        saved.steps.append((_event(given), _outcome(given["outcome"])))
                except (ValueError, TypeError, KeyError, RecursionError) as error:
                    raise ConfigError(f"is no line of a saved session: {error}", str(path), number) from None
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", str(path)) from None
    if saved is None:
        raise ConfigError("is no saved session: it is empty", str(path))
    return saved


def _line(what: Mapping[str, Any]) -> bytes:
    return json.dumps(what, separators=(",", ":")).encode() + b"\n"


def _plain(thing: Any) -> dict[str, Any]:
    return {each.name: _WRITERS[each.type](getattr(thing, each.name)) for each in fields(thing)}


def _header(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise ValueError(f'expected "format": {FORMAT} in the first line, got {str(given)[:80]}')
    return given


def _event(given: Any) -> Event:
    event: Event = _made(_EVENTS[given["event"]], given)
    return event


def _outcome(given: Any) -> Outcome:
    edits = tuple(_made(_EDITS[each["edit"]], each) for each in given["edits"])
    reply = None if given["reply"] is None else _made(Reply, given["reply"])
    return Outcome(Action(given["action"]), reply, edits)


def _made(cls: type[Any], given: Mapping[str, Any]) -> Any:
    return cls(**{each.name: _READERS[each.type](given[each.name]) for each in fields(cls)})


def _is(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"expected {kind.__name__}, got {str(value)[:80]!r}")
        return value

    return check


_text, _number, _list, _dict = _is(str), _is(int), _is(list), _is(dict)


def _bytes(value: Any) -> bytes:
    raw: bytes = _text(value).encode("latin-1")
    return raw


def _latin(value: bytes | memoryview) -> str:
    return str(value, "latin-1")


_WRITERS: Mapping[Any, Callable[[Any], Any]] = {
    "str": str,
    "int": int,
    "bytes": _latin,
    "bytes | memoryview": _latin,
    "Macros": dict,
    "tuple[str, ...]": list,
    "tuple[tuple[bytes, bytes], ...]": lambda pairs: [[_latin(name), _latin(value)] for name, value in pairs],
}
"""By the type that a field is declared with."""
_READERS: Mapping[Any, Callable[[Any], Any]] = {
    "str": _text,
    "int": _number,
    "bytes": _bytes,
    "bytes | memoryview": _bytes,
    "Macros": lambda value: {_text(name): _text(each) for name, each in _dict(value).items()},
    "tuple[str, ...]": lambda value: tuple(map(_text, _list(value))),
    "tuple[tuple[bytes, bytes], ...]": lambda value: tuple((_bytes(n), _bytes(v)) for n, v in map(_list, _list(value))),
}
_EVENTS = {cls.__name__: cls for cls in get_args(Event)}
_EDITS = {cls.__name__: cls for cls in get_args(Edit)}
