"""What `lumilter test` found out, as JSON and as text.

The law: `as_json` has the keys verdict, reply, phases, actions, messages, context, log and errors, with the meanings in
the reference; they are only ever added to.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from lumilter.daemon.log import verdict_name
from lumilter.daemon.printable import one_line
from lumilter.errors import ScriptError
from lumilter.session.apply import apply
from lumilter.session.events import (
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteRecipient,
    Edit,
    EndOfMessage,
    Event,
    InsertHeader,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
    ReplaceBody,
    Reply,
)
from lumilter.session.routing import HEADER
from lumilter.session.session import Session
from lumilter.session.split import Outgoing
from lumilter.session.steps import HookRun

EX_SOFTWARE = 70
STATUS = {"accept": 0, "tempfail": 75, "reject": 77, "discard": 99}


@dataclass(slots=True)
class Result:
    """headers, body: the message as it came in. The rest is filled while the session runs."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    verdict: str = "accept"
    reply: Reply | None = None
    runs: list[HookRun] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    edits: tuple[Edit, ...] = ()
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    conn: dict[str, str] = field(default_factory=dict)
    mess: dict[str, str] = field(default_factory=dict)
    done: bool = False
    sent: list[Outgoing] = field(default_factory=list)
    """Messages of recipients that parted ways."""
    injected: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    """What scripts sent: sender, recipients, raw text."""

    def observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        """Take what the session's trace has."""
        self.runs += session.trace.runs
        for error in session.trace.errors:
            where = (error.script, error.line, error.message) if isinstance(error, ScriptError) else ("", 0, str(error))
            self.errors.append(dict(zip(("script", "line", "message"), where, strict=True)))
        session.trace.clear()
        self.conn = dict(session.vctx.conn)
        if session.message is not None:
            self.mess = session.vctx.mess  # not a copy: of a message that is refused nothing else is left
        elif isinstance(event, EndOfMessage) and session.messages:
            self.mess = dict(session.messages[0].mess)
        if isinstance(event, EndOfMessage):
            self.sent = list(session.sent)

    def note(self, event: Event, outcome: Outcome) -> None:
        """Take the answer to one command."""
        command = type(event).__name__.upper()
        text = _reply_text(outcome.reply) if outcome.reply else verdict_name(outcome)
        if isinstance(event, Mail | Rcpt):
            command += f" {event.address}"
        self.replies.append(f"{command}: {text}")
        if isinstance(event, Mail):
            self.sender = event.address
        if isinstance(event, Rcpt) and outcome.action is Action.CONTINUE:
            self.recipients.append(event.address)
            self.verdict, self.reply = "accept", None
        elif not isinstance(event, Rcpt) or not self.recipients:
            self.verdict, self.reply = verdict_name(outcome), outcome.reply
        if isinstance(event, EndOfMessage):
            self.edits = outcome.edits
            self.done = outcome.action in (Action.CONTINUE, Action.ACCEPT)

    @property
    def status(self) -> int:
        """The exit status."""
        return EX_SOFTWARE if self.errors else STATUS[self.verdict]

    def messages(self) -> list[dict[str, Any]]:
        """What would be on its way: one as the MTA would hold it, others sent beside it, others made by scripts."""
        found = []
        if self.done:
            headers, body, sender, recipients, _ = apply(
                self.headers, self.body, self.sender, self.recipients, self.edits
            )
            found.append(_message("kept", [_bare(r) for r in recipients], _bare(sender), _render(headers, body)))
            found += [_message("sent", list(m.recipients), m.sender, b"".join(m.content)) for m in self.sent]
        return found + [_message("injected", to, sender, raw) for sender, to, raw in self.injected]

    def as_json(self) -> str:
        """The contract."""
        reply = {"code": self.reply.code, "text": _reply_text(self.reply)} if self.reply else None
        phases = [
            {"phase": run.phase, "module": run.module, "hook": run.hook, "result": run.result, "ms": round(run.ms, 3)}
            | ({"recipient": run.recipient} if run.recipient else {})
            for run in self.runs
        ]
        return json.dumps(
            {
                "verdict": self.verdict,
                "reply": reply,
                "phases": phases,
                "actions": [action(edit) for edit in self.edits],
                "messages": self.messages(),
                "context": {"conn": self.conn, "mess": self.mess},
                "log": self.log,
                "errors": self.errors,
            },
            indent=1,
        )

    def as_text(self, trace: bool, diff: bool) -> str:
        """The same for people."""
        out = [*self.replies, *(f"  print: {one_line(line.expandtabs())}" for line in self.log)]
        if trace:
            out += [_run_text(run) for run in self.runs]
        out += [f"  error: {e['script']}:{e['line']}: {e['message']}" for e in self.errors]
        out += ["  " + " ".join(f"{k}={v}" for k, v in action(edit).items() if v is not None) for edit in self.edits]
        out.append(f"verdict: {self.verdict}" + (f" ({_reply_text(self.reply)})" if self.reply else ""))
        for message in self.messages():
            if diff:
                before = _text(_render(self.headers, self.body)).splitlines()
                out += difflib.unified_diff(before, message["raw"].splitlines(), "received", "delivered", lineterm="")
            how = "" if message["how"] == "kept" else f" ({message['how']})"
            out.append(f"to: {', '.join(message['recipients'])}{how}")
        return "".join(f"{line.encode('utf-8', 'backslashreplace').decode()}\n" for line in out)


def _message(how: str, recipients: list[str], sender: str, raw: bytes) -> dict[str, Any]:
    """how: "kept" by the MTA, "sent" for recipients that part ways, "injected" by a script."""
    route = re.search(rb"(?im)^%s:[ ]*([^\r\n]*)" % HEADER, raw.partition(b"\r\n\r\n")[0])
    return {
        "recipients": recipients, "sender": sender, "route": _text(route[1]) if route else None, "raw": _text(raw),
        "how": how,
    }  # fmt: skip


def _run_text(run: HookRun) -> str:
    who = f"{run.module}, {run.recipient}" if run.recipient else run.module
    return f"  {run.hook} ({who}): {run.result}, {run.ms:.2f} ms"


def action(edit: Edit) -> dict[str, Any]:
    """A milter action as the contract has it."""
    match edit:
        case AddHeader(name, value):
            return {"action": "add_header", "index": None, "name": _text(name), "value": _text(value.strip())}
        case InsertHeader(index, name, value):
            return {"action": "insert_header", "index": index, "name": _text(name), "value": _text(value.strip())}
        case ChangeHeader(nth, name, b""):
            return {"action": "delete_header", "index": nth, "name": _text(name), "value": None}
        case ChangeHeader(nth, name, value):
            return {"action": "change_header", "index": nth, "name": _text(name), "value": _text(value.strip())}
        case ReplaceBody(body):
            return {"action": "replace_body", "index": None, "name": None, "value": _text(body)}
        case AddRecipient(address):
            return {"action": "add_recipient", "index": None, "name": None, "value": address}
        case DeleteRecipient(address):
            return {"action": "delete_recipient", "index": None, "name": None, "value": _bare(address)}
        case ChangeSender(address):
            return {"action": "change_sender", "index": None, "name": None, "value": address}
        case Quarantine(reason):
            return {"action": "quarantine", "index": None, "name": None, "value": reason}


def _reply_text(reply: Reply) -> str:
    return "\n".join(" ".join(part for part in (str(reply.code), reply.xcode, line) if part) for line in reply.lines)


def _render(headers: Any, body: bytes) -> bytes:
    lines = [name + b":" + value.replace(b"\n", b"\r\n") for name, value in headers]
    return b"\r\n".join([*lines, b"", body])


def _bare(address: str) -> str:
    return address.removeprefix("<").removesuffix(">")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
