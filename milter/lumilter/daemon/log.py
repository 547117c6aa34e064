"""The log: one structured line for each message, lines that scripts print, and errors with script and line.

The law: every line is one line, whatever is in the mail (control characters are escaped), as text (key=value) or JSON,
to standard error (systemd's journal takes the priority from the "<4>" prefix) or to a file.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sys
import time
from typing import Any

from lumilter.calls import Here
from lumilter.config.sections.observing import Log
from lumilter.daemon.printable import one_line
from lumilter.errors import ConfigError, ScriptError
from lumilter.session.events import Abort, Action, Close, Edit, EndOfMessage, Event, Outcome, Rcpt
from lumilter.session.session import Session

log = logging.getLogger("lumilter.message")
script_log = logging.getLogger("lumilter.script")

_PLAIN = re.compile(r"[A-Za-z0-9_.:;/@<>+\-\[\]{},=#%&!?~^$*()|']+")
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_VERDICTS = {
    Action.CONTINUE: "accept",
    Action.ACCEPT: "accept",
    Action.REJECT: "reject",
    Action.TEMPFAIL: "tempfail",
    Action.DISCARD: "discard",
}


def verdict_name(outcome: Outcome) -> str:
    """accept, reject, tempfail or discard."""
    return _VERDICTS[outcome.action]


class Formatter(logging.Formatter):
    """A record as one line. json: an object instead of key=value; stamp: with the time (a journal has its own)."""

    def __init__(self, json_lines: bool, stamp: bool, priority: bool) -> None:
        super().__init__()
        self._json, self._stamp, self._priority = json_lines, stamp, priority

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        line = (self._as_json if self._json else self._as_text)(record, text, fields)
        return f"<{_PRIORITY.get(record.levelno, 6)}>{line}" if self._priority else line

    def _as_json(self, record: logging.LogRecord, text: str, fields: dict[str, Any]) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "message": text}
        return json.dumps({**head, **fields}, ensure_ascii=True, default=str)

    def _as_text(self, record: logging.LogRecord, text: str, fields: dict[str, Any]) -> str:
        parts = [f"{_time(record)} "] if self._stamp else []
        if record.levelno >= logging.WARNING:
            parts.append(f"{record.levelname.lower()}: ")
        parts.append(one_line(text))
        parts.extend(f" {key}={_value(value)}" for key, value in fields.items() if value not in ("", None, [], (), {}))
        return "".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        value = ",".join(f"{key}:{item}" for key, item in value.items())
    elif isinstance(value, list | tuple):
        value = ",".join(str(item) for item in value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class _Counting(logging.Handler):
    """A handler that counts what it could not write (a full disk, a closed pipe) instead of complaining about it."""

    lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        _Counting.lost += 1


class _ToFile(_Counting, logging.handlers.WatchedFileHandler):
    pass


class _ToStream(_Counting, logging.StreamHandler):  # type: ignore[type-arg]
    pass


def lost() -> int:
    """Lines of this process that could not be written."""
    return _Counting.lost


_place: dict[str, Any] = {}
"""What every line about a session says of this process."""


def configure(settings: Log, **place: Any) -> None:
    """Send the log to standard error or to a file, which may be rotated under us.

    place: what lines about sessions say of this process, such as its generation. Raises ConfigError.
    """
    _place.clear()
    _place.update(place)
    json_lines, target = settings.format == "json", settings.target
    handler: logging.Handler
    if target == "stderr":
        journal = "JOURNAL_STREAM" in os.environ
        handler = _ToStream(sys.stderr)
        handler.setFormatter(Formatter(json_lines, stamp=not journal, priority=journal))
    else:
        try:
            handler = _ToFile(target)
        except OSError as error:
            raise ConfigError(f"[log] target: {target} can't be opened: {error.strerror}") from None
        handler.setFormatter(Formatter(json_lines, stamp=True, priority=False))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())


def script_line(here: Here, text: str) -> None:
    """A line that a script printed."""
    queue_id = here.session.queue_id if here.session else ""
    fields = {"module": here.module, "phase": here.phase, "queue_id": queue_id}
    script_log.info("%s", text, extra={"fields": fields})


_warned: set[str] = set()


def observe(session: Session, event: Event, outcome: Outcome) -> None:
    """Log what an event led to: script errors at once, a line for each message and for each refused command."""
    for error in session.trace.errors:
        fields = {"script": error.script, "line": error.line} if isinstance(error, ScriptError) else {}
        if isinstance(error, ScriptError) and error.traceback:
            logging.getLogger("lumilter.script").debug("%s", error.traceback)
        script_log.error("%s", error, extra={"fields": {**fields, **_who(session)}})
    if session.priority_ignored and not _warned:
        _warned.add("priority")
        log.warning("msg.priority = 1 has no effect: [routing] priority names no transport (this is said once)")
    decided = isinstance(event, EndOfMessage) or outcome.action is not Action.CONTINUE
    if decided and log.isEnabledFor(logging.INFO):
        log.info("%s", type(event).__name__.lower(), extra={"fields": _line(session, event, outcome)})
    session.trace.errors.clear()
    if isinstance(event, EndOfMessage | Abort | Close):
        session.trace.clear()


def _who(session: Session) -> dict[str, Any]:
    client, conn_id = session.ac.remote.address, session.ac.conn_id
    shadow = {"shadow": True} if session.shadow else {}
    return {**shadow, "queue_id": session.queue_id, "client": client, "conn_id": conn_id, **_place}


def _edit(edit: Edit) -> str:
    """An edit in a few words: "AddHeader:X-Policy", "DeleteRecipient:<a@example.com>"."""
    what = getattr(edit, "name", None) or getattr(edit, "address", None) or getattr(edit, "reason", None)
    text = what.decode("utf-8", "surrogateescape") if isinstance(what, bytes) else what
    return f"{type(edit).__name__}:{text}" if text else type(edit).__name__


def _line(session: Session, event: Event, outcome: Outcome) -> dict[str, Any]:
    reply = outcome.reply
    spent: dict[str, float] = {}
    for run in session.trace.runs:
        name = f"{run.module}.{run.hook}"
        spent[name] = round(spent.get(name, 0.0) + run.ms, 2)
    return {
        **_who(session),
        "client_name": session.client_name,
        "helo": session.helo,
        "from": session.envelope.sender,
        "to": event.address if isinstance(event, Rcpt) else session.envelope.recipients,
        "msg_id": session.envelope.msg_id,
        "verdict": verdict_name(outcome),
        "reply": " ".join(filter(None, (str(reply.code), reply.xcode, " / ".join(reply.lines)))) if reply else "",
        "edits": [_edit(edit) for edit in outcome.edits],
        "sent": [to for message in session.sent for to in message.recipients],
        "reason": session.envelope.discarded,
        "errors": len(session.trace.errors),
        "ms": spent,
    }
